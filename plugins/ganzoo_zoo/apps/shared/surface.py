"""The discriminator's logits over a square of the plane, as grey levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ganzoo.errors import GanzooError
from ganzoo.models.generation import evaluation_mode

if TYPE_CHECKING:
    from torch import Tensor, nn

LEVELS = 255
"""The highest level; level 0 is the lowest logit."""


@dataclass(frozen=True)
class LogitLevels:
    """Logits over a square grid of points, scaled to grey levels."""

    levels: Tensor
    """uint8 ``(side, side)``, the upper row first."""
    low: float
    """The logit of level 0."""
    high: float
    """The logit of level ``LEVELS``."""


def compute_levels(discriminator: nn.Module, grid: Tensor, side: int) -> LogitLevels:
    """Evaluate a discriminator over a grid; its training mode stays unchanged.

    Args:
        discriminator: From points ``(N, 2)`` to logits, on any device.
        grid: Points of the grid, ``(side * side, 2)``, row by row.
        side: Points in a row.

    Raises:
        GanzooError: a logit is not finite.
    """
    device = next(discriminator.parameters()).device
    with evaluation_mode(discriminator), torch.inference_mode():
        logits = discriminator(grid.to(device)).float().cpu()
    logits = logits.reshape(side, side, -1).mean(2)
    if not logits.isfinite().all():
        raise GanzooError("the discriminator's logits are not finite")
    low, high = logits.min(), logits.max()
    levels = ((logits - low) / (high - low).clamp(min=1e-12) * LEVELS).round().to(torch.uint8)
    return LogitLevels(levels, float(low), float(high))
