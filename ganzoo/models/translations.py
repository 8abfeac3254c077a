"""What a model that takes images makes of its own training data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from ganzoo.compute.seeding import make_rng
from ganzoo.errors import InputError
from ganzoo.media.images import grid, match_images, pair_grid, to_uint8
from ganzoo.models.inputs import Inputs, find_sources, require_count
from ganzoo.models.training_data import TrainedModel, choose_training_data
from ganzoo.registry import DATASET

if TYPE_CHECKING:
    from ganzoo.protocols.architecture import Architecture, GeneratorInput
    from ganzoo.protocols.dataset import Samples


class Translator(TrainedModel, Protocol):
    """What is used of a :class:`ganzoo.Model` that takes images."""

    architecture: Architecture
    inputs: Inputs

    @property
    def conditional(self) -> bool:
        """Whether it takes labels."""

    def generate(self, inputs: GeneratorInput, *, stored: bool = False) -> Tensor:
        """Generate samples from inputs."""


def translate_training_data(model: Translator, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Choose training samples by a seed, and return what is given of them and what comes of it.

    Where a model takes whole images, each goes to the class after its own.

    Returns:
        Sources as the model takes them, and results as stored, uint8 ``(count, C, H, W)``.

    Raises:
        InputError: the training data are not here, or have no classes any more.
    """
    samples: Samples = choose_training_data(model, {}).build(DATASET).read()
    order = torch.randperm(len(samples), generator=make_rng(seed, "shown"))
    chosen = order[torch.arange(require_count(count)) % len(samples)]
    labels = samples.labels_of(chosen) if model.conditional else None
    if model.architecture.takes_sources:
        given = find_sources(model.architecture, samples, chosen, seed)
    else:
        given = samples.batch(chosen)
        if labels is None or not model.config.spec.classes:
            raise InputError("the training data have no classes any more: use model.translate")
        labels = (labels + 1) % model.config.spec.classes
    return given, model.generate(model.inputs.from_images(given, labels), stored=True)


def draw_pairs(given: Tensor, made: Tensor) -> Tensor:
    """Lay out sources and what was made of them as one picture, uint8 ``(C, H, W)``.

    Sources that are no images are left out.
    """
    if given.dim() != 4:
        return grid(made)
    return pair_grid(*match_images(to_uint8(given), made))
