"""The generator and the discriminator of DCGAN."""

from __future__ import annotations

import itertools
import math

from torch import nn

from ganzoo import DataSpec
from ganzoo.nn import (
    ClassProjection,
    ConditionalBatchNorm2d,
    ConditionalSequential,
    FeatureSequential,
    MinibatchDiscrimination,
)

WEIGHT_STD = 0.02
"""Standard deviation with which weights are drawn."""


def generator(data: DataSpec, z_dim: int, base_channels: int, conditional: bool) -> nn.Module:
    """Build the generator: latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
    halvings, height, width = data.count_halvings()
    channels = [base_channels * 2**i for i in reversed(range(halvings))]

    def norm(channels: int, size: tuple[int, int] = (1, 1)) -> nn.Module:
        if conditional:
            return ConditionalBatchNorm2d(channels, z_dim, size)
        return nn.BatchNorm2d(channels)

    layers: list[nn.Module] = [
        # A transposed convolution of one pixel is the paper's "project and reshape".
        nn.Unflatten(1, (z_dim, 1, 1)),
        nn.ConvTranspose2d(z_dim, channels[0], (height, width), bias=False),
        norm(channels[0], (height, width)),
        nn.ReLU(inplace=True),
    ]
    for before, after in itertools.pairwise(channels):
        layers += [
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
            norm(after),
            nn.ReLU(inplace=True),
        ]
    layers += [
        nn.ConvTranspose2d(channels[-1], data.image_channels, 4, stride=2, padding=1),
        nn.Tanh(),
    ]
    if conditional:
        network = ConditionalSequential(data.require_classes(), z_dim, layers)
        return network.apply(_draw_weights)
    return nn.Sequential(*layers).apply(_draw_weights)


def discriminator(
    data: DataSpec, base_channels: int, norm: str, conditional: bool, kernels: int
) -> nn.Module:
    """Build the discriminator: images ``(N, C, H, W)`` -> ``logits`` and ``features``.

    Args:
        data: Shape and classes of the images.
        base_channels: Channels at the highest resolution.
        norm: ``batch``, ``layer`` or ``none``.
        conditional: Whether it takes labels.
        kernels: Kernels of minibatch discrimination; 0 for none.
    """
    halvings, height, width = data.count_halvings()
    channels = [base_channels * 2**i for i in range(halvings)]
    layers: list[nn.Module] = [
        nn.Conv2d(data.image_channels, channels[0], 4, stride=2, padding=1),
        nn.LeakyReLU(0.2, inplace=True),
    ]
    for before, after in itertools.pairwise(channels):
        layers += [
            # Normalisation takes the mean away, and a bias with it.
            nn.Conv2d(before, after, 4, stride=2, padding=1, bias=norm == "none"),
            _norm(norm, after),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    ending = _ending(channels[-1], (height, width), kernels)
    if conditional:
        network = ClassProjection(
            nn.Sequential(*layers),
            nn.Sequential(*ending),
            data.require_classes(),
            channels[-1],
            std=WEIGHT_STD,
            gives_features=True,
        )
        return network.apply(_draw_weights)
    return FeatureSequential(layers, ending).apply(_draw_weights)


def _ending(channels: int, size: tuple[int, int], kernels: int) -> list[nn.Module]:
    """Return the layers from features to logits."""
    if not kernels:
        return [nn.Conv2d(channels, 1, size), nn.Flatten(0)]
    numbers = channels * math.prod(size)
    last = nn.Linear(numbers + kernels, 1)
    nn.init.normal_(last.weight, 0.0, WEIGHT_STD)
    nn.init.zeros_(last.bias)
    return [MinibatchDiscrimination(numbers, kernels), last, nn.Flatten(0)]


def _norm(name: str, channels: int) -> nn.Module:
    if name == "batch":
        return nn.BatchNorm2d(channels)
    if name == "layer":
        # One group is layer normalisation over channels and pixels, with a gain for each channel.
        return nn.GroupNorm(1, channels)
    return nn.Identity()


def _draw_weights(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, WEIGHT_STD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d) and module.affine:
        nn.init.normal_(module.weight, 1.0, WEIGHT_STD)
