"""BigGAN: Brock et al. 2019, with the layers of its authors' code."""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plain import halvings
from plain.sagan import Attention, Discriminator, Down, Up
from plain.spectral import normalised

WIDTHS = {
    4: ([16, 16, 8, 4, 2], [1, 2, 4, 8, 16]),
    5: ([16, 16, 8, 4, 2, 1], [1, 2, 4, 8, 16, 16]),
}
"""Of the generator and of the discriminator, for 64 and for 128 pixels."""


class Norm(nn.Module):
    """Batch normalisation with a gain and a bias of the class and of a piece of the latent."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Linear(width, channels, bias=False)
        self.bias = nn.Linear(width, channels, bias=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Normalise features."""
        gain = (1 + self.gain(y)).view(len(x), -1, 1, 1)
        return self.norm(x) * gain + self.bias(y).view(len(x), -1, 1, 1)


class Generator(nn.Module):
    """Blocks that see the class and a piece of the latent."""

    def __init__(
        self,
        widths: list[int],
        pieces: list[int],
        classes: int,
        shared_dim: int,
        attention: int,
        colours: int,
    ) -> None:
        super().__init__()
        self.pieces = pieces
        self.embedding = nn.Embedding(classes, shared_dim)
        self.linear = nn.Linear(pieces[0], widths[0] * 16)
        self.blocks = nn.ModuleList(
            Up(before, after, lambda channels, width=width: Norm(channels, shared_dim + width))
            for (before, after), width in zip(itertools.pairwise(widths), pieces[1:], strict=True)
        )
        self.behind = nn.ModuleList(
            Attention(width) if 4 * 2**i == attention else nn.Identity()
            for i, width in enumerate(widths[1:], 1)
        )
        self.norm = nn.BatchNorm2d(widths[-1])
        self.output = nn.Conv2d(widths[-1], colours, 3, padding=1)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Return images of latents and classes."""
        first, *pieces = torch.split(z, self.pieces, 1)
        shared = self.embedding(y)
        h = self.linear(first).view(len(z), -1, 4, 4)
        for block, behind, piece in zip(self.blocks, self.behind, pieces, strict=True):
            h = behind(block(h, torch.cat([shared, piece], 1)))
        return torch.tanh(self.output(F.relu(self.norm(h))))


def networks(
    shape: tuple[int, int, int],
    *,
    z_dim: int,
    base_channels: int,
    shared_dim: int,
    classes: int,
    **_: Any,
) -> tuple[nn.Module, nn.Module]:
    """Build the networks with classes and all that the paper adds, for 16 to 128 pixels."""
    colours, size, _ = shape
    times = halvings(size)
    flat = max(1, times - 1)
    of_G, of_D = WIDTHS.get(times, ([4] * (times + 1), [4] * (flat + 2)))
    halving = times if times in WIDTHS else flat
    attention = min(64, size // 2) if times in WIDTHS else 0
    of_G, of_D = ([base_channels * each for each in widths] for widths in (of_G, of_D))
    pieces = [len(each) for each in torch.arange(z_dim).tensor_split(times + 1)]
    generator = Generator(of_G, pieces, classes, shared_dim, attention, colours)
    blocks: list[nn.Module] = []
    before, side = colours, size
    for i, after in enumerate(of_D):
        blocks.append(Down(before, after, first=not i, halves=i < halving))
        before, side = after, side // 2
        blocks.append(Attention(after) if side == attention else nn.Identity())
    discriminator = Discriminator(blocks, before, classes)
    return normalised(generator), normalised(discriminator, discriminator.embed)
