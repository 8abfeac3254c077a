"""The generator and the discriminator of BigGAN, for images of any size."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo.errors import InputError
from ganzoo.nn import (
    ClassBatchNorm2d,
    ClassProjection,
    ConditionalBatchNorm2d,
    ConditionalUpBlock,
    SelfAttention2d,
    SumOverPixels,
    count_down_blocks,
    down_block,
    first_block,
    normalise_spectrum,
    same_block,
    up_block,
)

GENERATOR = {
    4: (16, 16, 8, 4, 2),
    5: (16, 16, 8, 4, 2, 1),
    6: (16, 16, 8, 8, 4, 2, 1),
    7: (16, 16, 8, 8, 4, 2, 1, 1),
}
"""Channels by the number of halvings, from the lowest resolution on, in units of the base."""
DISCRIMINATOR = {
    4: (1, 2, 4, 8, 16),
    5: (1, 2, 4, 8, 16, 16),
    6: (1, 2, 4, 8, 8, 16, 16),
    7: (1, 1, 2, 4, 8, 8, 16, 16),
}
"""Channels behind each block, from the highest resolution on."""
FLAT = 4
"""Channels of all blocks for images that are halved less often."""
LARGEST_ATTENTION = 64
"""Pixels of the shorter side."""
SPECTRAL_EPS = 1e-6
WEIGHT_STD = 0.02


@dataclass(frozen=True)
class Widths:
    """Channels of both networks for one size of images, and where attention stands."""

    generator: tuple[int, ...]
    """Channels of the first map, and behind each block, each of which doubles the size."""
    discriminator: tuple[int, ...]
    """Channels behind each block."""
    down_blocks: int
    """How many of the discriminator's blocks, the first ones, halve the size."""
    size: tuple[int, int]
    """Height and width of the generator's first map."""
    attention: tuple[int, int] | None
    """The block, from 0, with attention behind it, in the generator and in the discriminator."""

    @classmethod
    def of(cls, data: DataSpec, base: int, attention: int | None) -> Widths:
        """Return those for some data.

        Args:
            data: The images.
            base: The unit of all numbers of channels.
            attention: Shorter side of the maps with attention; 0 for none, and None for the usual.

        Raises:
            InputError: there are no networks for this size, or none with such an attention.
        """
        halvings, height, width = data.count_halvings()
        if halvings > max(GENERATOR):
            raise InputError(
                f"BigGAN's networks are for images whose shorter side is at most 512 to 896 "
                f"pixels, not {min(data.shape[1:])}; resize them with --image-size"
            )
        if halvings in GENERATOR:
            factors, judged, down = GENERATOR[halvings], DISCRIMINATOR[halvings], halvings
        else:
            down = count_down_blocks(halvings, (height, width))
            factors, judged = (FLAT,) * (halvings + 1), (FLAT,) * (down + 2)
        return cls(
            tuple(base * each for each in factors),
            tuple(base * each for each in judged),
            down,
            (height, width),
            _place_attention(min(height, width), halvings, down, attention),
        )


def _place_attention(
    lowest: int, halvings: int, down: int, wanted: int | None
) -> tuple[int, int] | None:
    """Return the blocks of both networks behind which maps have a side."""
    sides = {lowest * 2**i: (i - 1, halvings - i - 1) for i in range(1, halvings)}
    sides = {side: blocks for side, blocks in sides.items() if blocks[1] < down}
    if wanted is None:
        usual = [side for side in sides if side <= LARGEST_ATTENTION]
        return sides[max(usual)] if halvings in GENERATOR else None
    if wanted and wanted not in sides:
        raise InputError(
            f"arch.attention={wanted}: both networks have maps of {sorted(sides)} pixels for these "
            "images; give one of these, or 0 for no attention"
        )
    return sides.get(wanted)


def generator(
    data: DataSpec,
    widths: Widths,
    *,
    z_dim: int,
    classes: int | None,
    shared_dim: int,
    hierarchical: bool,
    init: str,
) -> nn.Module:
    """Build the generator: latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``.

    Args:
        data: The images.
        widths: Channels, and the place of attention.
        z_dim: Length of a latent.
        classes: Number of classes, whose labels ``(N,)`` it takes; None if it takes none.
        shared_dim: Length of the embedding that layers share; 0 for none.
        hierarchical: Whether blocks see pieces of the latent.
        init: How weights are drawn.
    """
    channels = widths.generator
    pieces = _split(z_dim, len(channels)) if hierarchical else [z_dim]
    embedding = nn.Embedding(classes, shared_dim) if classes and shared_dim else None
    shared = embedding.embedding_dim if embedding is not None else 0
    blocks: list[nn.Module] = []
    for i, (before, after) in enumerate(itertools.pairwise(channels)):
        width = shared + (pieces[i + 1] if hierarchical else 0)
        norm = _norm(width, classes)
        up = ConditionalUpBlock(before, after, norm) if norm else up_block(before, after)
        blocks.append(up)
    network = Generator(
        first=build_first(pieces[0], widths),
        blocks=blocks,
        attention=build_attention(widths.attention and widths.attention[0], channels[1:]),
        ending=build_ending(channels[-1], data.image_channels),
        embedding=embedding,
        pieces=pieces,
    )
    return finish(network, init)


