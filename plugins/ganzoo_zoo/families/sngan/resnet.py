"""The generator and the discriminator of SN-GAN's ResNet: table 4 of its paper."""

from __future__ import annotations

from torch import nn

from ganzoo import DataSpec
from ganzoo.nn import (
    SumOverPixels,
    count_down_blocks,
    down_block,
    draw_glorot,
    first_block,
    normalise_spectrum,
    residual_generator,
    same_block,
)


def generator(data: DataSpec, z_dim: int, channels: int) -> nn.Module:
    """Build the generator: latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
    halvings, height, width = data.count_halvings()
    return residual_generator(z_dim, channels, data.image_channels, (height, width), halvings)


def discriminator(data: DataSpec, channels: int) -> nn.Module:
    """Build the discriminator: images ``(N, C, H, W)`` -> logits ``(N,)``."""
    halvings, height, width = data.count_halvings()
    down_blocks = count_down_blocks(halvings, (height, width))
    # Drawn before the blocks: in another order a seed would give other weights.
    judge = draw_glorot(nn.Linear(channels, 1))
    network = nn.Sequential(
        first_block(data.image_channels, channels),
        *(down_block(channels, channels) for _ in range(down_blocks - 1)),
        same_block(channels),
        same_block(channels),
        nn.ReLU(inplace=True),
        SumOverPixels(),
        judge,
        nn.Flatten(0),
    )
    return normalise_spectrum(network)
