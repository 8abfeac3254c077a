"""Random movements of images, composed as one affine map of each and resampled once.

Karras et al. 2020, arXiv:2006.06676, appendix B. With u uniform in [0, 1) and n normal, in this
order:

- xflip, of every other image;
- rotate90, by 0 to 3 quarter turns;
- xint, a shift by whole pixels, up to an eighth of each side;
- scale, by 2^(0.2 n);
- rotate, by any angle, with a chance of 1 - sqrt(1 - p), here and once more below, so that both
  together have one of p;
- aniso, by 2^(0.2 n) across and its inverse down;
- rotate again;
- xfrac, a shift by 0.125 n of each side.

The image is brought to twice its resolution by the wavelet sym6, read there by bilinear
interpolation, and brought back by the same wavelet, which together change nothing where nothing
moves. No number is read on the way, and no shape depends on one: a reflected image repeats itself,
so one period of it is enough for all maps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo_zoo.augmentations.ada.draws import draw_applied, draw_normal, draw_uniform
from ganzoo_zoo.augmentations.ada.matrices import apply_to_sides, multiply
from ganzoo_zoo.augmentations.ada.wavelets import (
    BEFORE,
    downsampler,
    period_of,
    upsampler,
)

SHIFT = 0.125
SCALE = 0.2


def move(images: Tensor, chances: Mapping[str, Tensor]) -> Tensor:
    """Return moved images ``(N, C, H, W)``; those that no transform is applied to as they are."""
    sources, moved = draw_source_maps(images, chances)
    return torch.where(moved[:, None, None, None], resample(images, sources), images)


def draw_source_maps(images: Tensor, chances: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Draw where the pixels of each image come from, and which images are moved.

    Returns:
        Matrices ``(N, 3, 3)`` from a place in the result to one in the image, (x, y, 1) in pixels
        from the centre, and booleans ``(N,)``.
    """
    maps = torch.eye(3, dtype=images.dtype, device=images.device).repeat(len(images), 1, 1)
    moved = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    for name, draw in MOVES:
        if name not in chances:
            continue
        chance = chances[name]
        if draw is _draw_rotation:
            chance = 1 - (1 - chance).sqrt()
        applied = draw_applied(images, chance)
        # The last movement is the first to be undone.
        maps = torch.where(applied[:, None, None], multiply(maps, draw(images)), maps)
        moved = moved | applied
    return maps, moved


def resample(images: Tensor, sources: Tensor) -> Tensor:
    """Return images whose pixels come from elsewhere.

    Args:
        images: Images ``(N, C, H, W)``.
        sources: Where they come from, ``(N, 3, 3)``, as :func:`draw_source_maps` returns it.
    """
    height, width = images.shape[2:]
    kind = images.dtype, images.device
    fine = apply_to_sides(upsampler(height, *kind), images.contiguous(), upsampler(width, *kind))
    read: Tensor = _Sample.apply(fine, _grid(sources, height, width))
    return apply_to_sides(downsampler(height, *kind), read, downsampler(width, *kind))


def _grid(sources: Tensor, height: int, width: int) -> Tensor:
    """Return where to read one period of the image at twice its resolution, ``(N, h, w, 2)``.

    As torch has it: -1 is the first pixel of the period, and 1 the first one of the next.
    """
    across, down = (
        # Of the pixels that the downsampler takes, in pixels of the image from its centre.
        (torch.arange(2 * side + 2 * BEFORE, dtype=sources.dtype, device=sources.device) - BEFORE)
        / 2
        - (side - 1) / 2
        for side in (width, height)
    )
    read = []
    for row, side in enumerate((width, height)):
        along, other, shift = (2 / period_of(side) * sources[:, row]).unbind(1)
        shift = shift + (side - 1) / period_of(side)
        place = along[:, None, None] * across + (other[:, None] * down + shift[:, None])[:, :, None]
        read.append(2 * (place - place.floor()) - 1)
    return torch.stack(read, 3)


class _Sample(torch.autograd.Function):
    """Bilinear interpolation at places that are constants.

    It is linear in the image, so its gradient is its transpose and the gradient of that is itself,
    which torch's own does not know.
    """

    @staticmethod
    def forward(images: Tensor, grid: Tensor) -> Tensor:
        return F.grid_sample(images, grid, align_corners=True)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        images, grid = inputs
        ctx.save_for_backward(grid)
        ctx.shape = images.shape

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (grid,) = ctx.saved_tensors
        return _Spread.apply(gradient, grid, ctx.shape), None


class _Spread(torch.autograd.Function):
    """The transpose of :class:`_Sample`."""

    @staticmethod
    def forward(gradient: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        images = gradient.new_zeros(()).expand(shape)  # Of which only the shape counts.
        spread, _ = torch.ops.aten.grid_sampler_2d_backward(
            gradient, images, grid, 0, 0, True, (True, False)
        )
        return spread

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, torch.Size], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = ctx.saved_tensors
        return _Sample.apply(gradient, grid), None, None


def _draw_flip(images: Tensor) -> Tensor:
    flips = (2 * draw_uniform(images)).floor()
    return _scaling(images, 1 - 2 * flips, torch.ones_like(flips))


def _draw_quarter_turn(images: Tensor) -> Tensor:
    return _rotation(images, (4 * draw_uniform(images)).floor() * (math.pi / 2))


def _draw_whole_shift(images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    across, down = (
        (side * SHIFT * (2 * draw_uniform(images) - 1)).round() for side in (width, height)
    )
    return _shift(images, across, down)


def _draw_scale(images: Tensor) -> Tensor:
    factors = torch.exp2(SCALE * draw_normal(images))
    return _scaling(images, factors, factors)


def _draw_rotation(images: Tensor) -> Tensor:
    return _rotation(images, (2 * draw_uniform(images) - 1) * math.pi)


def _draw_stretch(images: Tensor) -> Tensor:
    factors = torch.exp2(SCALE * draw_normal(images))
    return _scaling(images, factors, 1 / factors)


def _draw_shift(images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    across, down = (side * SHIFT * draw_normal(images) for side in (width, height))
    return _shift(images, across, down)


MOVES: tuple[tuple[str, Callable[[Tensor], Tensor]], ...] = (
    ("xflip", _draw_flip),
    ("rotate90", _draw_quarter_turn),
    ("xint", _draw_whole_shift),
    ("scale", _draw_scale),
    ("rotate", _draw_rotation),
    ("aniso", _draw_stretch),
    ("rotate", _draw_rotation),
    ("xfrac", _draw_shift),
)
"""The names of the movements, and what draws their inverses ``(N, 3, 3)``, in order."""


def _scaling(images: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Return the inverses of scalings by factors ``(N,)``."""
    return _matrices(images, {(0, 0): 1 / across, (1, 1): 1 / down})


def _rotation(images: Tensor, angles: Tensor) -> Tensor:
    """Return the inverses of rotations."""
    cos, sin = angles.cos(), angles.sin()
    return _matrices(images, {(0, 0): cos, (0, 1): sin, (1, 0): -sin, (1, 1): cos})


def _shift(images: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Return the inverses of shifts by pixels."""
    return _matrices(images, {(0, 2): -across, (1, 2): -down})


def _matrices(images: Tensor, entries: Mapping[tuple[int, int], Tensor]) -> Tensor:
    """Return matrices ``(N, 3, 3)`` with some entries, and those of the identity elsewhere."""
    matrices = torch.eye(3, dtype=images.dtype, device=images.device).repeat(len(images), 1, 1)
    for (row, column), values in entries.items():
        matrices[:, row, column] = values
    return matrices
