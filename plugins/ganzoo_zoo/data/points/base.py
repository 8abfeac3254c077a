"""The base of sets of points that code draws."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ganzoo import Dataset, DataSpec, Samples
from ganzoo.compute import memory

if TYPE_CHECKING:
    from torch import Generator, Tensor

Point = tuple[float, ...]
Length = Annotated[float, Field(gt=0, le=1e6)]


class Points(Dataset):
    """Base of sets of points that are drawn from a known distribution."""

    holds = "points"
    licence = "apache-2.0"  # the package's own: the points are drawn by its code

    samples: int = Field(default=100_000, gt=0, le=10_000_000, description="Points to draw.")

    @abstractmethod
    def describe(self) -> DataSpec:
        """Return the length of a point, and the true modes, if there are any."""

    @abstractmethod
    def draw(self, rng: Generator) -> Tensor:
        """Draw ``samples`` points, float32 ``(samples, D)``."""

    def needs_download(self) -> bool:
        """Return False: the points are drawn."""
        return False

    def read(self) -> Samples:
        """Draw the points from a fixed seed."""
        from ganzoo.compute.seeding import make_rng

        spec = self.describe()
        memory.require(16 * self.samples * spec.size, f"{self.samples:,} points")
        # The seed is fixed: the run's seed must not change the data.
        return Samples(spec, self.draw(make_rng(0, "points")))
