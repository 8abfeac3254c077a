"""Toy datasets: mixtures of Gaussians with known modes."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated

from pydantic import Field

from ganzoo import Dataset, DataSpec, Samples
from ganzoo.compute import memory

Point = tuple[float, ...]
Length = Annotated[float, Field(gt=0, le=1e6)]


class _Mixture(Dataset):
    """Base of mixtures of Gaussians with equal weights and equal standard deviations."""

    holds = "points"
    licence = "apache-2.0"  # the package's own: the points are drawn by its code

    samples: int = Field(default=100_000, gt=0, le=10_000_000, description="Points to draw.")
    std: Length = Field(description="Standard deviation of each mode.")

    @abstractmethod
    def modes(self) -> tuple[Point, ...]:
        """Return the centres of the Gaussians, all of the same dimension."""

    def needs_download(self) -> bool:
        """Return False: the points are drawn."""
        return False

    def read(self) -> Samples:
        """Draw the points from a fixed seed."""
        import torch

        from ganzoo.compute.seeding import make_rng

        modes = self.modes()
        memory.require(16 * self.samples * len(modes[0]), f"{self.samples:,} points")
        centres = torch.tensor(modes)
        # The seed is fixed: the run's seed must not change the data.
        rng = make_rng(0, "points")
        chosen = torch.randint(len(centres), (self.samples,), generator=rng)
        noise = torch.randn(self.samples, centres.shape[1], generator=rng)
        spec = DataSpec(shape=(centres.shape[1],), classes=None, modes=modes, mode_std=self.std)
        return Samples(spec, centres[chosen] + self.std * noise)


class Ring(_Mixture):
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


class Grid(_Mixture):
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


class Gaussian(_Mixture):
    """One Gaussian around the origin, of any dimension."""

    std: Length = Field(default=1.0, description="Standard deviation.")
    dimensions: int = Field(default=2, gt=0, le=10_000, description="Length of a sample.")

    def modes(self) -> tuple[Point, ...]:
        """Return the origin."""
        return ((0.0,) * self.dimensions,)
