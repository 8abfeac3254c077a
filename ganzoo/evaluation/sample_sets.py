"""The samples that metrics compare: generated ones, and reals or parts of them."""

from __future__ import annotations

import torch
from torch import Tensor

from ganzoo.arguments import require_int
from ganzoo.compute.seeding import make_rng
from ganzoo.config import ComponentChoice
from ganzoo.errors import InputError
from ganzoo.media.images import to_uint8
from ganzoo.models.inputs import find_sources
from ganzoo.models.model import Model
from ganzoo.protocols.dataset import Dataset, DataSpec, Samples

MAX_FAKES = 10_000
"""Most fakes by default; there are as many as reals up to this number."""


def draw_fakes(model: Model, reals: Samples, count: int, seed: int) -> Samples:
    """Draw fakes, of the same classes as the reals if the model has classes.

    A model that takes sources makes them from those of the reals: see :func:`choose_targets`. The
    fakes come with their sources.

    Raises:
        InputError: the model's samples cannot be compared with the reals, or the reals have no
            sources for it.
    """
    check_shape(model, reals.spec)
    architecture, classes = model.architecture, model.config.spec.classes
    chosen = _choose_members(reals, count, seed)
    labels = _take_labels(model, reals, chosen) if model.conditional else None
    if architecture.takes_latents:
        inputs = model.inputs.draw(count, seed, labels)
    elif architecture.takes_sources:
        sources = find_sources(architecture, reals, chosen, seed)
        inputs = model.inputs.from_images(sources, labels)
        return Samples(
            reals.spec.model_copy(update={"source": tuple(sources.shape[1:])}),
            model.generate(inputs, stored=True),
            labels,
            sources=to_uint8(sources) if sources.dim() == 4 else sources,
        )
    else:  # a source of one class becomes a fake of the next one
        assert labels is not None, "an architecture that translates takes labels"
        assert classes is not None, "and so there are classes"
        labels = (labels + 1) % classes
        inputs = model.inputs.from_images(reals.batch(chosen), labels)
    return Samples(reals.spec, model.generate(inputs, stored=True), labels)


def choose_targets(model: Model, reals: Samples, count: int, seed: int) -> Tensor | None:
    """Return which of the reals each fake of :func:`draw_fakes` is to equal ``(count,)``.

    None for models that do not take sources.
    """
    return _choose_members(reals, count, seed) if model.architecture.takes_sources else None


def _choose_members(reals: Samples, count: int, seed: int) -> Tensor:
    """Choose the reals that fakes take their classes or their sources from."""
    order = torch.randperm(len(reals), generator=make_rng(seed, "labels"))
    return order[torch.arange(count) % len(reals)]


def _take_labels(model: Model, reals: Samples, chosen: Tensor) -> Tensor:
    classes = model.config.spec.classes
    if reals.labels is None or classes is None or reals.spec.classes != classes:
        raise InputError(
            f"the model makes samples of {classes} classes, and the data have "
            f"{reals.spec.classes or 'none'}; choose other --data"
        )
    return reals.labels[chosen].long()


def choose_reals(reals: Samples, count: int) -> Samples:
    """Choose some of the reals; the choice depends on their number alone."""
    return reals if count == len(reals) else reals.subset(_shuffle_order(reals)[:count])


def split_reals(
    floor: bool, reals: Samples, samples: int | None, real_samples: int | None
) -> tuple[Samples | None, Samples, int]:
    """Return the reals, other reals in place of fakes for a floor, and the number of fakes."""
    available = len(reals)
    count = available // 2 if floor else available
    if real_samples is not None:
        count = real_samples
    count = require_int("--real-samples", count, 1)
    wanted = available - count if floor else min(count, MAX_FAKES)
    if samples is not None:
        wanted = samples
    wanted = require_int("--samples", wanted, 1)
    if (needed := count + wanted if floor else count) > available:
        parts = f" ({count} as reals, {wanted} in place of fakes)" if floor else ""
        raise InputError(f"there are {available} real samples, and {needed}{parts} are needed")
    others = reals.subset(_shuffle_order(reals)[count : count + wanted]) if floor else None
    return others, choose_reals(reals, count), wanted


def _shuffle_order(reals: Samples) -> Tensor:
    return torch.randperm(len(reals), generator=make_rng(0, "reals"))


def describe_data(choice: ComponentChoice, dataset: Dataset, samples: Samples) -> dict[str, str]:
    """Return the data's entry in a score row, without the fingerprint."""
    return {"name": choice.name, "split": samples.split or dataset.split_name}


def check_shape(model: Model, data: DataSpec) -> None:
    """Check that a model makes samples of the shape of the data.

    Raises:
        InputError: it does not.
    """
    if model.config.spec.shape != data.shape:
        raise InputError(
            f"the model makes samples of {model.config.spec.size_in_words}, and the data have "
            f"{data.size_in_words}; choose other --data"
        )


def draw_fakes_on(
    model: Model, reals: Samples, count: int, seed: int, device: torch.device
) -> Samples:
    """Draw fakes on a device, as :func:`draw_fakes` does, and put the model back where it was."""
    home = next(model.generator.parameters()).device
    try:
        return draw_fakes(model.to(device), reals, count, seed)
    finally:
        model.to(home)
