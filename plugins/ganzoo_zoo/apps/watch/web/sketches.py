"""Sketches of point sets for the form, made without drawing points."""

from __future__ import annotations

from itertools import chain
from typing import Any

from ganzoo_zoo.data.points.base import Point
from ganzoo_zoo.data.points.curves import Curve, Lines
from ganzoo_zoo.data.points.drawn import Drawn
from ganzoo_zoo.data.points.mixtures import Mixture

MOST_POINTS = 60
"""The most points of a line of a sketch."""


def make_sketch(dataset: Any) -> dict[str, Any] | None:
    """Return what a set of points in the plane looks like; None for sets of other packages.

    Args:
        dataset: A dataset with its options.

    Returns:
        ``dots``, the centres ``(x, y)`` of modes, ``lines`` of such points, and ``spread``, the
        standard deviation around both, all in units in which the set reaches from -1 to 1.
    """
    dots: list[Point] = []
    lines: list[list[Point]] = []
    spread = 0.0
    if isinstance(dataset, Mixture):
        dots, spread = list(dataset.modes()), dataset.std
    elif isinstance(dataset, Lines):
        lines = [list(line[:: len(line) // MOST_POINTS + 1]) for line in dataset.lines()]
        # A quarter of the pen's width is the deviation of an even disc in each direction.
        spread = (
            dataset.std
            if isinstance(dataset, Curve)
            else dataset.width / 4
            if isinstance(dataset, Drawn)
            else 0.0
        )
    points = [*dots, *chain.from_iterable(lines)]
    if not points or len(points[0]) != 2:
        return None
    reach = max(abs(each) for point in points for each in point) + 2 * spread

    def scale(point: Point) -> list[float]:
        return [round(each / reach, 3) for each in point]

    return {
        "dots": list(map(scale, dots)),
        "lines": [list(map(scale, line)) for line in lines],
        "spread": round(spread / reach, 4),
    }
