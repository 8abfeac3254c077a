"""StyleGAN2 in small: a generator that gives its w, and a discriminator that sees its batch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from ganzoo import Architecture, DataSpec
from ganzoo.errors import InputError
from ganzoo_families.style_generator import StyleGenerator


class MinibatchDeviation(nn.Module):
    """Adds a channel: how much the samples of the batch differ."""

    def forward(self, x: Tensor) -> Tensor:
        """Append the mean deviation to features ``(N, C, H, W)``."""
        spread = (x.var(0, correction=0) + 1e-8).sqrt().mean()
        return torch.cat([x, spread.expand(len(x), 1, *x.shape[2:])], 1)


class TinyStyleGAN2(Architecture):
    """A style-based generator, for images whose sides are multiples of 4."""

    paper = "Karras et al. 2020, arXiv:1912.04958"
    default_loss = "non-saturating"
    generator_parts = ("w",)

    z_dim: int = Field(default=8, gt=0, description="Length of a latent and of w, and channels.")

    def generator(self, data: DataSpec) -> nn.Module:
        """Build latents ``(N, z_dim)`` -> images and w."""
        if not data.is_image or any(side % 4 for side in data.shape[1:]):
            raise InputError("it makes images whose sides are multiples of 4; give --image-size")
        return StyleGenerator(data, self.z_dim)

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build images ``(N, *data.shape)`` -> logits ``(N,)``."""
        look = [] if independent_samples else [MinibatchDeviation()]
        return nn.Sequential(
            nn.Conv2d(data.shape[0], self.z_dim, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(self.z_dim, self.z_dim, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            *look,
            nn.Flatten(),
            nn.Linear((self.z_dim + len(look)) * (data.size // data.shape[0] // 16), 1),
            nn.Flatten(0),
        )

    def learning_rates(self, network: nn.Module) -> Mapping[str, float]:
        """Let the mapping learn a hundred times more slowly."""
        return {"mapping.": 0.01} if isinstance(network, StyleGenerator) else {}
