"""Numbers as text: points of a square, and arrows, for a frame or a stage."""

from __future__ import annotations

import base64

from torch import Tensor

from ganzoo_zoo.apps.watch.points.frames import ARROW_UNITS, UNITS


def encode(data: bytes) -> str:
    """Return bytes in base64."""
    return base64.b64encode(data).decode("ascii")


def pack_points(points: Tensor, centre: Tensor | float, reach: float) -> str:
    """Encode points as whole numbers within a square; points outside move to its edge.

    Args:
        points: Finite points ``(N, 2)`` on the CPU.
        centre: Centre of the square ``(2,)``.
        reach: Half the length of its sides.
    """
    units = ((points - centre) / reach).clamp(-1, 1).add(1).div(2).mul(UNITS).round()
    return encode(units.numpy().astype("<u2").tobytes())


def pack_arrows(arrows: Tensor) -> tuple[str, float]:
    """Encode arrows as whole numbers, the longest as ``ARROW_UNITS``; also return its length.

    Args:
        arrows: Finite arrows ``(N, 2)`` on the CPU.
    """
    longest = float(arrows.norm(dim=1).max())
    units = (arrows / max(longest, 1e-30) * ARROW_UNITS).round()
    return encode(units.numpy().astype("<i2").tobytes()), longest
