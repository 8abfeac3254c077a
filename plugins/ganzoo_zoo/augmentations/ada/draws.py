"""Random numbers for each image of a batch."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_applied(images: Tensor, chance: Tensor) -> Tensor:
    """Draw which images a transform is applied to, booleans ``(N,)``."""
    return draw_uniform(images) < chance


def draw_uniform(images: Tensor) -> Tensor:
    """Draw a number from [0, 1) for each image, ``(N,)``."""
    return torch.rand(len(images), dtype=images.dtype, device=images.device)


def draw_normal(images: Tensor) -> Tensor:
    """Draw a normal number for each image, ``(N,)``."""
    return torch.randn(len(images), dtype=images.dtype, device=images.device)
