"""Samples in the terminal, drawn with half blocks: two pixels to a character."""

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
"""Fewest columns and lines of a terminal that shows previews."""
MAX_LINES = 12
"""Most lines of samples."""
MAX_SAMPLES = 16
"""Most samples in a line."""


def can_show(console: Console) -> bool:
    """Tell whether a console is a terminal with colours, half blocks and enough room."""
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
    """A rich renderable: as many of a picture's first samples as there is room for.

    Args:
        picture: A uint8 picture ``(C, H, W)``; only what is shown is copied.
        layout: Its layout, as by :func:`ganzoo.media.images.describe_layout`.
        rows: Number of rows to show: 2 for sources and their translations.
    """

    def __init__(self, picture: Tensor, layout: str, rows: int = 1) -> None:
        found = split_picture(picture, layout)
        self._samples = None if found is None else found[:rows, :MAX_SAMPLES].clone()
        self._plot = layout == PLOT
        self._cache: tuple[tuple[int, int], list[Segment]] | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """Yield the lines; none if nothing can be shown."""
        place = options.max_width, console.height
        if self._samples is None or not can_show(console):
            return
        if self._cache is None or self._cache[0] != place:
            rows = _shrink_to_fit(self._samples, *place, self._plot)
            self._cache = place, list(_segments(rows))
        yield from self._cache[1]


def _shrink_to_fit(samples: Tensor, width: int, height: int, plot: bool) -> list[Tensor]:
    """Shrink samples ``(rows, columns, C, H, W)`` to a terminal's width and height.

    Returns:
        For each row, the samples that fit: uint8 ``(N, 2 * lines, width, 3)``.
    """
    rows, _, _, sample_height, sample_width = samples.shape
    tall = 2 * max(1, min(MAX_LINES, height // 3) // rows)
    wide = min(max(1, round(tall * sample_width / sample_height)), width - 1)
    count = max(1, width // (wide + 1))
    return [_shrink(row[:count], (tall, wide), plot) for row in samples]


def _shrink(samples: Tensor, size: tuple[int, int], plot: bool) -> Tensor:
    levels = samples.float()
    if levels.shape[1] == 4:  # on black, the background of most terminals
        levels = levels[:, :3] * (levels[:, 3:] / 255)
    # Keep a plot's darkest pixels: averaged with white, its small points would vanish.
    levels = -F.adaptive_max_pool2d(-levels, size) if plot else F.adaptive_avg_pool2d(levels, size)
    return levels.round().byte().expand(-1, 3, -1, -1).permute(0, 2, 3, 1)


def _segments(rows: list[Tensor]) -> Iterator[Segment]:
    for samples in rows:
        # Per sample, lines of pixel pairs: RGB of the upper and of the lower pixel.
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
