"""The generator's inputs: latents or source images, for a training step or a sample picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING

from ganzoo.compute.seeding import derive_seed, make_rng
from ganzoo.media.images import COLUMNS, choose_columns
from ganzoo.models.inputs import cycle_classes, find_sources
from ganzoo.protocols.architecture import GeneratorInput
from ganzoo.protocols.host_labels import rearrange_labels
from ganzoo.training.batch_order import choose_order

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ganzoo.protocols.progress import Progress
    from ganzoo.training.batches import BatchLoader, RealBatch
    from ganzoo.training.setup import TrainingSetup

PICTURE_IMAGES = 64
"""Samples in each sample picture of images or signals."""
PICTURE_POINTS = 2500
"""Samples in each sample picture of vectors."""


@dataclass(frozen=True)
class Batch:
    """What an update of a network is computed from: N samples, or a part of them."""

    real: Tensor
    """Samples of the data ``(N, *shape)``, as the discriminator is to see them."""
    labels: Tensor | None
    inputs: GeneratorInput
    generated: Mapping[str, Tensor] | None = None
    """What the generator made of the inputs, by name; None while it is still to do so."""

    def split(self, count: int) -> Iterator[Batch]:
        """Yield the batch in equal parts."""
        if count == 1:
            yield self
            return
        size = len(self.real) // count
        for number, inputs in enumerate(self.inputs.parts(size, self.real.device)):
            part = slice(number * size, (number + 1) * size)
            yield Batch(
                self.real[part],
                None if self.labels is None else rearrange_labels(self.labels, itemgetter(part)),
                inputs,
                self.generated and {name: each[part] for name, each in self.generated.items()},
            )


def draw_step_inputs(
    setup: TrainingSetup, batch: RealBatch, progress: Progress, rng: torch.Generator
) -> GeneratorInput:
    """Return this process's share of the generator's inputs for a step.

    Args:
        setup: The training.
        batch: This process's share of the batch; the fakes are to have its classes as well.
        progress: How far the training is; an architecture that translates pairs classes by it.
        rng: Draws the latents of the whole batch.
    """
    real, labels, sources = batch
    if setup.architecture.takes_sources:
        given = setup.architecture.make_source(real) if sources is None else sources
        return GeneratorInput(given, labels, progress=progress)
    if not setup.architecture.takes_images:
        latents = setup.architecture.latents(setup.options.batch_size, rng)
        return GeneratorInput(setup.team.take_share(latents), labels, progress=progress)
    turn = 1 + derive_seed(setup.options.seed, "sources", progress.step) % (setup.classes - 1)
    return replace(_pair_sources(real, labels, turn, setup.classes), progress=progress)


def draw_picture_inputs(setup: TrainingSetup, loader: BatchLoader) -> GeneratorInput:
    """Return the generator's inputs for the run's sample pictures, the same at every step."""
    seed, data = derive_seed(setup.options.seed, "picture"), setup.data
    if setup.architecture.takes_images:
        classes = setup.classes
        per_class = max(COLUMNS, PICTURE_IMAGES // 2 // classes // COLUMNS * COLUMNS)
        order = choose_order(
            loader.samples, per_class * classes, seed, loader.index_device, is_balanced=True
        )
        real, labels, _ = loader.select(order(0))
        return _pair_sources(real, labels, 1, classes)
    if setup.architecture.takes_sources:
        order = choose_order(
            loader.samples, PICTURE_IMAGES // 2, seed, loader.index_device, is_balanced=False
        )
        chosen = order(0)
        sources = find_sources(setup.architecture, loader.samples, chosen, seed)
        labels = loader.samples.labels_of(chosen) if setup.conditional else None
        return GeneratorInput(sources, labels)
    columns = count_columns(setup)
    count = PICTURE_IMAGES // columns * columns if data.is_bounded else PICTURE_POINTS
    labels = cycle_classes(count, setup.classes) if setup.conditional else None
    rng = make_rng(setup.options.seed, "picture")
    return GeneratorInput(setup.architecture.latents(count, rng), labels)


def count_columns(setup: TrainingSetup) -> int:
    """Return the number of images in a row of the sample pictures: one per class, up to 64."""
    by_class = setup.conditional and setup.architecture.takes_latents
    return choose_columns(setup.data.classes if by_class else None)


def _pair_sources(real: Tensor, labels: Tensor | None, turn: int, classes: int) -> GeneratorInput:
    """Pair each wanted class with source images of another one.

    A balanced batch holds class after class, so it is enough to roll it by ``turn`` classes.
    """
    assert labels is not None, "an architecture that translates takes labels"
    shift = turn * (len(real) // classes)
    source_labels = rearrange_labels(labels, lambda each: each.roll(shift, 0))
    return GeneratorInput(real.roll(shift, 0), labels, source_labels)
