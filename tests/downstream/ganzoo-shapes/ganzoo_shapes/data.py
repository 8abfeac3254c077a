"""Images of squares."""

from __future__ import annotations

import torch
from pydantic import Field

from ganzoo import DataSpec, ImageDataset, Samples


class Squares(ImageDataset):
    """White squares on black, small and large ones as two classes."""

    count: int = Field(40, ge=2, description="Images.")

    def read(self) -> Samples:
        """Draw the images, 16 pixels wide unless resized."""
        labels = torch.arange(self.count) % 2
        stored = torch.zeros(self.count, 1, 16, 16, dtype=torch.uint8)
        for i, image in enumerate(stored):
            side, start = (6 if labels[i] else 3), i % 9
            image[:, start : start + side, start : start + side] = 255
        stored = self.resized(stored)
        spec = DataSpec(shape=tuple(stored.shape[1:]), classes=2, class_names=("small", "large"))
        return Samples(spec, stored, labels)
