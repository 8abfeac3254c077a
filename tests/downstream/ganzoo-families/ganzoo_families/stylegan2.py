"""StyleGAN2 in small: a generator that gives its w, and a discriminator that sees its batch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import nn

from ganzoo import Architecture, DataSpec, Styles
from ganzoo.errors import InputError
from ganzoo_families.style_discriminator import build_discriminator
from ganzoo_families.style_generator import StyleGenerator

LATENTS = 1000
"""How many latents the mean style is of."""


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
        return build_discriminator(data, self.z_dim, independent_samples)

    def learning_rates(self, network: nn.Module) -> Mapping[str, float]:
        """Let the mapping learn a hundred times more slowly."""
        return {"mapping.": 0.01} if isinstance(network, StyleGenerator) else {}

    def styles(self, generator: nn.Module) -> Styles:
        """Return the mapping and the synthesis."""
        mapping, synthesis = generator.mapping, generator.synthesis
        latents = self.latents(LATENTS, torch.Generator().manual_seed(0))
        weights = [layer.style.weight.detach() for layer in synthesis.layers]
        with torch.no_grad():
            mean = mapping(latents.to(weights[0])).mean((0, 1))
        rows = [number for number, weight in enumerate(weights) for _ in weight]
        return Styles(mapping, synthesis, mean, torch.cat(weights), tuple(rows))
