"""The pipeline of transforms, in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ganzoo_zoo.augmentations.ada.color import change_colors
from ganzoo_zoo.augmentations.ada.corruption import add_noise, cut_out, filter_bands
from ganzoo_zoo.augmentations.ada.geometry import move
from ganzoo_zoo.augmentations.ada.parts import GROUPS

COLORS = 3
"""Colour channels of an image, at most; a fourth channel is transparency."""

Chances = Mapping[str, Tensor]
"""Probabilities of transforms, by name."""
STAGES: tuple[tuple[tuple[str, ...], bool, Callable[[Tensor, Chances], Tensor]], ...] = (
    (GROUPS["blit"] + GROUPS["geom"], True, move),
    (GROUPS["color"], False, change_colors),
    (GROUPS["filter"], False, filter_bands),
    (GROUPS["noise"], False, add_noise),
    (GROUPS["cutout"], True, cut_out),
)
"""Names of transforms, whether they are for transparency too, and what applies them together."""


def augment(samples: Tensor, chances: Chances) -> Tensor:
    """Return images ``(N, C, H, W)``, each changed on its own.

    Args:
        samples: Images in about [-1, 1].
        chances: Probabilities of the transforms to apply, by name.
    """
    images = samples if samples.dtype == torch.float64 else samples.float()
    for names, with_transparency, apply in STAGES:
        if not any(name in chances for name in names):
            continue
        if with_transparency or images.shape[1] <= COLORS:
            images = apply(images, chances)
        else:
            changed = apply(images[:, :COLORS], chances)
            images = torch.cat([changed, images[:, COLORS:]], 1)
    return images.to(samples.dtype)
