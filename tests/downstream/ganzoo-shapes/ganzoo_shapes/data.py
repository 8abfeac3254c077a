"""Images of squares, and what turns them round."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from ganzoo import Augmentation, DataSpec, ImageDataset, Samples


class Squares(ImageDataset):
    """White squares on black, small and large ones as two classes."""

    count: int = Field(default=40, ge=2, description="Images.")

    def needs_download(self) -> bool:
        """Return False: the images are drawn."""
        return False

    def read(self) -> Samples:
        """Draw the images, 16 pixels wide unless resized."""
        labels = torch.arange(self.count) % 2
        stored = torch.zeros(self.count, 1, 16, 16, dtype=torch.uint8)
        for i, image in enumerate(stored):
            side, start = (6 if labels[i] else 3), i % 9
            image[:, start : start + side, start : start + side] = 255
        stored = self.resize(stored)
        spec = DataSpec(shape=tuple(stored.shape[1:]), classes=2, class_names=("small", "large"))
        return Samples(spec, stored, labels)


class Mirror(Augmentation):
    """Some of the images, mirrored."""

    share: float = Field(default=0.5, ge=0, le=1, description="How many of them.")

    def augment(self, samples: Tensor) -> Tensor:
        """Mirror each with a probability."""
        chosen = torch.rand(len(samples), 1, 1, 1, device=samples.device) < self.share
        return torch.where(chosen, samples.flip(3), samples)
