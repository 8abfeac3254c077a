"""The generator and the discriminator of SN-GAN's ResNet: table 4 of its paper."""

from __future__ import annotations

from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo.nn import down_block, draw_glorot, first_block, same_block, up_block
from ganzoo_zoo.families.sngan.spectral import normalise

SMALLEST_MAP = 7
"""Pixels of the shorter side below which the discriminator does not halve a feature map."""


def generator(data: DataSpec, z_dim: int, channels: int) -> nn.Module:
    """Build the generator: latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
    halvings, height, width = data.count_halvings()
    return nn.Sequential(
        draw_glorot(nn.Linear(z_dim, channels * height * width)),
        nn.Unflatten(1, (channels, height, width)),
        *(up_block(channels, channels) for _ in range(halvings)),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        draw_glorot(nn.Conv2d(channels, data.image_channels, 3, padding=1)),
        nn.Tanh(),
    )


def discriminator(data: DataSpec, channels: int) -> nn.Module:
    """Build the discriminator: images ``(N, C, H, W)`` -> logits ``(N,)``."""
    halvings, height, width = data.count_halvings()
    # The last halving leaves 4 to 7 pixels.
    halved = halvings if min(height, width) >= SMALLEST_MAP else max(1, halvings - 1)
    # Drawn before the blocks: in another order a seed would give other weights.
    judge = draw_glorot(nn.Linear(channels, 1))
    network = nn.Sequential(
        first_block(data.image_channels, channels),
        *(down_block(channels, channels) for _ in range(halved - 1)),
        same_block(channels),
        same_block(channels),
        nn.ReLU(inplace=True),
        _SumOverPixels(),
        judge,
        nn.Flatten(0),
    )
    return network.apply(normalise)


class _SumOverPixels(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features.sum((2, 3))
