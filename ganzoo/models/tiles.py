"""Samples of sources of any size, made tile by tile."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ganzoo import distributed
from ganzoo.compute import memory
from ganzoo.errors import InputError
from ganzoo.models.generation import evaluation_mode, run_pass
from ganzoo.progress import report_progress

if TYPE_CHECKING:
    from ganzoo.protocols.architecture import GeneratorInput
    from ganzoo.protocols.dataset import DataSpec

TILE = 256
"""Default height and width of a tile, in pixels of the source."""
MARGIN = 16
"""Pixels around a tile that a generator sees beside it, and whose samples are cut off.

Tiles begin at multiples of it, so that layers which halve an image meet the same pixels in a tile
and in the whole.
"""


@dataclass(frozen=True)
class Span:
    """A part of a side, and what is seen with it, in pixels of the source."""

    start: int
    stop: int
    seen_from: int
    seen_to: int

    @property
    def seen(self) -> slice:
        """What is seen, of the source."""
        return slice(self.seen_from, self.seen_to)

    def place(self, factor: int) -> slice:
        """Return where its pixels belong in the sample, which is larger by a factor."""
        return slice(self.start * factor, self.stop * factor)

    def within(self, factor: int) -> slice:
        """Return where its pixels are among those that were made of what is seen."""
        return slice((self.start - self.seen_from) * factor, (self.stop - self.seen_from) * factor)


def require_tile(tile: int) -> int:
    """Return the side of a tile.

    Raises:
        InputError: it is no multiple of :data:`MARGIN`.
    """
    if tile < MARGIN or tile % MARGIN:
        raise InputError(f"--tile {tile}: give a multiple of {MARGIN} pixels")
    return tile


def find_factors(spec: DataSpec) -> tuple[int, int]:
    """Return how much higher and wider a sample is than its source.

    Raises:
        InputError: these are no images, or the factors are not whole.
    """
    source, shape = spec.source or (), spec.shape
    if len(source) != 3 or len(shape) != 3 or shape[1] % source[1] or shape[2] % source[2]:
        raise InputError("the sizes of this model's samples are no multiples of those of sources")
    return shape[1] // source[1], shape[2] // source[2]


def generate_in_tiles(
    generator: nn.Module,
    inputs: GeneratorInput,
    spec: DataSpec,
    tile: int = TILE,
    *,
    stored: bool = False,
) -> Tensor:
    """Generate samples of sources of any size, one tile of one source at a time.

    Each tile is made with :data:`MARGIN` pixels around it, so seams cannot be seen where a pixel
    hardly depends on those further away. A source that is no larger than a tile is made as a whole.
    With several processes, each makes its share of the tiles.

    Args:
        generator: The network; samples are made on its device.
        inputs: Sources ``(N, C, H, W)``, on any device.
        spec: The data that the generator was trained on.
        tile: Height and width of a tile, a multiple of :data:`MARGIN`.
        stored: As for :func:`ganzoo.models.generation.generate`.

    Returns:
        Samples ``(N, C', ...)`` on the CPU, larger than the sources by :func:`find_factors`.
    """
    tile, factors = require_tile(tile), find_factors(spec)
    count, _, *size = inputs.given.shape
    shape = (count, spec.image_channels, *(a * b for a, b in zip(size, factors, strict=True)))
    memory.require((1 if stored else 4) * math.prod(shape), f"samples of {shape[2]} x {shape[3]}")
    places = [
        (number, rows, columns)
        for number in range(count)
        for rows in _cut(size[0], tile)
        for columns in _cut(size[1], tile)
    ]
    device = next(generator.parameters()).device

    def make(place: tuple[int, Span, Span]) -> Tensor:
        number, rows, columns = place
        (seen,) = _select(inputs, number, rows, columns).parts(1, device)
        made = run_pass(generator, seen, stored=stored)
        return made[0, :, rows.within(factors[0]), columns.within(factors[1])].contiguous()

    result = torch.empty(shape, dtype=torch.uint8 if stored else torch.float32)
    with evaluation_mode(generator), torch.inference_mode():
        tiles = distributed.sharers().map_items(places, make)
        for done, ((number, rows, columns), made) in enumerate(zip(places, tiles, strict=True), 1):
            result[number, :, rows.place(factors[0]), columns.place(factors[1])] = made
            report_progress("drawing tiles", done, len(places))
    return result


def _select(inputs: GeneratorInput, number: int, rows: Span, columns: Span) -> GeneratorInput:
    """Return what is seen of a tile of one sample."""
    one, labels = slice(number, number + 1), inputs.labels
    return replace(
        inputs,
        given=inputs.given[one, :, rows.seen, columns.seen],
        labels=None if labels is None else labels[one],
    )


def _cut(length: int, tile: int) -> Iterator[Span]:
    """Cut a side into tiles."""
    for start in range(0, length, tile):
        stop = min(length, start + tile)
        yield Span(start, stop, max(0, start - MARGIN), min(length, stop + MARGIN))
