"""What a run's model and data show: nearest training samples, logits, and their surface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import torch

from ganzoo.compute.seeding import preserve_rng_state
from ganzoo.errors import GanzooError, first_line
from ganzoo.evaluation.nearest import (
    Neighbour,
    NeighbourSearch,
    even_indices,
    read_training_samples,
)
from ganzoo.media import images
from ganzoo.models.inputs import cycle_classes
from ganzoo.models.model import Model, load
from ganzoo.protocols.dataset import Samples
from ganzoo_zoo.apps.report.charts import Chart, draw_histogram
from ganzoo_zoo.apps.report.logits import compute_logits
from ganzoo_zoo.apps.report.pictures import data_uri
from ganzoo_zoo.apps.report.surface import Surface, compute_surface, has_surface

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.runs.folder import Run

Found = TypeVar("Found")

SEED = 0
"""Of the fakes: that of ``ganzoo sample``."""
NEAREST = 4
"""Training samples beside each fake."""
REFERENCE = 64
"""Training samples whose own nearest ones are looked for."""
JUDGED = 256
"""Fakes, and training samples, whose logits are drawn, at most."""
JUDGED_NUMBERS = 1 << 20
FEWEST_JUDGED = 32
"""They are fewer where they have more numbers than this together, but not fewer than this."""
SIDES = (96, 64)
"""Pixels of the longer side of an image that is shown, of a few and of many."""
FEW = 8
LOGIT_TITLE = "Logits of the last discriminator"


@dataclass(frozen=True)
class Tile:
    """A small image."""

    uri: str
    width: int
    height: int
    about: str
    """What it is, for who does not see it."""
    caption: str = ""


@dataclass(frozen=True)
class Neighbours:
    """Fakes beside their nearest training samples."""

    rows: tuple[tuple[Tile, ...], ...]
    """Each a fake, and then its nearest training samples."""
    translated: bool
    searched: int
    total: int
    mirrored: bool
    """Whether mirrored training samples were searched too."""
    real_distance: str
    """How far training samples are from each other, in words; empty if unknown."""


@dataclass
class ModelAnalysis:
    """What was found; what could not be is missing, with the reason."""

    parameters: dict[str, int] = field(default_factory=dict)
    """By network."""
    neighbours: Neighbours | None = None
    logits: Chart | None = None
    surface: Surface | None = None
    missing: list[str] = field(default_factory=list)


def analyse_model(run: Run, count: int) -> ModelAnalysis:
    """Look at a run's model and data.

    Args:
        run: The run.
        count: Fakes that are shown beside their nearest training samples.
    """
    looks = ModelAnalysis()
    with preserve_rng_state():
        model = _try(looks, "the model", lambda: load(run))
        if model is None:
            return looks
        for word in ("generator", "discriminator"):
            network = _try(looks, f"the {word}", lambda word=word: getattr(model, word))
            if network is not None:
                looks.parameters[word] = sum(each.numel() for each in network.parameters())
        if "discriminator" in looks.parameters and has_surface(
            model.config.spec, conditional=model.conditional
        ):
            looks.surface = _try(
                looks,
                "the discriminator's surface",
                lambda: compute_surface(model.discriminator, model.config.spec),
            )
        samples = _try(looks, "the training data", lambda: read_training_samples(model.config))
        if samples is None:
            return looks
        made = _try(looks, "samples of the model", lambda: _make_fakes(model, samples, count))
        if made is not None:
            _add_comparisons(looks, model, samples, made, count)
    return looks


def _add_comparisons(
    looks: ModelAnalysis, model: Model, samples: Samples, made: Samples, count: int
) -> None:
    if model.config.spec.is_image:
        looks.neighbours = _try(
            looks,
            "the nearest training samples",
            lambda: _find_neighbours(model, samples, made, count),
        )
    # Translations are made of training samples: beside others, they tell nothing.
    if "discriminator" in looks.parameters and not model.architecture.takes_images:
        looks.logits = _try(looks, "logits", lambda: _draw_logits(model, samples, made))


def _try(looks: ModelAnalysis, what: str, find: Callable[[], Found]) -> Found | None:
    """Return what is found, or say why it is not: code and files may be anybody's."""
    try:
        return find()
    except GanzooError as error:
        looks.missing.append(f"{what}: {error}")
    except Exception as error:
        looks.missing.append(f"{what}: {type(error).__name__}: {first_line(error)}")
    return None


def _make_fakes(model: Model, samples: Samples, count: int) -> Samples:
    """Return fakes, at least as many as are asked for, with the class of each if there is one."""
    spec = model.config.spec
    if not model.architecture.takes_images:
        count = max(count, min(JUDGED, max(FEWEST_JUDGED, JUDGED_NUMBERS // spec.size)))
        inputs = model.inputs.draw(count, SEED)
        return Samples(spec, model.generate(inputs, stored=True), inputs.labels)
    # Each class in turn, of sources of the class that follows.
    labels = cycle_classes(count, spec.classes)
    members = [torch.where(samples.labels == label)[0] for label in range(spec.classes)]
    others = [members[label] for label in ((labels + 1) % spec.classes).tolist()]
    sources = [own[i // spec.classes % len(own)] for i, own in enumerate(others)]
    inputs = model.inputs.from_images(samples.batch(torch.stack(sources)), labels)
    return Samples(spec, model.generate(inputs, stored=True), labels)


def _find_neighbours(model: Model, samples: Samples, made: Samples, count: int) -> Neighbours:
    search = NeighbourSearch(samples)
    near = search.nearest(made.stored[:count], NEAREST)
    apart = search.median_spacing(REFERENCE)
    names = samples.spec.class_names or tuple(map(str, range(samples.spec.classes or 0)))
    side = SIDES[count > FEW]
    texts = images.provenance(model.title, SEED)

    def own(i: int) -> Tile:
        label = "" if made.labels is None else names[int(made.labels[i])]
        about = f"Generated image {i + 1}" + (f", class {label}" if label else "")
        return _make_tile(made.stored[i], side, about, label, texts)

    def beside(i: int, rank: int, one: Neighbour) -> Tile:
        label = "" if samples.labels is None else names[int(samples.labels[one.index])]
        about = f"Training image {one.index}, number {rank + 1} by nearness to image {i + 1}"
        about += f", class {label}" if label else ""
        about += ", mirrored" if one.mirrored else ""
        image = samples.stored[one.index]
        shown = image.flip(-1) if one.mirrored else image
        return _make_tile(shown, side, about, f"{one.distance:.1f}", {})

    return Neighbours(
        tuple(
            (own(i), *(beside(i, rank, one) for rank, one in enumerate(each)))
            for i, each in enumerate(near)
        ),
        model.architecture.takes_images,
        len(search.candidates),
        len(samples),
        samples.flip,
        "" if apart is None else f"{apart:.1f}",
    )


def _make_tile(image: Tensor, side: int, about: str, caption: str, texts: dict[str, str]) -> Tile:
    height, width = image.shape[1:]
    if (longer := max(height, width)) > side:
        size = tuple(max(1, round(each * side / longer)) for each in (height, width))
        image = images.resize(image[None], size)[0]
    uri = data_uri(images.to_png(image, texts), "png")
    return Tile(uri, image.shape[2], image.shape[1], about, caption)


def _draw_logits(model: Model, samples: Samples, made: Samples) -> Chart:
    reals = samples.subset(even_indices(len(samples), len(made)))
    found = {
        name: compute_logits(model.discriminator, some, conditional=model.conditional)
        for name, some in (("training samples", reals), ("generated samples", made))
    }
    return draw_histogram(LOGIT_TITLE, found)
