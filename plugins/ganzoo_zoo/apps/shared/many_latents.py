"""Many latents of a model, of which no samples are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ganzoo import GeneratorInput
from ganzoo.compute.seeding import make_rng
from ganzoo.models.inputs import cycle_classes

if TYPE_CHECKING:
    from ganzoo.models.model import Model


def draw_many(model: Model, count: int, seed: int, label: int | None = None) -> GeneratorInput:
    """Draw latents ``(count, D)`` on the CPU, with labels if the model takes them.

    Args:
        model: A model that starts from noise.
        count: Number of latents.
        seed: Seed of the latents.
        label: Class of all; None cycles through the classes.

    Raises:
        ganzoo.errors.InputError: the model has no such class, or does not start from noise.
    """
    one = model.inputs.draw(1, seed, label)
    latents = model.architecture.latents(count, make_rng(seed, "many latents"))
    if one.labels is None:
        return GeneratorInput(latents)
    classes = model.config.spec.classes or 1
    labels = cycle_classes(count, classes) if label is None else torch.full((count,), label)
    return GeneratorInput(latents, labels)
