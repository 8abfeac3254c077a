"""FastGAN: Liu et al. 2021, for 16 to 128 pixels, which have no second picture."""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plain.spectral import normalised

OF_G = {4: 16, 8: 8, 16: 4, 32: 2, 64: 2, 128: 1}
OF_D = {4: 16, 8: 8, 16: 4, 32: 2, 64: 1, 128: 0.5}
OF_DECODER = {16: 2, 32: 1, 64: 1, 128: 0.5}


def conv(before: int, after: int, kernel: int, stride: int = 1, padding: int = 0) -> nn.Conv2d:
    """Return a convolution without a bias."""
    return nn.Conv2d(before, after, kernel, stride, padding, bias=False)


class Skip(nn.Module):
    """Skip-layer excitation."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.pooled, self.last = conv(before, after, 4), conv(after, after, 1)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Scale the channels of a map by another."""
        gate = F.silu(self.pooled(F.adaptive_avg_pool2d(low, 4)))
        return high * torch.sigmoid(self.last(gate))


class Noise(nn.Module):
    """Noise of a learnt strength."""

    def __init__(self) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Add noise to each pixel."""
        return x + self.strength * torch.randn(len(x), 1, *x.shape[2:], device=x.device)


def up(before: int, after: int, twice: bool = False) -> nn.Sequential:
    """Return a block that doubles the size, by one or two convolutions."""
    layers: list[nn.Module] = [nn.UpsamplingNearest2d(scale_factor=2)]
    for channels in [before, after][: 1 + twice]:
        layers += [conv(channels, 2 * after, 3, 1, 1)]
        layers += [Noise()] if twice else []
        layers += [nn.BatchNorm2d(2 * after), nn.GLU(1)]
    return nn.Sequential(*layers)


class Generator(nn.Module):
    """Blocks that double the size, with excitation from an eighth of it."""

    def __init__(self, size: int, z_dim: int, base: int, colours: int) -> None:
        super().__init__()
        c = {side: int(base * times) for side, times in OF_G.items() if side <= size}
        self.first = nn.ConvTranspose2d(z_dim, 2 * c[4], 4, bias=False)
        self.norm = nn.BatchNorm2d(2 * c[4])
        self.blocks = nn.ModuleList(
            up(c[side // 2], c[side], twice=side in (8, 32, 128)) for side in c if side > 4
        )
        self.skips = nn.ModuleDict(
            {str(side): Skip(c[side // 8], c[side]) for side in c if side >= 32}
        )
        self.output = conv(c[size], colours, 3, 1, 1)

    def forward(self, z: Tensor) -> Tensor:
        """Return images of latents."""
        maps = [F.glu(self.norm(self.first(z[:, :, None, None])), 1)]
        for block in self.blocks:
            h = block(maps[-1])
            if str(h.shape[3]) in self.skips:
                h = self.skips[str(h.shape[3])](maps[-3], h)
            maps.append(h)
        return torch.tanh(self.output(maps[-1]))


class Down(nn.Module):
    """The mean of two paths that halve the size."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.a, self.norm_a = conv(before, after, 4, 2, 1), nn.BatchNorm2d(after)
        self.b, self.norm_b = conv(after, after, 3, 1, 1), nn.BatchNorm2d(after)
        self.c, self.norm_c = conv(before, after, 1), nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        """Halve the size."""
        h = F.leaky_relu(self.norm_a(self.a(x)), 0.2)
        h = F.leaky_relu(self.norm_b(self.b(h)), 0.2)
        return (h + F.leaky_relu(self.norm_c(self.c(F.avg_pool2d(x, 2))), 0.2)) / 2


class Decoders(nn.Module):
    """The whole image from maps of 8 x 8, and a random quarter from those of 16 x 16."""

    def __init__(self, size: int, base: int, colours: int) -> None:
        super().__init__()
        self.whole = self.painter(8 * base, size, base, colours)
        self.quarter = self.painter(4 * base, size // 2, base, colours)

    def painter(self, before: int, size: int, base: int, colours: int) -> nn.Sequential:
        """Return a decoder from 8 x 8 pixels to a size."""
        widths = [before, *(int(base * n) for side, n in OF_DECODER.items() if side <= size)]
        ups = [up(*pair) for pair in itertools.pairwise(widths)]
        return nn.Sequential(*ups, conv(widths[-1], colours, 3, 1, 1), nn.Tanh())

    def forward(self, said: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Return reconstructions beside what they should be."""
        maps, images = said["details"], said["seen"]
        low, left = torch.rand(2, len(maps), 1, 1, 1, device=maps.device) < 0.5
        parts = []
        for whole in (maps, images):
            above, below = whole.tensor_split(2, 2)
            rows = torch.where(low, below, above)
            parts.append(torch.where(left, *rows.tensor_split(2, 3)))
        return [
            (self.whole(said["features"]), images),
            (self.quarter(parts[0]), parts[1]),
        ]


class Discriminator(nn.Module):
    """Blocks that halve the size down to 8, and 25 logits."""

    def __init__(self, size: int, base: int, colours: int) -> None:
        super().__init__()
        c = {side: int(base * times) for side, times in OF_D.items()}
        self.input = conv(colours, c[size], 3, 1, 1)
        sides = [side for side in sorted(c, reverse=True) if 8 <= side <= size]
        self.blocks = nn.ModuleList(Down(c[a], c[b]) for a, b in itertools.pairwise(sides))
        self.skips = nn.ModuleDict(
            {str(side // 8): Skip(c[side], c[side // 8]) for side in sides if side >= 64}
        )
        self.first, self.norm = conv(c[8], c[4], 1), nn.BatchNorm2d(c[4])
        self.last = conv(c[4], 1, 4)
        self.decoder = Decoders(size, base, colours)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return logits, and what they are of."""
        maps = [F.leaky_relu(self.input(x), 0.2)]
        for block in self.blocks:
            h = block(maps[-1])
            if str(h.shape[3]) in self.skips:
                h = self.skips[str(h.shape[3])](maps[-3], h)
            maps.append(h)
        h = F.leaky_relu(self.norm(self.first(maps[-1])), 0.2)
        found = {"features": maps[-1], "details": maps[-2], "seen": x}
        return {"logits": self.last(h).flatten(1), **found}


def networks(
    shape: tuple[int, int, int], *, z_dim: int, base_channels: int, **_: Any
) -> tuple[nn.Module, nn.Module]:
    """Build both networks."""
    colours, size, _ = shape
    pair = (
        Generator(size, z_dim, base_channels, colours),
        Discriminator(size, base_channels, colours),
    )
    return normalised(pair[0]), normalised(pair[1])
