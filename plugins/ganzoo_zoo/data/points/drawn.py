"""Points along strokes that a person has drawn."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from ganzoo.errors import excerpt
from ganzoo_zoo.data.points.base import Point
from ganzoo_zoo.data.points.curves import Line2D, Lines

if TYPE_CHECKING:
    from torch import Generator, Tensor

MOST_POINTS = 2000
MOST_CHARACTERS = 40_000
NUMBER = r"[+-]?(\d{1,2}(\.\d{0,9})?|\.\d{1,9})"
SMILE = "-0.4,0.3 -0.4,0.6; 0.4,0.3 0.4,0.6; -0.7,-0.2 -0.4,-0.5 0,-0.6 0.4,-0.5 0.7,-0.2"


def parse_strokes(text: str) -> tuple[Line2D, ...]:
    """Return the points of each stroke.

    Args:
        text: Points as ``x,y`` in the square from -1 to 1, with a space between two points and a
            semicolon between two strokes.

    Raises:
        ValueError: the text has another form, or too many points.
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"at most {MOST_CHARACTERS:,} characters, not {len(text):,}")
    strokes = [tuple(map(_parse_point, stroke.split())) for stroke in text.split(";")]
    count = sum(map(len, strokes))
    if not 1 <= count <= MOST_POINTS:
        raise ValueError(f"there must be 1 to {MOST_POINTS:,} points, such as '0,0.5 0.25,-1'")
    return tuple(filter(None, strokes))


def _parse_point(text: str) -> Point:
    point: Point = (math.inf,)
    if re.fullmatch(f"{NUMBER},{NUMBER}", text, re.ASCII):
        point = tuple(map(float, text.split(",")))
    if max(map(abs, point)) > 1:
        raise ValueError(f"'{excerpt(text, 40)}' is not a point from -1,-1 to 1,1, such as 0,0.5")
    return point


def _check(value: Any) -> Any:
    if isinstance(value, str):
        parse_strokes(value)
    return value


class Drawn(Lines):
    """What you draw in the plane, with a round pen; by default a smile.

    The points lie evenly along your strokes, anywhere under the pen. A stroke of one point is a
    dot, and has as many points as its area demands.
    """

    strokes: Annotated[str, BeforeValidator(_check)] = Field(
        default=SMILE,
        pattern=r"^[\d+.,;\s-]+$",  # as programs see that it names no file
        description="Points from -1,-1 to 1,1: a space between two of a stroke, a semicolon "
        f"between two strokes; at most {MOST_POINTS:,}.",
    )
    width: float = Field(default=0.1, gt=0, le=1, description="Width of the pen.")

    def lines(self) -> tuple[Line2D, ...]:
        """Return the strokes."""
        return parse_strokes(self.strokes)

    @property
    def dot_length(self) -> float:
        """Length of a stroke that has the area of a dot."""
        return math.pi / 4 * self.width

    def spread(self, rng: Generator) -> Tensor:
        """Draw offsets on the disc of the pen, evenly."""
        import torch

        radius, angle = torch.rand(2, self.samples, generator=rng)
        radius, angle = self.width / 2 * radius.sqrt(), 2 * math.pi * angle
        return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
