"""The generator and the discriminator of BigGAN-deep: figure 16 of its paper, and its tables."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo.nn import ClassProjection, ConditionalBatchNorm2d, SumOverPixels
from ganzoo_zoo.families.biggan.networks import (
    Widths,
    build_attention,
    build_ending,
    build_first,
    finish,
)

NARROWING = 4
"""Of the channels of a block, those of its 3 x 3 convolutions are one in so many."""


def generator(
    data: DataSpec,
    widths: Widths,
    *,
    z_dim: int,
    classes: int | None,
    shared_dim: int,
    init: str,
) -> nn.Module:
    """Build the generator: latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``.

    Args:
        data: The images.
        widths: Channels, and the place of attention.
        z_dim: Length of a latent.
        classes: Number of classes, whose labels ``(N,)`` it takes; None if it takes none.
        shared_dim: Length of the embedding that layers share.
        init: How weights are drawn.
    """
    channels = widths.generator
    embedding = nn.Embedding(classes, shared_dim) if classes else None
    width = z_dim + (shared_dim if classes else 0)
    attention = build_attention(widths.attention and widths.attention[0], channels[1:])
    layers: list[nn.Module] = []
    for (before, after), behind in zip(itertools.pairwise(channels), attention, strict=True):
        layers += [
            UpBlock(before, before, width),
            UpBlock(before, after, width, doubles=True),
            behind,
        ]
    network = Generator(
        first=build_first(width, widths),
        layers=layers,
        ending=build_ending(channels[-1], data.image_channels),
        embedding=embedding,
    )
    return finish(network, init)


class Generator(nn.Module):
    """Blocks of which each sees the class and the whole latent, as the first layer does.

    Args:
        first: The network from the condition to the first map.
        layers: The blocks, and what stands behind each pair of them.
        ending: The network from the last map to images.
        embedding: The embedding of the class; None if it takes none.
    """

    def __init__(
        self,
        *,
        first: nn.Module,
        layers: Sequence[nn.Module],
        ending: nn.Module,
        embedding: nn.Embedding | None,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.first = first
        self.layers = nn.ModuleList(layers)
        self.ending = ending

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images of latents ``(N, D)`` of the classes ``labels`` ``(N,)``."""
        condition = latents
        if self.embedding is not None and labels is not None:
            condition = torch.cat([self.embedding(labels), latents], dim=1)
        features = self.first(condition)
        for layer in self.layers:
            given = (condition,) if isinstance(layer, UpBlock) else ()
            features = layer(features, *given)
        return self.ending(features)


class UpBlock(nn.Module):
    """A bottleneck of four convolutions, which may double the size, and drops channels.

    Figure 16 (b): 1 x 1, 3 x 3, 3 x 3 and 1 x 1, each behind conditional batch normalisation and
    ReLU. The shortcut has no weights: it takes the first channels of its input.

    Args:
        before: Channels that it takes.
        after: Channels that it returns; as many or fewer.
        width: Numbers in the condition.
        doubles: Whether it doubles the size, before its second convolution.
    """

    def __init__(self, before: int, after: int, width: int, *, doubles: bool = False) -> None:
        super().__init__()
        hidden = max(1, before // NARROWING)
        self.after = after
        self.norms = nn.ModuleList(
            ConditionalBatchNorm2d(channels, width) for channels in (before, *[hidden] * 3)
        )
        self.convolutions = nn.ModuleList(
            nn.Sequential(nn.ReLU(inplace=True), *up, convolution)
            for up, convolution in zip(
                ([], [_double()] if doubles else [], [], []),
                _bottleneck(before, hidden, after),
                strict=True,
            )
        )
        self.shortcut = _double() if doubles else nn.Identity()

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Return features of ``(N, before, H, W)`` on conditions ``(N, width)``."""
        branch = features
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            branch = convolution(norm(branch, condition))
        return self.shortcut(features[:, : self.after]) + branch


def discriminator(data: DataSpec, widths: Widths, *, classes: int | None, init: str) -> nn.Module:
    """Build the discriminator: images ``(N, C, H, W)`` -> logits ``(N,)``.

    Args:
        data: The images.
        widths: Channels, and the place of attention.
        classes: Number of classes, whose labels ``(N,)`` it takes; None if it takes none.
        init: How weights are drawn.
    """
    channels = widths.discriminator
    attention = build_attention(widths.attention and widths.attention[1], channels[1:])
    layers: list[nn.Module] = [nn.Conv2d(data.image_channels, channels[0], 3, padding=1)]
    for i, (before, after) in enumerate(itertools.pairwise(channels)):
        halves = i < widths.down_blocks
        layers += [DownBlock(before, after, halves=halves), DownBlock(after, after), attention[i]]
    last = channels[-1]
    body = nn.Sequential(*layers, nn.ReLU(), SumOverPixels())
    ending = nn.Sequential(nn.Linear(last, 1), nn.Flatten(0))
    network = (
        ClassProjection(body, ending, classes, last) if classes else nn.Sequential(body, ending)
    )
    return finish(network, init)


class DownBlock(nn.Module):
    """A bottleneck of four convolutions, which may halve the size, and adds channels.

    Figure 16 (c): 1 x 1, 3 x 3, 3 x 3 and 1 x 1, each behind ReLU. The shortcut keeps the channels
    of its input, and a 1 x 1 convolution makes those that are lacking.

    Args:
        before: Channels that it takes.
        after: Channels that it returns; as many or more.
        halves: Whether it halves the size, before its last convolution.
    """

    def __init__(self, before: int, after: int, *, halves: bool = False) -> None:
        super().__init__()
        hidden = max(1, after // NARROWING)
        one, two, three, four = _bottleneck(before, hidden, after)
        pool = [nn.AvgPool2d(2)] if halves else []
        # The first is not in place: the shortcut sees the same features.
        self.branch = nn.Sequential(
            *(nn.ReLU(), one, nn.ReLU(inplace=True), two, nn.ReLU(inplace=True), three),
            *(nn.ReLU(inplace=True), *pool, four),
        )
        self.pool = nn.Sequential(*pool)
        self.added = nn.Conv2d(before, after - before, 1) if after > before else None

    def forward(self, features: Tensor) -> Tensor:
        """Return features of ``(N, before, H, W)``."""
        shortcut = self.pool(features)
        if self.added is not None:
            shortcut = torch.cat([shortcut, self.added(shortcut)], dim=1)
        return shortcut + self.branch(features)


def _bottleneck(before: int, hidden: int, after: int) -> tuple[nn.Conv2d, ...]:
    return (
        nn.Conv2d(before, hidden, 1),
        nn.Conv2d(hidden, hidden, 3, padding=1),
        nn.Conv2d(hidden, hidden, 3, padding=1),
        nn.Conv2d(hidden, after, 1),
    )


def _double() -> nn.Module:
    return nn.Upsample(scale_factor=2)
