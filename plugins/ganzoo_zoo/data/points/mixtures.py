"""Mixtures of Gaussians with known modes."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import DataSpec
from ganzoo_zoo.data.points.base import Length, Point, Points

if TYPE_CHECKING:
    from torch import Generator, Tensor


class Mixture(Points):
    """Base of mixtures of Gaussians with equal weights and equal standard deviations."""

    std: Length = Field(description="Standard deviation of each mode.")

    @abstractmethod
    def modes(self) -> tuple[Point, ...]:
        """Return the centres of the Gaussians, all of the same dimension."""

    def describe(self) -> DataSpec:
        """Return the length of a point, and the true modes."""
        modes = self.modes()
        return DataSpec(shape=(len(modes[0]),), classes=None, modes=modes, mode_std=self.std)

    def draw(self, rng: Generator) -> Tensor:
        """Draw a mode for each point, and its place around that."""
        import torch

        centres = torch.tensor(self.modes())
        chosen = torch.randint(len(centres), (self.samples,), generator=rng)
        noise = torch.randn(self.samples, centres.shape[1], generator=rng)
        return centres[chosen] + self.std * noise


class Ring(Mixture):
    """Gaussians on a circle in the plane: 8 of them, radius 1, standard deviation 0.01.

    The 2D Ring of VEEGAN (Srivastava et al. 2017, section 4.1) and PacGAN (Lin et al. 2018).
    """

    paper = "Srivastava et al. 2017, arXiv:1705.07761"

    std: Length = Field(default=0.01, description="Standard deviation of each mode.")
    radius: Length = Field(default=1.0, description="Radius of the circle.")
    count: int = Field(default=8, gt=0, le=10_000, description="Number of modes.")

    def modes(self) -> tuple[Point, ...]:
        """Return the centres, counter-clockwise from the right."""
        angles = [2 * math.pi * i / self.count for i in range(self.count)]
        return tuple((self.radius * math.cos(a), self.radius * math.sin(a)) for a in angles)


class Grid(Mixture):
    """Gaussians on a square grid in the plane: 5 x 5, spacing 2, standard deviation 0.05.

    The 2D Grid of VEEGAN (Srivastava et al. 2017, section 4.1) and PacGAN (Lin et al. 2018).
    """

    paper = "Srivastava et al. 2017, arXiv:1705.07761"

    std: Length = Field(default=0.05, description="Standard deviation of each mode.")
    side: int = Field(default=5, gt=0, le=100, description="Modes along a side.")
    spacing: Length = Field(default=2.0, description="Distance between neighbours.")

    def modes(self) -> tuple[Point, ...]:
        """Return the centres, around the origin."""
        places = [(i - (self.side - 1) / 2) * self.spacing for i in range(self.side)]
        return tuple((x, y) for x in places for y in places)


class Gaussian(Mixture):
    """One Gaussian around the origin, of any dimension."""

    std: Length = Field(default=1.0, description="Standard deviation.")
    dimensions: int = Field(default=2, gt=0, le=10_000, description="Length of a sample.")

    def modes(self) -> tuple[Point, ...]:
        """Return the origin."""
        return ((0.0,) * self.dimensions,)


class Blobs(Mixture):
    """Two Gaussians in the plane that do not touch: 2 apart, standard deviation 0.15."""

    std: Length = Field(default=0.15, description="Standard deviation of each blob.")
    distance: Length = Field(default=2.0, description="Distance between the centres.")

    def modes(self) -> tuple[Point, ...]:
        """Return the centres, on the diagonal on both sides of the origin."""
        place = self.distance / math.sqrt(8)
        return ((-place, -place), (place, place))
