"""The two networks, and what they are made of."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo_zoo.families.mlp import MLP


def generator(options: MLP, data: DataSpec) -> nn.Module:
    """Build latents ``(N, z_dim)`` -> samples ``(N, *data.shape)``."""
    if not options.conditional:
        return _latent_network(options, data, options.z_dim)
    classes, z_dim = data.require_classes("mlp"), options.z_dim
    return _LabelledLatent(classes, z_dim, _latent_network(options, data, 2 * z_dim))


def discriminator(options: MLP, data: DataSpec) -> nn.Module:
    """Build samples ``(N, *data.shape)`` -> logits ``(N,)``."""
    layers = _hidden_layers((data.size, *options.hidden[::-1]), nn.LeakyReLU(0.2, inplace=True))
    body = [nn.Flatten(), *layers]
    width = options.hidden[0]
    ending = [nn.Linear(width, 1), nn.Flatten(0)]
    if not options.conditional:
        return nn.Sequential(*body, *ending)
    classes = data.require_classes("mlp")
    return _Projection(classes, width, nn.Sequential(*body), nn.Sequential(*ending))


def _latent_network(options: MLP, data: DataSpec, given: int) -> nn.Module:
    layers = _hidden_layers((given, *options.hidden), nn.ReLU(inplace=True))
    layers.append(nn.Linear(options.hidden[-1], data.size))
    if data.is_image:
        layers += [nn.Tanh(), nn.Unflatten(1, data.shape)]
    return nn.Sequential(*layers)


class _LabelledLatent(nn.Module):
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


def _hidden_layers(sizes: tuple[int, ...], activation: nn.Module) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), activation]
    return layers
