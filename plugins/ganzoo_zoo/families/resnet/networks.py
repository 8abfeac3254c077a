"""The generator and the critic of WGAN-GP's ResNet."""

from __future__ import annotations

from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo.nn import (
    count_down_blocks,
    down_block,
    draw_glorot,
    first_block,
    residual_generator,
    same_block,
)


def generator(data: DataSpec, z_dim: int, base_channels: int) -> nn.Module:
    """Build the generator: latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
    halvings, height, width = data.count_halvings()
    return residual_generator(z_dim, base_channels, data.image_channels, (height, width), halvings)


def discriminator(data: DataSpec, base_channels: int) -> nn.Module:
    """Build the critic: images ``(N, C, H, W)`` -> logits ``(N,)``.

    It never mixes a batch.
    """
    halvings, height, width = data.count_halvings()
    down_blocks = count_down_blocks(halvings, (height, width))
    return nn.Sequential(
        first_block(data.image_channels, base_channels),
        *(down_block(base_channels, base_channels) for _ in range(down_blocks - 1)),
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
