"""Sources that are made of the images themselves: edges, luma and holes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo.errors import InputError

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in ITU-R BT.601, by which grey images are read from files too."""
ACROSS = ((0, 1), (1, 1), (1, 0), (1, -1))
"""Rows and columns to the next pixel, for slopes of 0, 45, 90 and 135 degrees."""


def to_luma(colours: Tensor) -> Tensor:
    """Return the grey levels ``(N, 1, H, W)`` of colours ``(N, 3, H, W)``."""
    red, green, blue = colours.unbind(1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)[:, None]


def take_colour(images: Tensor) -> Tensor:
    """Return the grey levels ``(N, 1, H, W)`` of images in colour, to be coloured again.

    Raises:
        InputError: the images are grey.
    """
    if images.shape[1] == 1:
        raise InputError(
            "the images are grey, so there is no colour to take away; give images in colour, or "
            "--set data.image_channels=3"
        )
    return _to_grey(images)


def find_edges(images: Tensor, threshold: float) -> Tensor:
    """Return edges ``(N, 1, H, W)``, -1 on a ground of 1.

    Canny 1986 (doi:10.1109/TPAMI.1986.4767851) but for his hysteresis: grey levels are blurred, and
    an edge is where their slope is at least the threshold, and largest among the neighbours along
    the slope. The blur is binomial, of 3 x 3 pixels, and the slope that of Sobel's operator.

    Args:
        images: Images ``(N, C, H, W)``.
        threshold: Least slope, in white per pixel.
    """
    height, width = images.shape[2:]
    grey = F.pad((_to_grey(images) + 1) / 2, (2, 2, 2, 2), mode="replicate")
    blurred = _blur(_blur(grey, 2), 3)
    down, right = _differ(_blur(blurred, 3), 2), _differ(_blur(blurred, 2), 3)
    slope = (down.square() + right.square()).sqrt()
    direction = (torch.atan2(down, right) * (4 / torch.pi)).round() % 4
    around = F.pad(slope, (1, 1, 1, 1))

    def neighbour(rows: int, columns: int) -> Tensor:
        return around[:, :, 1 + rows : 1 + rows + height, 1 + columns : 1 + columns + width]

    largest = torch.zeros_like(slope, dtype=torch.bool)
    for number, (rows, columns) in enumerate(ACROSS):
        # Of two equal neighbours one is the edge.
        peak = (slope >= neighbour(rows, columns)) & (slope > neighbour(-rows, -columns))
        largest |= peak & (direction == number)
    return 1 - 2 * (largest & (slope >= threshold)).to(images.dtype)


def cut_hole(images: Tensor, *, is_central: bool) -> Tensor:
    """Return images with a hole ``(N, 4, H, W)``: colours, and 1 where they are known, else -1.

    Unknown colours are 0. A hole is a rectangle. At random, its sides are a quarter to a half of
    the image's, and it lies anywhere within.

    Args:
        images: Grey images or images in colour ``(N, C, H, W)``.
        is_central: Whether each hole is the middle, with half of the image's sides.

    Raises:
        InputError: the images are transparent.
    """
    if images.shape[1] == 4:
        raise InputError(
            "the hole of a source is where it is transparent, so its image cannot be; add "
            "--set data.image_channels=3"
        )
    rows, columns = (
        _draw_interval(len(images), side, is_central, images.device) for side in images.shape[2:]
    )
    known = (~(rows[:, None, :, None] & columns[:, None, None, :])).to(images.dtype)
    return torch.cat([images.expand(-1, 3, -1, -1) * known, 2 * known - 1], dim=1)


def _to_grey(images: Tensor) -> Tensor:
    """Return the grey levels of images; transparent ones are seen on white."""
    if images.shape[1] == 1:
        return images
    grey = to_luma(images[:, :3])
    if images.shape[1] == 4:
        opacity = (images[:, 3:] + 1) / 2
        grey = opacity * grey + 1 - opacity
    return grey


def _draw_interval(count: int, side: int, is_central: bool, device: torch.device) -> Tensor:
    """Return which places of a side lie in an interval, bool ``(count, side)``."""
    if is_central:
        lengths = torch.full((count, 1), max(1, side // 2), device=device)
        starts = (side - lengths) // 2
    else:
        draws = torch.rand(2, count, 1, device=device)
        lengths = (side * (1 + draws[0]) / 4).round().clamp(min=1)
        starts = (draws[1] * (side - lengths + 1)).floor()
    places = torch.arange(side, device=device)
    return (places >= starts) & (places < starts + lengths)


def _blur(levels: Tensor, dim: int) -> Tensor:
    """Weigh three neighbours by 1/4, 1/2 and 1/4; one is lost at each end."""
    before, here, after = _neighbours(levels, dim)
    return (before + 2 * here + after) / 4


def _differ(levels: Tensor, dim: int) -> Tensor:
    """Return half of the difference of both neighbours; one is lost at each end."""
    before, _, after = _neighbours(levels, dim)
    return (after - before) / 2


def _neighbours(levels: Tensor, dim: int) -> list[Tensor]:
    return [levels.narrow(dim, start, levels.shape[dim] - 2) for start in range(3)]
