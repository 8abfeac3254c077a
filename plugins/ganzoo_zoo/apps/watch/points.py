"""Points in the plane and what the discriminator makes of it, as a page can draw them.

What is kept of a step is a *frame*: a line of JSON with the generated points, and the
discriminator's logits over the plane, as the text that :mod:`ganzoo_zoo.apps.watch.frames` reads.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import torch

from ganzoo.media import images
from ganzoo.models.generation import evaluation_mode
from ganzoo_zoo.apps.watch.frames import LEVELS, MOST_POINTS, SIDE, UNITS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.protocols.dataset import DataSpec, Samples


def has_plane(spec: DataSpec, *, conditional: bool) -> bool:
    """Tell whether samples are points of the plane, on which a discriminator has one surface."""
    return spec.shape == (2,) and not conditional


class Plane:
    """The square of the plane that is shown: all true modes and real points, with space around.

    Args:
        real: The training data, points ``(N, 2)``.
    """

    def __init__(self, real: Samples) -> None:
        self.spec = real.spec
        self.real = real.stored[:MOST_POINTS].float().cpu()
        held = [self.real, torch.tensor(self.spec.modes or ()).reshape(-1, 2)]
        self.centre, self.reach = images.find_frame(torch.cat(held))
        self._grid = images.lattice(self.centre, self.reach, SIDE)

    def describe(self) -> dict[str, Any]:
        """Return where it lies and what is real in it, as it is kept beside the frames."""
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
        """Look at a step.

        Args:
            step: Steps done.
            points: Generated ones ``(N, 2)``; the first ones are kept.
            discriminator: From points ``(N, 2)`` to logits; its modes stay as they are.

        Returns:
            The line; None where a number is not finite, which the run itself will say.
        """
        points = points[:MOST_POINTS].float().cpu()
        device = next(discriminator.parameters()).device
        with evaluation_mode(discriminator), torch.inference_mode():
            logits = discriminator(self._grid.to(device)).float().cpu().reshape(SIDE**2, -1).mean(1)
        if not (logits.isfinite().all() and points.isfinite().all()):
            return None
        low, high = logits.min(), logits.max()
        levels = ((logits - low) / (high - low).clamp(min=1e-12) * LEVELS).round()
        return {
            "step": step,
            "points": self._pack(points),
            "surface": _encode(levels.numpy().astype("u1").tobytes()),
            "low": float(low),
            "high": float(high),
        }

    def _pack(self, points: Tensor) -> str:
        """Return points as whole numbers within the square; those beyond it lie on its edge."""
        units = ((points - self.centre) / self.reach).clamp(-1, 1).add(1).div(2).mul(UNITS).round()
        return _encode(units.numpy().astype("<u2").tobytes())


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
