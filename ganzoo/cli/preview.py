"""A few samples in the terminal, in half blocks: two pixels to a character."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

import torch.nn.functional as F
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from ganzoo.media.images import PLOT, split_picture

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from torch import Tensor

HALF_BLOCK = "\N{UPPER HALF BLOCK}"
COLOURS = ("256", "truecolor")
MIN_WIDTH, MIN_HEIGHT = 40, 16
"""Columns and lines that a terminal must have."""
MAX_LINES = 12
"""Lines of samples, at most."""
MAX_SAMPLES = 16
"""Samples in a line, at most."""


def can_show(console: Console) -> bool:
    """Tell whether a console is a terminal that shows pictures: colours, half blocks, and room."""
    return (
        console.is_terminal
        and not console.is_dumb_terminal
        and not console.legacy_windows
        and not console.no_color
        and console.color_system in COLOURS
        and console.encoding.startswith("utf")
        and console.width >= MIN_WIDTH
        and console.height >= MIN_HEIGHT
    )


class Preview:
    """The first samples of a picture, as many as there is room for, to be printed by rich.

    Args:
        picture: uint8 ``(C, H, W)``; no more than is shown is kept of it.
        layout: How it is laid out, as :func:`ganzoo.media.images.describe_layout` says.
        rows: Rows that belong together: 2 where images lie above what they became.
    """

    def __init__(self, picture: Tensor, layout: str, rows: int = 1) -> None:
        found = split_picture(picture, layout)
        self._samples = None if found is None else found[:rows, :MAX_SAMPLES].clone()
        self._plot = layout == PLOT
        self._cache: tuple[tuple[int, int], list[Segment]] | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """Give the lines; none where nothing can be shown."""
        place = options.max_width, console.height
        if self._samples is None or not can_show(console):
            return
        if self._cache is None or self._cache[0] != place:
            self._cache = place, list(_segments(self._pixels(*place)))
        yield from self._cache[1]

    def _pixels(self, width: int, height: int) -> list[Tensor]:
        """Return each row of samples, made small: ``(N, 2 * lines, width, 3)``."""
        rows, _, _, high, wide = self._samples.shape
        tall = 2 * max(1, min(MAX_LINES, height // 3) // rows)
        broad = min(max(1, round(tall * wide / high)), width - 1)
        count = max(1, width // (broad + 1))
        return [_shrink(row[:count], (tall, broad), self._plot) for row in self._samples]


def _shrink(samples: Tensor, size: tuple[int, int], plot: bool) -> Tensor:
    levels = samples.float()
    if levels.shape[1] == 4:  # on black, as most terminals are
        levels = levels[:, :3] * (levels[:, 3:] / 255)
    # Of a plot the darkest pixel counts: its points are small, and white would swallow them.
    levels = -F.adaptive_max_pool2d(-levels, size) if plot else F.adaptive_avg_pool2d(levels, size)
    return levels.round().byte().expand(-1, 3, -1, -1).permute(0, 2, 3, 1)


def _segments(rows: list[Tensor]) -> Iterator[Segment]:
    for samples in rows:
        # Each sample's lines of pairs: the pixel above, and the one below.
        images = samples.unflatten(1, (-1, 2)).transpose(2, 3).flatten(3).tolist()
        for lines in zip(*images, strict=True):
            for line in lines:
                for levels, run in groupby(line):
                    yield Segment(HALF_BLOCK * len(list(run)), _style(*levels))
                yield Segment(" ")
            yield Segment.line()


@lru_cache(maxsize=4096)
def _style(*levels: int) -> Style:
    return Style(color=Color.from_rgb(*levels[:3]), bgcolor=Color.from_rgb(*levels[3:]))
