"""The latents of a generator of points: those that are drawn, and a grid of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ganzoo.protocols.latent_parts import LatentPart
from ganzoo_zoo.apps.watch.points.frames import GRID, GRID_LINE, MOST_POINTS
from ganzoo_zoo.apps.watch.points.packing import pack_points

if TYPE_CHECKING:
    from ganzoo.protocols.latent_parts import Distribution

REACHES: dict[Distribution, float] = {"normal": 3.0, "uniform": 1.0}
"""The largest coordinate of a latent that is drawn, by its distribution."""


@dataclass(frozen=True)
class LatentSpace:
    """The latents that a generator starts from."""

    z_dim: int
    """How many numbers a latent has."""
    prior: Distribution
    """The distribution of each: ``normal`` or ``uniform``."""

    @classmethod
    def of(cls, parts: Sequence[LatentPart]) -> LatentSpace | None:
        """Return the space of latents of one part of numbers; None for any other."""
        if len(parts) != 1 or parts[0].distribution not in REACHES:
            return None
        return cls(parts[0].size, parts[0].distribution)

    @property
    def reach(self) -> float:
        """The largest coordinate that is drawn."""
        return REACHES[self.prior]

    def describe(self, latents: Tensor) -> dict[str, Any]:
        """Return the space as JSON, with some latents.

        Args:
            latents: Latents ``(N, z_dim)``, of which the first ones are used.
        """
        lines = self.lines()
        return {
            "z_dim": self.z_dim,
            "prior": self.prior,
            "latent_reach": self.reach,
            "latents": self.pack(latents[:MOST_POINTS]),
            "latent_lines": None if lines is None else [round(each, 4) for each in lines.tolist()],
        }

    def pack(self, latents: Tensor) -> str:
        """Encode the first two coordinates of latents ``(N, z_dim)``; a missing one is 0."""
        two = latents[:, :2].float().cpu()
        if self.z_dim == 1:
            two = torch.cat([two, torch.zeros_like(two)], dim=1)
        return pack_points(two, 0.0, self.reach)

    def lines(self) -> Tensor | None:
        """Return the coordinates of the grid's lines, from the lowest up; None without a grid.

        Between two of them lies the same share of latents. They begin and end at the reach, beyond
        which there are 0.3% of normal numbers.
        """
        if self.z_dim not in (1, 2):
            return None
        count = GRID if self.z_dim == 2 else GRID_LINE
        if self.prior == "uniform":
            return torch.linspace(-1, 1, count)
        beyond = NormalDist().cdf(-self.reach)
        shares = torch.linspace(beyond, 1 - beyond, count, dtype=torch.float64)
        return torch.special.ndtri(shares).float()

    def grid(self) -> Tensor | None:
        """Return the grid of latents ``(GRID * GRID, 2)`` or ``(GRID_LINE, 1)``; None without.

        It goes row by row: the first coordinate grows within a row, the second from row to row.
        """
        if (lines := self.lines()) is None:
            return None
        if self.z_dim == 1:
            return lines[:, None]
        second, first = torch.meshgrid(lines, lines, indexing="ij")
        return torch.stack([first, second], dim=2).reshape(-1, 2)
