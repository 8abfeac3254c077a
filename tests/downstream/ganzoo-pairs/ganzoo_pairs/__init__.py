"""Paired translation in the manner of pix2pix."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from ganzoo import Architecture, DataSpec, GeneratorInput
from ganzoo.errors import InputError


class PairedTranslation(Architecture):
    """Translation of each source to its target; the discriminator sees patches of both.

    The generator also minimises the mean absolute difference to the target (Isola et al. 2017,
    equation 4).
    """

    paper = "Isola et al. 2017, arXiv:1611.07004"
    default_loss = "non-saturating"
    takes_sources = True
    judges_source = True

    width: int = Field(default=16, gt=0, description="Channels of the hidden layers.")
    l1_weight: float = Field(default=100.0, ge=0, description="Weight of the L1 term.")

    def generator(self, data: DataSpec) -> nn.Module:
        """Build sources ``(N, *data.source)`` -> images ``(N, *data.shape)``."""
        if data.source is None or not data.is_image or data.source[1:] != data.shape[1:]:
            raise InputError("sources and samples must be images of one size")
        down = nn.Conv2d(data.source[0], self.width, 4, 2, 1), nn.ReLU()
        up = nn.ConvTranspose2d(self.width, self.width, 2, 2), nn.ReLU()
        last = nn.Conv2d(self.width, data.image_channels, 3, 1, 1), nn.Tanh()
        return nn.Sequential(*down, *up, *last)

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build images and their sources -> logits ``(N, P)`` of P patches."""
        assert data.source is not None, "the generator has refused it"
        return Patches(data.image_channels + data.source[0], self.width)

    def generator_terms(
        self, generator: nn.Module, inputs: GeneratorInput, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Compare each fake with the target of its source."""
        return {"l1": self.l1_weight * (fake - real).abs().mean()}


class Patches(nn.Sequential):
    """Judges patches of 10 pixels, of images and sources together."""

    def __init__(self, channels: int, width: int) -> None:
        first, last = nn.Conv2d(channels, width, 4, 2, 1), nn.Conv2d(width, 1, 4, 2, 1)
        super().__init__(first, nn.LeakyReLU(0.2), last, nn.Flatten())

    def forward(self, samples: Tensor, source: Tensor) -> Tensor:
        """Return the logits of patches."""
        return super().forward(torch.cat([samples, source], dim=1))
