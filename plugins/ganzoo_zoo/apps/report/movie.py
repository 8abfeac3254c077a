"""A movie of a run's training, from its sample pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

    from ganzoo.runs.folder import Run

    Texts = Mapping[str, str]
    Writer = Callable[[Path, Iterator[Image], Sequence[int], Texts], None]
from ganzoo.media.movies import FRAME_MS, check_movie_path, write_movie

HOLD = 2000
"""Minimal duration of the last frame, in milliseconds."""
TRAINING = 10_000
"""Duration of a movie in milliseconds, unless frames would be too short or too long."""
SLOWEST = 500
"""Maximal duration of a frame, in milliseconds."""
CAPTION = 14
"""Font size of the caption below a frame, in pixels."""


def training_movie(run: Run, path: Path) -> int:
    """Write a run's sample pictures as a movie, with the step below each.

    The movie takes about ten seconds and holds the last frame. The run may still be training.

    Args:
        run: The run, of which ``config.json`` and ``samples/`` are read.
        path: See :func:`ganzoo.media.movies.write_movie`.

    Returns:
        The number of pictures.

    Raises:
        InputError: there are no pictures, or one cannot be read or differs in size or colours.
    """
    from ganzoo.media.images import provenance

    check_movie_path(path)
    found = run.pictures()
    if not found:
        raise InputError(f"{run.path} has no sample pictures yet, which a movie needs")
    pace = min(SLOWEST, max(FRAME_MS, TRAINING // len(found) // 10 * 10))
    durations = [pace] * len(found)
    durations[-1] = pace * math.ceil(HOLD / pace)
    config, first, last = run.config(), min(found), max(found)
    texts = provenance(f"{config.title}, steps {first} to {last}", config.train.seed)
    write_movie(path, _add_captions(found), durations, texts)
    return len(found)


def _add_captions(pictures: Mapping[int, Path]) -> Iterator[Image]:
    from PIL import Image, ImageDraw

    from ganzoo.media.images import load_png, to_pil

    font, first = _load_font(), None
    gap = CAPTION // 2
    widest = math.ceil(font.getlength(_format_caption(max(pictures)))) + 2 * gap
    for step, path in pictures.items():
        picture = to_pil(load_png(path)[0])
        kind = picture.size, picture.mode
        if first not in (None, kind):
            raise InputError(f"{path} differs in size or colours from the pictures before it")
        first = kind
        white = (255,) * len(picture.getbands())
        place = max(picture.width, widest), picture.height + CAPTION + gap
        frame = Image.new(picture.mode, place, white)
        frame.paste(picture)
        grey = tuple(110 if band != "A" else 255 for band in picture.getbands())
        at = gap, picture.height
        ImageDraw.Draw(frame).text(at, _format_caption(step), fill=grey, font=font)
        yield frame


def _format_caption(step: int) -> str:
    return f"step {step:,}"


@cache
def _load_font() -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(CAPTION)