def _norm(width: int, classes: int | None) -> Callable[[int], nn.Module] | None:
    """Return what builds the normalisation on a condition of some width, or on the class alone."""
    if width:
        return lambda channels: ConditionalBatchNorm2d(channels, width)
    return (lambda channels: ClassBatchNorm2d(channels, classes)) if classes else None


def _split(length: int, count: int) -> list[int]:
    """Return the lengths of the pieces of a latent, which differ by 1 at most."""
    if length < count:
        raise InputError(
            f"arch.z_dim={length} is too short: a latent is split into {count} pieces for these "
            f"images; give {count} or more, or arch.hierarchical=false"
        )
    return [length // count + (i < length % count) for i in range(count)]


class Generator(nn.Module):
    """Blocks that double the size, each of which sees the class and a piece of the latent.

    Args:
        first: The network from the first piece to the first map.
        blocks: The blocks.
        attention: What stands behind each block.
        ending: The network from the last map to images.
        embedding: The embedding of the class that blocks share, if they do.
        pieces: Lengths of the pieces of a latent, or its own length if blocks see none.
    """

    def __init__(
        self,
        *,
        first: nn.Module,
        blocks: Sequence[nn.Module],
        attention: Sequence[nn.Module],
        ending: nn.Module,
        embedding: nn.Embedding | None,
        pieces: Sequence[int],
    ) -> None:
        super().__init__()
        self.pieces = tuple(pieces)
        self.embedding = embedding
        self.first = first
        self.blocks = nn.ModuleList(blocks)
        self.attention = nn.ModuleList(attention)
        self.ending = ending

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images of latents ``(N, D)`` of the classes ``labels`` ``(N,)``."""
        first, *pieces = latents.split(self.pieces, dim=1)
        features = self.first(first)
        conditions = self._conditions(pieces, labels)
        for block, attend, condition in zip(self.blocks, self.attention, conditions, strict=True):
            given = () if condition is None else (condition,)
            features = attend(block(features, *given))
        return self.ending(features)

    def _conditions(
        self, pieces: Sequence[Tensor], labels: Tensor | None
    ) -> Sequence[Tensor | None]:
        """Return what each block sees."""
        classes = labels if self.embedding is None or labels is None else self.embedding(labels)
        if not pieces:
            return [classes] * len(self.blocks)
        return pieces if classes is None else [torch.cat([classes, each], 1) for each in pieces]


def discriminator(data: DataSpec, widths: Widths, *, classes: int | None, init: str) -> nn.Module:
    """Build the discriminator: images ``(N, C, H, W)`` -> logits ``(N,)``.

    Args:
        data: The images.
        widths: Channels, and the place of attention.
        classes: Number of classes, whose labels ``(N,)`` it takes; None if it takes none.
        init: How weights are drawn.
    """
    channels = (data.image_channels, *widths.discriminator)
    attention = build_attention(widths.attention and widths.attention[1], widths.discriminator)
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(itertools.pairwise(channels)):
        build = same_block if i >= widths.down_blocks else down_block if i else first_block
        layers += [build(before, after), attention[i]]
    last = channels[-1]
    body = nn.Sequential(*layers, nn.ReLU(inplace=True), SumOverPixels())
    ending = nn.Sequential(nn.Linear(last, 1), nn.Flatten(0))
    network = (
        ClassProjection(body, ending, classes, last) if classes else nn.Sequential(body, ending)
    )
    return finish(network, init)


def build_first(length: int, widths: Widths) -> nn.Sequential:
    """Build the generator's network from ``length`` numbers of its condition to the first map."""
    channels, (height, width) = widths.generator[0], widths.size
    return nn.Sequential(
        nn.Linear(length, channels * height * width), nn.Unflatten(1, (channels, height, width))
    )


def build_ending(channels: int, image_channels: int) -> nn.Sequential:
    """Build the generator's network from the last map to images."""
    return nn.Sequential(
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, image_channels, 3, padding=1),
        nn.Tanh(),
    )


def build_attention(place: int | None, channels: Sequence[int]) -> list[nn.Module]:
    """Return what stands behind each block: attention behind one, if any."""
    return [
        SelfAttention2d(width) if i == place else nn.Identity() for i, width in enumerate(channels)
    ]


def finish(network: nn.Module, init: str) -> nn.Module:
    """Draw all weights, and normalise their spectra."""

    def draw(weight: Tensor) -> None:
        if init == "orthogonal":
            nn.init.orthogonal_(weight)
        else:
            nn.init.normal_(weight, 0.0, WEIGHT_STD)

    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear, nn.Embedding)):
            draw(module.weight)
        elif isinstance(module, ClassProjection):
            draw(module.embedding)
    return normalise_spectrum(network, eps=SPECTRAL_EPS)
