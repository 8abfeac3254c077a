"""Filters made of wavelets, as matrices that act on one side of an image.

An image goes on beyond its sides as its mirror image, without the pixels at the sides twice:
indices are reflected until they are within.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

SYM6 = (
    0.01540411,
    0.00349071,
    -0.11799011,
    -0.04831174,
    0.49105594,
    0.78764114,
    0.33792942,
    -0.07263752,
    -0.02106029,
    0.04472490,
    0.00176771,
    -0.00780071,
)
"""Low-pass filter of the symlet with 6 vanishing moments (Daubechies 1992), of norm 1."""
SYM2 = (-0.12940952, 0.22414387, 0.83651630, 0.48296291)
"""Low-pass filter of the symlet with 2 vanishing moments, of norm 1."""
BEFORE = len(SYM6) // 2 - 1
"""Taps of SYM6 before its centre."""
BANDS = 4


def period_of(side: int) -> int:
    """Return after how many pixels of twice the resolution a reflected side repeats itself."""
    return 2 * max(2 * (side - 1), 1)


@lru_cache(maxsize=64)
def upsampler(side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix to twice the resolution, ``(period + 1, side)``.

    Its rows are one period of the reflected side, and the first one again, so that one can
    interpolate between neighbours anywhere. Pixel k lies at row 2 k.
    """
    rows = period_of(side) + 1
    matrix = torch.zeros(rows, side, dtype=torch.float64)
    for row in range(rows):
        for tap, weight in enumerate(SYM6):
            pixel, between = divmod(row + BEFORE - tap, 2)
            if not between:
                matrix[row, reflect(pixel, side)] += 2**0.5 * weight
    return matrix.to(device, dtype, non_blocking=True)


@lru_cache(maxsize=64)
def downsampler(side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix from twice the resolution, ``(side, 2 side + 10)``.

    It undoes :func:`upsampler`, as its filter is orthogonal to its own even shifts. Pixel k lies at
    column 2 k + 5, so there are as many columns as its filter needs and no more.
    """
    matrix = torch.zeros(side, 2 * side + len(SYM6) - 2, dtype=torch.float64)
    for row in range(side):
        matrix[row, 2 * row : 2 * row + len(SYM6)] = torch.tensor(SYM6, dtype=torch.float64)
    return (matrix / 2**0.5).to(device, dtype, non_blocking=True)


@lru_cache(maxsize=64)
def band_filters(side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return matrices that split a side into octaves, lowest first: ``(4, side, side)``.

    Their sum is the identity.
    """
    matrices = torch.zeros(BANDS, side, side, dtype=torch.float64)
    for band, taps in enumerate(split_octaves()):
        half = len(taps) // 2
        for row in range(side):
            for offset, weight in enumerate(taps.tolist(), -half):
                matrices[band, row, reflect(row + offset, side)] += weight
    return matrices.to(device, dtype, non_blocking=True)


def split_octaves() -> list[Tensor]:
    """Return the filters of the octaves, lowest first.

    The square of SYM2's response halves the band without a shift, and what it removes is the
    highest octave. The next ones are found in what remains, each at half the resolution.
    """
    low = torch.tensor(SYM2, dtype=torch.float64)
    low = _convolve(low, low.flip(0)) / 2
    high = -low
    high[len(high) // 2] += 1
    remains, octaves = torch.ones(1, dtype=torch.float64), []
    for level in range(BANDS - 1):
        octaves.append(_convolve(remains, _spread(high, 2**level)))
        remains = _convolve(remains, _spread(low, 2**level))
    return [remains, *reversed(octaves)]


def reflect(index: int, side: int) -> int:
    """Return the pixel that an index beyond the sides stands for."""
    period = period_of(side) // 2
    index %= period
    return min(index, period - index) if side > 1 else 0


def _convolve(one: Tensor, other: Tensor) -> Tensor:
    padding = len(other) - 1
    return torch.conv1d(one[None, None], other.flip(0)[None, None], padding=padding)[0, 0]


def _spread(taps: Tensor, factor: int) -> Tensor:
    """Return taps with zeros between them."""
    spread = taps.new_zeros(factor * (len(taps) - 1) + 1)
    spread[::factor] = taps
    return spread
