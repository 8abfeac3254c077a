"""Frames: generated points and the discriminator's logits over the plane, ready to be drawn.

A *frame* shows one step. It is a line of JSON, which
:mod:`ganzoo_zoo.apps.watch.points.frames` reads.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import torch

from ganzoo.errors import GanzooError
from ganzoo.media import images
from ganzoo_zoo.apps.shared.surface import compute_levels
from ganzoo_zoo.apps.watch.points.frames import MOST_POINTS, SIDE, UNITS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.protocols.dataset import DataSpec, Samples


def has_plane(spec: DataSpec, *, conditional: bool) -> bool:
    """Tell whether samples are points of the plane and the discriminator ignores classes."""
    return spec.shape == (2,) and not conditional


class Plane:
    """The square of the plane that is drawn: all true modes and real points, with a margin.

    Args:
        real: The training data, points ``(N, 2)``.
    """

    def __init__(self, real: Samples) -> None:
        self.spec = real.spec
        self.real = real.stored[:MOST_POINTS].float().cpu()
        shown = [self.real, torch.tensor(self.spec.modes or ()).reshape(-1, 2)]
        self.centre, self.reach = images.find_frame(torch.cat(shown))
        self._grid = images.lattice(self.centre, self.reach, SIDE)

    def describe(self) -> dict[str, Any]:
        """Return the position of the square, its true modes and its real points, as JSON."""
        return {
            "centre": self.centre.tolist(),
            "reach": self.reach,
            "modes": [list(mode) for mode in self.spec.modes or ()],
            "std": self.spec.mode_std,
            "real": self._pack(self.real),
        }

    def make_frame(
        self, step: int, points: Tensor, discriminator: nn.Module
    ) -> dict[str, Any] | None:
        """Make the frame of a step.

        Args:
            step: Number of finished steps.
            points: Generated points ``(N, 2)``, of which the first are used.
            discriminator: From points ``(N, 2)`` to logits; its training mode stays unchanged.

        Returns:
            The frame; None if a number is not finite, which the run itself reports.
        """
        points = points[:MOST_POINTS].float().cpu()
        try:
            surface = compute_levels(discriminator, self._grid, SIDE)
        except GanzooError:
            return None
        if not points.isfinite().all():
            return None
        return {
            "step": step,
            "points": self._pack(points),
            "surface": _encode(surface.levels.numpy().tobytes()),
            "low": surface.low,
            "high": surface.high,
        }

    def _pack(self, points: Tensor) -> str:
        """Encode points as whole numbers within the square; points outside move to its edge."""
        units = ((points - self.centre) / self.reach).clamp(-1, 1).add(1).div(2).mul(UNITS).round()
        return _encode(units.numpy().astype("<u2").tobytes())


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
