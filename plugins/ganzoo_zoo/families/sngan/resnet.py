"""The generator and the discriminator of SN-GAN's ResNet: tables 4 to 6 of its paper."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo.nn import (
    ClassBatchNorm2d,
    ClassProjection,
    ConditionalUpBlock,
    SumOverPixels,
    count_down_blocks,
    down_block,
    draw_glorot,
    first_block,
    normalise_spectrum,
    residual_generator,
    same_block,
    up_block,
)

MAX_GROWTH = 16
"""Channels at the lowest resolution, as a multiple of those at the highest, at most."""
SMALLEST_TAPERED = 6
"""Pixels of the shorter side from which a tapered discriminator halves its features once more."""


def generator(
    data: DataSpec,
    z_dim: int,
    base_channels: int,
    *,
    tapered: bool,
    upsampling: str,
    classes: int | None,
) -> nn.Module:
    """Build the generator: latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``.

    Args:
        data: The images.
        z_dim: Length of a latent.
        base_channels: Channels at the highest resolution if tapered, else half of those of all.
        tapered: Whether channels halve where the size doubles.
        upsampling: How blocks double the size.
        classes: Number of classes, whose labels ``(N,)`` it takes; None if it takes none.
    """
    halvings, height, width = data.count_halvings()
    channels = (
        _growing(base_channels, halvings + 1)[::-1]
        if tapered
        else [2 * base_channels] * (halvings + 1)
    )

    def block(before: int, after: int) -> nn.Module:
        if classes is None:
            return up_block(before, after, upsampling)
        return ConditionalUpBlock(
            before, after, lambda count: ClassBatchNorm2d(count, classes), upsampling
        )

    network = residual_generator(
        z_dim, channels, data.image_channels, (height, width), halvings, block
    )
    return network if classes is None else _Conditional(*network)


class _Conditional(nn.Sequential):
    """Layers one after another, of which the blocks see the class of each sample."""

    def forward(  # type: ignore[override]  # it takes labels as well
        self, latents: Tensor, labels: Tensor
    ) -> Tensor:
        features = latents
        for layer in self:
            given = (labels,) if isinstance(layer, ConditionalUpBlock) else ()
            features = layer(features, *given)
        return features


def discriminator(
    data: DataSpec, base_channels: int, *, tapered: bool, classes: int | None
) -> nn.Module:
    """Build the discriminator: images ``(N, C, H, W)`` -> logits ``(N,)``.

    Args:
        data: The images.
        base_channels: Channels at the highest resolution.
        tapered: Whether channels double where the size halves.
        classes: Number of classes, whose labels ``(N,)`` it takes; None if it takes none.
    """
    halvings, height, width = data.count_halvings()
    down_blocks = (
        halvings + (min(height, width) >= SMALLEST_TAPERED)
        if tapered
        else count_down_blocks(halvings, (height, width))
    )
    channels = (
        _growing(base_channels, down_blocks + 1) if tapered else [base_channels] * (down_blocks + 2)
    )
    # Drawn before the blocks: in another order a seed would give other weights.
    judge = draw_glorot(nn.Linear(channels[-1], 1))
    body = [
        first_block(data.image_channels, channels[0]),
        *(
            (down_block if i < down_blocks else same_block)(before, after)
            for i, (before, after) in enumerate(itertools.pairwise(channels), 1)
        ),
        nn.ReLU(inplace=True),
        SumOverPixels(),
    ]
    ending = [judge, nn.Flatten(0)]
    if classes is None:
        return normalise_spectrum(nn.Sequential(*body, *ending))
    network = ClassProjection(nn.Sequential(*body), nn.Sequential(*ending), classes, channels[-1])
    nn.init.xavier_uniform_(network.embedding)
    return normalise_spectrum(network)


def _growing(base_channels: int, count: int) -> list[int]:
    """Return as many numbers of channels, the lowest first, each twice the one before at most."""
    return [base_channels * min(2**i, MAX_GROWTH) for i in range(count)]
