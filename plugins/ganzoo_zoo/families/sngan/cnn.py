"""The generator and the discriminator of SN-GAN's standard CNN: table 3 of its paper."""

from __future__ import annotations

import itertools

from torch import nn

from ganzoo import DataSpec
from ganzoo.nn import draw_normal, normalise_spectrum

MAX_GROWTH = 8
"""Channels at the lowest resolution, as a multiple of those at the highest, at most."""


def generator(data: DataSpec, z_dim: int, base_channels: int) -> nn.Module:
    """Build the generator: latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
    halvings, height, width = data.count_halvings()
    channels = _channels(base_channels, halvings)[::-1]
    layers: list[nn.Module] = [
        nn.Linear(z_dim, channels[0] * height * width),
        nn.Unflatten(1, (channels[0], height, width)),
    ]
    for before, after in itertools.pairwise(channels):
        layers += [
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]
    layers += [nn.Conv2d(channels[-1], data.image_channels, 3, padding=1), nn.Tanh()]
    return nn.Sequential(*layers).apply(draw_normal)


def discriminator(data: DataSpec, base_channels: int) -> nn.Module:
    """Build the discriminator: images ``(N, C, H, W)`` -> logits ``(N,)``."""
    halvings, height, width = data.count_halvings()
    *channels, last = _channels(base_channels, halvings)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise([data.image_channels, *channels]):
        layers += [
            nn.Conv2d(before, after, 3, padding=1),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(after, after, 4, stride=2, padding=1),
            nn.LeakyReLU(0.1, inplace=True),
        ]
    layers += [
        nn.Conv2d(channels[-1], last, 3, padding=1),
        nn.LeakyReLU(0.1, inplace=True),
        nn.Flatten(),
        nn.Linear(last * height * width, 1),
        nn.Flatten(0),
    ]
    return normalise_spectrum(nn.Sequential(*layers).apply(draw_normal))


def _channels(base_channels: int, halvings: int) -> list[int]:
    """Return the channels at each resolution, the highest first."""
    return [base_channels * min(2**i, MAX_GROWTH) for i in range(halvings + 1)]
