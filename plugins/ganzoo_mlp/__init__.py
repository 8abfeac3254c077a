"""Multilayer perceptrons, the networks of the first GAN."""

from __future__ import annotations

import itertools
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from ganzoo import Architecture, DataSpec


class MLP(Architecture):
    """Fully connected generator and discriminator, for images and for vectors of any length.

    The generator has ReLU hidden layers, as in Goodfellow et al. 2014 (section 5), and ends in
    tanh for images, in a linear layer for vectors. The discriminator has leaky ReLUs of slope 0.2
    in place of the paper's maxout. Neither has normalisation, so every loss may use it.

    With ``conditional``, the generator sees a learnt embedding of the class beside the latent
    (Mirza and Osindero 2014, arXiv:1411.1784, section 3.2), and the discriminator projects its last
    hidden layer onto one (Miyato and Koyama 2018, arXiv:1802.05637, equation 4).
    """

    paper = "Goodfellow et al. 2014, arXiv:1406.2661"
    default_loss = "non-saturating"
    default_data = "digits"

    z_dim: int = Field(64, gt=0, description="Length of a latent.")
    hidden: tuple[Annotated[int, Field(gt=0)], ...] = Field(
        (256, 256), min_length=1, description="Units of each hidden layer, in both networks."
    )
    conditional: bool = Field(
        False, description="Whether both networks take the class of each sample."
    )

    def takes_labels(self, data: DataSpec) -> bool:
        """Answer as the option says."""
        return self.conditional

    def generator(self, data: DataSpec) -> nn.Module:
        """Build latents ``(N, z_dim)`` -> samples ``(N, *data.shape)``."""
        if not self.conditional:
            return self._generator(data, self.z_dim)
        classes = data.classes_for("mlp")
        return _BesideLatent(classes, self.z_dim, self._generator(data, 2 * self.z_dim))

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build samples ``(N, *data.shape)`` -> logits ``(N,)``; samples are always independent."""
        layers = _hidden((data.size, *self.hidden[::-1]), nn.LeakyReLU(0.2))
        body = [nn.Flatten(), *layers]
        ending = [nn.Linear(self.hidden[0], 1), nn.Flatten(0)]
        if not self.conditional:
            return nn.Sequential(*body, *ending)
        classes = data.classes_for("mlp")
        return _Projection(classes, self.hidden[0], nn.Sequential(*body), nn.Sequential(*ending))

    def _generator(self, data: DataSpec, given: int) -> nn.Module:
        layers = _hidden((given, *self.hidden), nn.ReLU())
        layers.append(nn.Linear(self.hidden[-1], data.size))
        if data.is_image:
            layers += [nn.Tanh(), nn.Unflatten(1, data.shape)]
        return nn.Sequential(*layers)


class _BesideLatent(nn.Module):
    """A network of latents, and as many numbers beside each that say its class."""

    def __init__(self, classes: int, z_dim: int, network: nn.Module) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(classes, z_dim))  # as large as the latents
        self.network = network

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        return self.network(torch.cat([latents, self.embedding[labels]], dim=1))


class _Projection(nn.Module):
    """A discriminator of two parts, with a direction for each class between them."""

    def __init__(self, classes: int, width: int, body: nn.Module, ending: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.ending = ending
        # At zero it begins as the discriminator that knows no classes.
        self.embedding = nn.Parameter(torch.zeros(classes, width))

    def forward(self, samples: Tensor, labels: Tensor) -> Tensor:
        features = self.body(samples)
        return self.ending(features) + (self.embedding[labels] * features).sum(1)


def _hidden(sizes: tuple[int, ...], activation: nn.Module) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), activation]
    return layers
