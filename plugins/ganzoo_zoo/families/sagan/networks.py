"""The generator and the discriminator of SAGAN, for images of any size."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo.errors import InputError
from ganzoo.nn import (
    ClassBatchNorm2d,
    ClassProjection,
    ConditionalUpBlock,
    SelfAttention2d,
    SumOverPixels,
    down_block,
    draw_glorot,
    first_block,
    normalise_spectrum,
    same_block,
    up_block,
)

MAX_GROWTH = 16
"""Channels at the lowest resolution, as a multiple of those at the highest, at most."""
USUAL_ATTENTION = 32
"""Pixels of the shorter side of the paper's maps with attention."""


def generator(
    data: DataSpec, z_dim: int, base_channels: int, classes: int | None, attention: int | None
) -> nn.Module:
    """Build the generator: latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``.

    Args:
        data: The images.
        z_dim: Length of a latent.
        base_channels: Channels at the highest resolution.
        classes: Number of classes, whose labels ``(N,)`` it takes; None if it takes none.
        attention: Shorter side of the maps with attention; 0 for none, and None for the usual.
    """
    halvings, height, width = data.count_halvings()
    widths = _widths(base_channels, halvings)[::-1]
    place = _place_attention(min(height, width), halvings, attention)
    blocks: list[nn.Module] = []
    for i, (before, after) in enumerate(itertools.pairwise([widths[0], *widths]), 1):
        blocks.append(
            up_block(before, after)
            if classes is None
            else ConditionalUpBlock(before, after, lambda count: ClassBatchNorm2d(count, classes))
        )
        if i == place:
            blocks.append(_attention(after))
    first = nn.Sequential(
        draw_glorot(nn.Linear(z_dim, widths[0] * height * width)),
        nn.Unflatten(1, (widths[0], height, width)),
    )
    ending = nn.Sequential(
        nn.BatchNorm2d(widths[-1]),
        nn.ReLU(inplace=True),
        draw_glorot(nn.Conv2d(widths[-1], data.image_channels, 3, padding=1)),
        nn.Tanh(),
    )
    return normalise_spectrum(Generator(first, blocks, ending))


class Generator(nn.Module):
    """Blocks that double the size, of which those with conditions see the class.

    Args:
        first: The network from latents to the first map.
        blocks: The blocks, and attention between them.
        ending: The network from the last map to images.
    """

    def __init__(self, first: nn.Module, blocks: Sequence[nn.Module], ending: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.blocks = nn.ModuleList(blocks)
        self.ending = ending

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images of latents ``(N, D)`` of the classes ``labels`` ``(N,)``."""
        features = self.first(latents)
        for block in self.blocks:
            given = (labels,) if isinstance(block, ConditionalUpBlock) else ()
            features = block(features, *given)
        return self.ending(features)


def discriminator(
    data: DataSpec, base_channels: int, classes: int | None, attention: int | None
) -> nn.Module:
    """Build the discriminator: images ``(N, C, H, W)`` -> logits ``(N,)``.

    Args:
        data: The images.
        base_channels: Channels at the highest resolution.
        classes: Number of classes, whose labels ``(N,)`` it takes; None if it takes none.
        attention: Shorter side of the maps with attention; 0 for none, and None for the usual.
    """
    halvings, height, width = data.count_halvings()
    widths = _widths(base_channels, halvings)
    place = _place_attention(min(height, width), halvings, attention)
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(itertools.pairwise([data.image_channels, *widths])):
        layers.append(down_block(before, after) if i else first_block(before, after))
        if place is not None and i == halvings - place - 1:
            layers.append(_attention(after))
    last = widths[-1]
    body = nn.Sequential(*layers, same_block(last), nn.ReLU(inplace=True), SumOverPixels())
    ending = nn.Sequential(draw_glorot(nn.Linear(last, 1)), nn.Flatten(0))
    if classes is None:
        return normalise_spectrum(nn.Sequential(body, ending))
    network = ClassProjection(body, ending, classes, last)
    nn.init.xavier_uniform_(network.embedding)
    return normalise_spectrum(network)


def _widths(base_channels: int, halvings: int) -> list[int]:
    """Return the channels of the blocks, from the highest resolution on."""
    return [base_channels * min(2**i, MAX_GROWTH) for i in range(halvings)]


def _place_attention(lowest: int, halvings: int, wanted: int | None) -> int | None:
    """Return how often the lowest map is doubled where both networks have attention."""
    sides = {lowest * 2**i: i for i in range(1, halvings)}
    if wanted is None:
        return max((i for side, i in sides.items() if side <= USUAL_ATTENTION), default=None)
    if wanted and wanted not in sides:
        raise InputError(
            f"arch.attention={wanted}: both networks have maps of {sorted(sides)} pixels for these "
            "images; give one of these, or 0 for no attention"
        )
    return sides.get(wanted)


def _attention(channels: int) -> nn.Module:
    layer = SelfAttention2d(channels)
    for module in layer.children():
        if isinstance(module, nn.Conv2d):
            draw_glorot(module)
    return layer
