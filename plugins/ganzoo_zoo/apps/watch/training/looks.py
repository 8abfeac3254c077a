"""What a run's generator makes when somebody asks: a walk between latents, and nearest reals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ganzoo.compute.seeding import make_rng, preserve_rng_state, seed_everything
from ganzoo.errors import GanzooError, InputError
from ganzoo.evaluation.nearest import NeighbourSearch, even_indices
from ganzoo.media import images
from ganzoo.protocols.architecture import GeneratorInput
from ganzoo.training.inputs import draw_picture_inputs
from ganzoo.training.pictures import draw_samples
from ganzoo_zoo.apps.watch.points.packing import encode

if TYPE_CHECKING:
    from ganzoo.training.trainer import Trainer

WALK_IMAGES = 8
"""Images of a walk, with both ends."""
WALK_CLASS = 0
"""The class of each image of a walk, if the run is conditional."""
LARGEST_SIDE = 128
"""Longer side of an image, in pixels; larger ones are shrunk."""
MOST_REALS = 4096
"""Reals among which the nearest are searched; of more, so many are chosen evenly."""
MOST_NUMBERS = 1 << 26
"""Numbers of those reals together, at most: 64 MiB of images."""


def make_walk(trainer: Trainer) -> bytes | None:
    """Return a walk between two latents, the same two at each step, as a PNG.

    It is a strip of 8 images that the average makes, or the generator in training while it leaves
    its average behind: the rule of sample pictures.

    Args:
        trainer: The run's trainer; its state and torch's random state do not change.

    Returns:
        None if the samples are not images or signals, the architecture takes no latents or does not
        say what lies between two, or a sample is not finite.
    """
    architecture, seed = trainer.architecture, trainer.options.seed
    if not (architecture.takes_latents and trainer.setup.data.is_bounded):
        return None
    start, end = (architecture.latents(1, make_rng(seed, "walk", stop)) for stop in (0, 1))
    try:
        stops = [
            architecture.interpolate(start, end, number / (WALK_IMAGES - 1))
            for number in range(WALK_IMAGES)
        ]
    except InputError:
        return None
    labels = torch.full((WALK_IMAGES,), WALK_CLASS) if trainer.conditional else None
    made = _draw(trainer, GeneratorInput(torch.cat(stops), labels))
    return None if made is None else picture_of(made, trainer, columns=WALK_IMAGES)


def find_nearest(trainer: Trainer, count: int = 6) -> dict[str, Any] | None:
    """Return fakes with the real that is nearest to each by pixels.

    Args:
        trainer: The run's trainer; its state and torch's random state do not change.
        count: Number of fakes, at most: the first of the run's sample pictures.

    Returns:
        The ``step``, and ``pairs`` of ``fake`` and ``real``, PNGs as data URLs, with their
        ``distance``: the root mean square of the differences of values from 0 to 255. ``searched``
        is the number of reals among which was searched, ``of`` how many there are. None if the
        samples are not images, or one is not finite.
    """
    if not trainer.setup.data.is_image:
        return None
    with _kept(trainer):
        inputs = draw_picture_inputs(trainer.setup, trainer.loader)
    made = _draw(trainer, next(inputs.parts(count, inputs.given.device)))
    if made is None:
        return None
    samples = trainer.samples
    most = max(1, min(MOST_REALS, MOST_NUMBERS // samples.spec.size))
    chosen = even_indices(len(samples), most)
    reals = samples.subset(chosen).to("cpu", with_sources=False)
    pairs = []
    for fake, (near, *_) in zip(made, NeighbourSearch(reals).nearest(made, 1), strict=True):
        real = reals.stored[near.index]
        pairs.append(
            {
                "fake": to_url(picture_of(fake[None], trainer)),
                "real": to_url(_to_png((real.flip(-1) if near.mirrored else real)[None], 1, {})),
                "distance": round(near.distance, 1),
            }
        )
    return {"step": trainer.state.step, "pairs": pairs, "searched": len(chosen), "of": len(samples)}


def picture_of(samples: Tensor, trainer: Trainer, columns: int = 1) -> bytes:
    """Return images or signals as one small PNG, marked as generated.

    Args:
        samples: As they are stored, or floats in ``[-1, 1]``, ``(N, *shape)`` on the CPU.
        trainer: The trainer of the run that made them.
        columns: Samples in a row.
    """
    data, options = trainer.setup.data, trainer.options
    model = f"{trainer.setup.architecture_name}, step {trainer.state.step}"
    if data.is_image and samples.dtype != torch.uint8:
        samples = images.to_uint8(samples)
    return _to_png(samples, columns, images.provenance(model, options.seed))


def to_url(png: bytes) -> str:
    """Return a PNG as a data URL."""
    return f"data:image/png;base64,{encode(png)}"


def _to_png(samples: Tensor, columns: int, texts: dict[str, str]) -> bytes:
    if samples.dim() == 4:
        samples = images.show_channels(samples)
        if (longer := max(samples.shape[2:])) > LARGEST_SIDE:
            height, width = (max(1, each * LARGEST_SIDE // longer) for each in samples.shape[2:])
            samples = images.resize(samples, (height, width))
    return images.to_png(images.render_samples(samples, columns=columns), texts)


def _draw(trainer: Trainer, inputs: GeneratorInput) -> Tensor | None:
    """Return stored samples as a sample picture would show them; None if one is not finite."""
    with _kept(trainer):
        try:
            return draw_samples(trainer, inputs).shown
        except GanzooError:
            return None


@contextmanager
def _kept(trainer: Trainer) -> Iterator[None]:
    """Keep torch's random state, and draw the same within the block each time."""
    with preserve_rng_state():
        seed_everything(trainer.device, trainer.options.seed)
        yield
