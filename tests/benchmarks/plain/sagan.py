"""Self-attention GAN: Zhang et al. 2019, as its authors' code has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plain import halvings
from plain.spectral import normalised


class Attention(nn.Module):
    """Each pixel attends to those of a map of half the size (section 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inside, values = max(1, channels // 8), max(1, channels // 2)
        self.gamma = nn.Parameter(torch.tensor(0.0))
        self.theta = nn.Conv2d(channels, inside, 1, bias=False)
        self.phi = nn.Conv2d(channels, inside, 1, bias=False)
        self.g = nn.Conv2d(channels, values, 1, bias=False)
        self.o = nn.Conv2d(values, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        theta = self.theta(x).flatten(2)
        phi = F.max_pool2d(self.phi(x), 2).flatten(2)
        g = F.max_pool2d(self.g(x), 2).flatten(2)
        beta = F.softmax(torch.bmm(theta.transpose(1, 2), phi), dim=-1)
        found = torch.bmm(g, beta.transpose(1, 2)).view(len(x), -1, *x.shape[2:])
        return self.gamma * self.o(found) + x


class ClassNorm(nn.Module):
    """Batch normalisation with a gain and a bias of each class."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Embedding(classes, channels)
        self.bias = nn.Embedding(classes, channels)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Normalise features of classes."""
        gain = (1 + self.gain(y)).view(len(x), -1, 1, 1)
        return self.norm(x) * gain + self.bias(y).view(len(x), -1, 1, 1)


class Up(nn.Module):
    """A block that doubles pixels, whose normalisation sees the class."""

    def __init__(self, before: int, after: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.norm1, self.norm2 = norm(before), norm(after)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Upsample, and convolve what was upsampled."""
        h = F.interpolate(F.relu(self.norm1(x, y)), scale_factor=2)
        h = self.conv2(F.relu(self.norm2(self.conv1(h), y)))
        return h + self.shortcut(F.interpolate(x, scale_factor=2))


class Down(nn.Module):
    """A block that convolves, and halves pixels or leaves them."""

    def __init__(
        self, before: int, after: int, *, first: bool = False, halves: bool = True
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.first, self.halves = first, halves
        self.shortcut = nn.Conv2d(before, after, 1) if halves or before != after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, and pool what was convolved; the first block pools its shortcut first."""
        h = self.conv2(F.relu(self.conv1(x if self.first else F.relu(x))))
        if not self.halves:
            return h + self.shortcut(x)
        if self.first:
            return F.avg_pool2d(h, 2) + self.shortcut(F.avg_pool2d(x, 2))
        return F.avg_pool2d(h, 2) + F.avg_pool2d(self.shortcut(x), 2)


class Generator(nn.Module):
    """Features of 4 x 4 pixels, the blocks, and an image."""

    def __init__(
        self, z_dim: int, channels: int, blocks: list[nn.Module], last: int, colours: int
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(z_dim, channels * 16)
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.BatchNorm2d(last)
        self.output = nn.Conv2d(last, colours, 3, padding=1)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Return images of latents and classes."""
        h = self.linear(z).view(len(z), -1, 4, 4)
        for block in self.blocks:
            h = block(h, y) if isinstance(block, Up) else block(h)
        return torch.tanh(self.output(F.relu(self.norm(h))))


class Discriminator(nn.Module):
    """The blocks, a sum over pixels, and a projection onto the class."""

    def __init__(self, blocks: list[nn.Module], width: int, classes: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(width, 1)
        self.embed = nn.Embedding(classes, width)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return logits of images of classes."""
        h = F.relu(self.blocks(x)).sum((2, 3))
        return (self.linear(h) + torch.sum(self.embed(y) * h, 1, keepdim=True))[:, 0]


def networks(
    shape: tuple[int, int, int], *, z_dim: int, base_channels: int, classes: int, **_: Any
) -> tuple[nn.Module, nn.Module]:
    """Build the networks with classes, and attention at half of the pixels, at most 32."""
    colours, size, _ = shape
    widths = [base_channels * min(2**i, 16) for i in range(halvings(size))]
    attention = min(32, size // 2)
    up: list[nn.Module] = []
    before, side = widths[-1], 4
    for after in reversed(widths):
        up.append(Up(before, after, lambda channels: ClassNorm(channels, classes)))
        before, side = after, 2 * side
        if side == attention:
            up.append(Attention(after))
    generator = Generator(z_dim, widths[-1], up, widths[0], colours)
    down: list[nn.Module] = []
    before, side = colours, size
    for after in widths:
        down.append(Down(before, after, first=not down))
        before, side = after, side // 2
        if side == attention:
            down.append(Attention(after))
    down.append(Down(before, before, halves=False))
    discriminator = Discriminator(down, before, classes)
    return normalised(generator), normalised(discriminator, discriminator.embed)
