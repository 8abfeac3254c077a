"""The generator and the discriminator of the multilayer perceptron."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo.nn import ClassProjection, FeatureSequential


def generator(data: DataSpec, z_dim: int, hidden: tuple[int, ...], conditional: bool) -> nn.Module:
    """Build the generator: latents ``(N, z_dim)`` -> samples ``(N, *data.shape)``."""
    if not conditional:
        return _latent_network(data, z_dim, hidden)
    return _LabelledLatent(data.require_classes(), z_dim, _latent_network(data, 2 * z_dim, hidden))


def discriminator(data: DataSpec, hidden: tuple[int, ...], conditional: bool) -> nn.Module:
    """Build the discriminator: samples ``(N, *data.shape)`` -> ``logits`` and ``features``."""
    width = hidden[-1]
    layers = [
        nn.Flatten(),
        *_hidden_layers((data.size, *hidden), nn.LeakyReLU(0.2, inplace=True)),
    ]
    ending = [nn.Linear(width, 1), nn.Flatten(0)]
    if not conditional:
        return FeatureSequential(layers, ending)
    return ClassProjection(
        nn.Sequential(*layers),
        nn.Sequential(*ending),
        data.require_classes(),
        width,
        gives_features=True,
    )


class _LabelledLatent(nn.Module):
    """A network whose latents are joined by an embedding of the class, of the same length."""

    def __init__(self, classes: int, z_dim: int, network: nn.Module) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(classes, z_dim))  # as large as the latents
        self.network = network

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        return self.network(torch.cat([latents, self.embedding[labels]], dim=1))


def _latent_network(data: DataSpec, width: int, hidden: tuple[int, ...]) -> nn.Module:
    layers = _hidden_layers((width, *hidden), nn.ReLU(inplace=True))
    layers.append(nn.Linear(hidden[-1], data.size))
    if data.is_bounded:
        layers += [nn.Tanh(), nn.Unflatten(1, data.shape)]
    return nn.Sequential(*layers)


def _hidden_layers(sizes: tuple[int, ...], activation: nn.Module) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), activation]
    return layers
