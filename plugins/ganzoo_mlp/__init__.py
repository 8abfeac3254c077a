"""Multilayer perceptrons, the networks of the first GAN."""

from __future__ import annotations

import itertools
from typing import Annotated

from pydantic import Field
from torch import nn

from ganzoo import Architecture, DataSpec


class MLP(Architecture):
    """Fully connected generator and discriminator, for images and for vectors of any length.

    The generator has ReLU hidden layers, as in Goodfellow et al. 2014 (section 5), and ends in
    tanh for images, in a linear layer for vectors. The discriminator has leaky ReLUs of slope 0.2
    in place of the paper's maxout. Neither has normalisation, so every loss may use it.
    """

    paper = "Goodfellow et al. 2014, arXiv:1406.2661"
    default_loss = "non-saturating"
    default_data = "digits"

    z_dim: int = Field(64, gt=0, description="Length of a latent.")
    hidden: tuple[Annotated[int, Field(gt=0)], ...] = Field(
        (256, 256), min_length=1, description="Units of each hidden layer, in both networks."
    )

    def generator(self, data: DataSpec) -> nn.Module:
        """Build latents ``(N, z_dim)`` -> samples ``(N, *data.shape)``."""
        layers = _hidden((self.z_dim, *self.hidden), nn.ReLU())
        layers.append(nn.Linear(self.hidden[-1], data.size))
        if data.is_image:
            layers += [nn.Tanh(), nn.Unflatten(1, data.shape)]
        return nn.Sequential(*layers)

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build samples ``(N, *data.shape)`` -> logits ``(N,)``; samples are always independent."""
        layers = _hidden((data.size, *self.hidden[::-1]), nn.LeakyReLU(0.2))
        return nn.Sequential(nn.Flatten(), *layers, nn.Linear(self.hidden[0], 1), nn.Flatten(0))


def _hidden(sizes: tuple[int, ...], activation: nn.Module) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), activation]
    return layers
