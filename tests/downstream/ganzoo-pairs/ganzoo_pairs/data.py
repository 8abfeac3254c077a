"""Pairs of squares and their outlines."""

from __future__ import annotations

import torch
from pydantic import Field

from ganzoo import Dataset, DataSpec, Samples


class Outlines(Dataset):
    """Filled squares in three colours, with their grey outlines as sources."""

    holds = "images"

    count: int = Field(default=24, ge=1, description="Number of pairs.")

    def needs_download(self) -> bool:
        """Return False: the images are drawn."""
        return False

    def read(self) -> Samples:
        """Draw targets ``(3, 16, 16)`` and sources ``(1, 16, 16)``."""
        targets = torch.zeros(self.count, 3, 16, 16, dtype=torch.uint8)
        sources = torch.zeros(self.count, 1, 16, 16, dtype=torch.uint8)
        for i in range(self.count):
            start, side = i % 5, 6 + i % 4
            inside = slice(start + 1, start + side - 1)
            sources[i, :, start : start + side, start : start + side] = 255
            sources[i, :, inside, inside] = 0
            targets[i, i % 3, start : start + side, start : start + side] = 200
        return Samples(DataSpec(shape=(3, 16, 16), source=(1, 16, 16)), targets, sources=sources)
