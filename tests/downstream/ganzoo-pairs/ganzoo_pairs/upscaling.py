"""Enlarging images to twice their size, from sources that are made of the images themselves."""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ganzoo import Architecture, DataSpec, GeneratorInput
from ganzoo.errors import InputError


class Upscaling(Architecture):
    """Enlarges images to twice their height and width; trains on any images, without pairs."""

    paper = "Shi et al. 2016, arXiv:1609.05158; Ledig et al. 2017, arXiv:1609.04802"
    default_loss = "non-saturating"
    takes_sources = True

    width: int = Field(default=16, gt=0, description="Channels of the hidden layer.")
    l1_weight: float = Field(default=10.0, ge=0, description="Weight of the L1 term.")

    def make_source(self, samples: Tensor) -> Tensor:
        """Halve the images."""
        if samples.dim() != 4:
            raise InputError("only images can be enlarged")
        return F.avg_pool2d(samples, 2)

    def generator(self, data: DataSpec) -> nn.Module:
        """Build halved images ``(N, *data.source)`` -> images ``(N, *data.shape)``."""
        channels, width = data.image_channels, self.width
        first, last = nn.Conv2d(channels, width, 3, 1, 1), nn.Conv2d(width, 4 * channels, 3, 1, 1)
        return nn.Sequential(first, nn.ReLU(), last, nn.PixelShuffle(2), nn.Tanh())

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build images -> logits ``(N, P)``; it does not see what they were made from."""
        layers = nn.Conv2d(data.image_channels, self.width, 4, 2, 1), nn.Conv2d(self.width, 1, 4, 2)
        return nn.Sequential(layers[0], nn.LeakyReLU(0.2), layers[1], nn.Flatten())

    def generator_terms(
        self, generator: nn.Module, inputs: GeneratorInput, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Compare each fake with the image that was halved."""
        return {"l1": self.l1_weight * (fake - real).abs().mean()}
