"""Estimates of how far generated points are from the true ones, over cells of the plane."""

from __future__ import annotations

import torch
from torch import Tensor

CELLS = 20
"""Cells in a row of the grid, and in a column."""
SMOOTHING = 1e-4
"""What is added to the share of each cell."""


def count_shares(points: Tensor, centre: Tensor, reach: float, side: int = CELLS) -> Tensor:
    """Return the share of points in each cell of a square; points outside count at its edge.

    Args:
        points: Finite points ``(N, 2)``.
        centre: Centre of the square ``(2,)``.
        reach: Half the length of its sides.
        side: Cells in a row.

    Returns:
        Shares ``(side * side,)``, float64, which add up to 1: row by row from the top.
    """
    unit = (points.double() - centre.double()) / reach
    columns, rows = ((unit * torch.tensor([1.0, -1.0]) + 1) / 2 * side).floor().unbind(1)
    inside = [each.clamp(0, side - 1).long() for each in (rows, columns)]
    counts = torch.bincount(inside[0] * side + inside[1], minlength=side * side)
    return counts.double() / len(points)


def measure_kl(real: Tensor, fake: Tensor) -> float:
    r"""Return the KL divergence of two distributions over cells, in bits: 0 if they are the same.

    .. math::
        KL = \sum_c (p_c + \epsilon) \log_2 \frac{p_c + \epsilon}{q_c + \epsilon}

    with the share p of the true points in a cell, q of the generated ones and epsilon
    ``SMOOTHING``, as in the code of GAN Lab (Kahng et al. 2018, arXiv:1809.01587). It is large
    where there are true points and no generated ones: 13 bits if all true points lie in one cell
    and no generated point does.

    Args:
        real: Shares of the true points ``(C,)``.
        fake: Shares of the generated points ``(C,)``.
    """
    p, q = real + SMOOTHING, fake + SMOOTHING
    return float((p * (p / q).log2()).sum())


def measure_js(real: Tensor, fake: Tensor) -> float:
    """Return the Jensen-Shannon divergence of two distributions over cells, in bits.

    It is the mean of their KL divergences to their own mean, smoothed as in :func:`measure_kl`: 0
    if they are the same, and almost 1 if no cell has points of both.

    Args:
        real: Shares of the true points ``(C,)``.
        fake: Shares of the generated points ``(C,)``.
    """
    mean = (real + fake) / 2
    return (measure_kl(real, mean) + measure_kl(fake, mean)) / 2
