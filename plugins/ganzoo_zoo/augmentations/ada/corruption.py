"""Random filters, noise and cutouts.

Karras et al. 2020, arXiv:2006.06676, appendix B.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ganzoo_zoo.augmentations.ada.draws import draw_applied, draw_normal, draw_uniform
from ganzoo_zoo.augmentations.ada.matrices import apply_to_sides
from ganzoo_zoo.augmentations.ada.wavelets import BANDS, band_filters

LOWEST, OTHERS = 10 / 13, 1 / 13
"""Share of the lowest octave, and of each other one, in the expected power of an image."""
NOISE = 0.1
CUT = 0.5


def filter_bands(images: Tensor, chances: Mapping[str, Tensor]) -> Tensor:
    """Return images with their octaves amplified by 2^n, so that the expected power stays.

    Each octave is applied or not on its own, and each rescales all four.
    """
    gains = draw_band_gains(images, chances["filter"])
    identity = (
        torch.eye(side, dtype=images.dtype, device=images.device) for side in images.shape[2:]
    )
    rows, columns = (
        each
        + torch.einsum("nb,bij->nij", gains - 1, band_filters(len(each), each.dtype, each.device))
        for each in identity
    )
    return apply_to_sides(rows[:, None], images, columns[:, None])


def draw_band_gains(images: Tensor, chance: Tensor) -> Tensor:
    """Draw the gain of each octave of each image, ``(N, 4)``."""
    gains = torch.ones(len(images), BANDS, dtype=images.dtype, device=images.device)
    for band in range(BANDS):
        applied = draw_applied(images, chance)
        one = torch.ones_like(gains)
        one[:, band] = torch.exp2(draw_normal(images))
        powers = one.square()
        power = LOWEST * powers[:, :1] + OTHERS * powers[:, 1:].sum(1, keepdim=True)
        one = one / power.sqrt()
        gains = torch.where(applied[:, None], gains * one, gains)
    return gains


def add_noise(images: Tensor, chances: Mapping[str, Tensor]) -> Tensor:
    """Return images with white noise, of a deviation 0.1 |n| for each image."""
    applied = draw_applied(images, chances["noise"])
    deviations = NOISE * draw_normal(images).abs() * applied
    return images + torch.randn_like(images) * deviations[:, None, None, None]


def cut_out(images: Tensor, chances: Mapping[str, Tensor]) -> Tensor:
    """Return images with 0 in a rectangle of half their sides, whose centre is anywhere in them."""
    applied = draw_applied(images, chances["cutout"])
    down, across = (_draw_cut(images, side) for side in images.shape[2:])
    cut = down[:, None, :, None] & across[:, None, None] & applied[:, None, None, None]
    return torch.where(cut, 0, images)


def _draw_cut(images: Tensor, side: int) -> Tensor:
    """Draw which pixels along a side are cut out, booleans ``(N, side)``."""
    places = (torch.arange(side, dtype=images.dtype, device=images.device) + 0.5) / side
    return (places - draw_uniform(images)[:, None]).abs() < CUT / 2
