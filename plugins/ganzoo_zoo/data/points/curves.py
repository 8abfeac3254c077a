"""Points along lines of the plane: a straight one, a spiral, two moons."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import DataSpec
from ganzoo_zoo.data.points.base import Length, Point, Points

if TYPE_CHECKING:
    from torch import Generator, Tensor

Line2D = tuple[Point, ...]
"""Points of a line, which goes straight from each to the next; one point alone is a dot."""
PIECES = 256
"""Straight pieces of a half circle, or of a turn of the spiral."""


class Lines(Points):
    """Base of points that lie evenly along lines of the plane, and are spread around them."""

    @abstractmethod
    def lines(self) -> tuple[Line2D, ...]:
        """Return the lines."""

    @abstractmethod
    def spread(self, rng: Generator) -> Tensor:
        """Draw the offset of each point from its line, ``(samples, 2)``."""

    @property
    def dot_length(self) -> float:
        """Length that a dot counts for."""
        return 1.0

    def describe(self) -> DataSpec:
        """Return the length of a point; lines have no modes."""
        return DataSpec(shape=(2,))

    def draw(self, rng: Generator) -> Tensor:
        """Draw a place for each point, anywhere along all lines, and its offset from there."""
        import torch

        pieces = torch.tensor(list(self._pieces()), dtype=torch.float64)
        starts, ends, lengths = pieces[:, 0:2], pieces[:, 2:4], pieces[:, 4]
        reached = lengths.cumsum(0)
        places = torch.rand(self.samples, generator=rng, dtype=torch.float64) * reached[-1]
        chosen = torch.searchsorted(reached, places, right=True).clamp(max=len(pieces) - 1)
        left = ((reached[chosen] - places) / lengths[chosen]).unsqueeze(1)
        return (ends[chosen].lerp(starts[chosen], left) + self.spread(rng)).float()

    def _pieces(self) -> Iterator[tuple[float, ...]]:
        """Yield the straight pieces of all lines: both ends, and the length."""
        for line in self.lines():
            if len(set(line)) == 1:
                yield *line[0], *line[0], self.dot_length
                continue
            for start, end in pairwise(line):
                if length := math.dist(start, end):
                    yield *start, *end, length


class Curve(Lines):
    """Base of lines with a Gaussian spread around them."""

    std: Length = Field(default=0.02, description="Standard deviation around the curve.")

    def spread(self, rng: Generator) -> Tensor:
        """Draw Gaussian offsets."""
        import torch

        return self.std * torch.randn(self.samples, 2, generator=rng)


class Line(Curve):
    """A straight line in the plane: of length 2, through the origin, along the diagonal."""

    std: Length = Field(default=0.02, description="Standard deviation around the line.")
    length: Length = Field(default=2.0, description="Length of the line.")

    def lines(self) -> tuple[Line2D, ...]:
        """Return the line."""
        end = self.length / math.sqrt(8)
        return (((-end, -end), (end, end)),)


class Spiral(Curve):
    """A spiral in the plane: one and a half turns from the origin out to radius 1.

    It is that of Archimedes, whose radius grows in proportion to the angle. The points lie evenly
    along it.
    """

    std: Length = Field(default=0.02, description="Standard deviation around the spiral.")
    turns: float = Field(default=1.5, gt=0, le=20, description="Turns around the origin.")
    radius: Length = Field(default=1.0, description="Radius of the outer end.")

    def lines(self) -> tuple[Line2D, ...]:
        """Return the spiral, counter-clockwise from the origin."""
        pieces = math.ceil(self.turns * PIECES)
        steps = [i / pieces for i in range(pieces + 1)]
        angles = [2 * math.pi * self.turns * each for each in steps]
        radii = [self.radius * each for each in steps]
        return (
            tuple((r * math.cos(a), r * math.sin(a)) for r, a in zip(radii, angles, strict=True)),
        )


class Moons(Curve):
    """Two half circles of radius 1 in the plane that reach into each other.

    They are those of scikit-learn's ``make_moons``, around the origin.
    """

    std: Length = Field(default=0.05, description="Standard deviation around each moon.")

    def lines(self) -> tuple[Line2D, ...]:
        """Return the upper moon and the lower one."""
        angles = [math.pi * i / PIECES for i in range(PIECES + 1)]
        upper = tuple((math.cos(a) - 0.5, math.sin(a) - 0.25) for a in angles)
        return upper, tuple((-x, -y) for x, y in upper)
