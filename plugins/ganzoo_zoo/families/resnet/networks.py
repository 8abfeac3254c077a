"""The generator and the critic of WGAN-GP's ResNet."""

from __future__ import annotations

from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo.nn import down_block, draw_glorot, first_block, same_block, up_block

SMALLEST_MAP = 7
"""Pixels of the shorter side below which the critic does not halve a feature map."""


def generator(data: DataSpec, z_dim: int, base_channels: int) -> nn.Module:
    """Build the generator: latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
    halvings, height, width = data.count_halvings()
    return nn.Sequential(
        draw_glorot(nn.Linear(z_dim, base_channels * height * width)),
        nn.Unflatten(1, (base_channels, height, width)),
        *(up_block(base_channels, base_channels) for _ in range(halvings)),
        nn.BatchNorm2d(base_channels),
        nn.ReLU(inplace=True),
        draw_glorot(nn.Conv2d(base_channels, data.image_channels, 3, padding=1)),
        nn.Tanh(),
    )


def discriminator(data: DataSpec, base_channels: int) -> nn.Module:
    """Build the critic: images ``(N, C, H, W)`` -> logits ``(N,)``.

    It never mixes a batch.
    """
    halvings, height, width = data.count_halvings()
    # The last halving leaves 4 to 7 pixels.
    halved = halvings if min(height, width) >= SMALLEST_MAP else max(1, halvings - 1)
    return nn.Sequential(
        first_block(data.image_channels, base_channels),
        *(down_block(base_channels, base_channels) for _ in range(halved - 1)),
        same_block(base_channels),
        same_block(base_channels),
        nn.ReLU(inplace=True),
        _MeanOverPixels(),
        draw_glorot(nn.Linear(base_channels, 1)),
        nn.Flatten(0),
    )


class _MeanOverPixels(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features.mean((2, 3))
