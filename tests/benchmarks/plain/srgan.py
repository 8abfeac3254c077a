"""Ledig et al. 2017 and Wang et al. 2018: networks that enlarge images, and their loop."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Pair = tuple[nn.Module, nn.Module]


class Residual(nn.Module):
    """Two convolutions with batch normalisation, beside what they are added to."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.PReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        return x + self.branch(x)


class SRResNet(nn.Module):
    """Ledig et al. 2017, figure 4."""

    def __init__(self, image_channels: int, channels: int, blocks: int, scale: int) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(image_channels, channels, 9, 1, 4), nn.PReLU())
        self.trunk = nn.Sequential(
            *(Residual(channels) for _ in range(blocks)),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        tail: list[nn.Module] = []
        while scale > 1:
            tail += [nn.Conv2d(channels, 4 * channels, 3, 1, 1), nn.PixelShuffle(2), nn.PReLU()]
            scale //= 2
        self.tail = nn.Sequential(*tail, nn.Conv2d(channels, image_channels, 9, 1, 4))

    def forward(self, small: Tensor) -> Tensor:
        """Enlarge images."""
        x = self.head(0.5 * (small + 1))
        return self.tail(x + self.trunk(x))


class Dense(nn.Module):
    """Five convolutions, each of all before it."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        widths = [growth, growth, growth, growth, channels]
        self.convs = nn.ModuleList(
            nn.Conv2d(channels + i * growth, after, 3, 1, 1) for i, after in enumerate(widths)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        found = x
        for conv in self.convs[:-1]:
            found = torch.cat([found, F.leaky_relu(conv(found), 0.2)], 1)
        return x + 0.2 * self.convs[-1](found)


class RRDB(nn.Module):
    """Three dense blocks."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Dense(channels, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        return x + 0.2 * self.blocks(x)


class RRDBNet(nn.Module):
    """Wang et al. 2018, section 3.1."""

    def __init__(
        self, image_channels: int, channels: int, blocks: int, growth: int, scale: int
    ) -> None:
        super().__init__()
        self.head = nn.Conv2d(image_channels, channels, 3, 1, 1)
        self.trunk = nn.Sequential(*(RRDB(channels, growth) for _ in range(blocks)))
        self.behind = nn.Conv2d(channels, channels, 3, 1, 1)
        ups: list[nn.Module] = []
        while scale > 1:
            conv = nn.Conv2d(channels, channels, 3, 1, 1)
            ups += [nn.Upsample(scale_factor=2), conv, nn.LeakyReLU(0.2, inplace=True)]
            scale //= 2
        self.tail = nn.Sequential(
            *ups,
            nn.Conv2d(channels, channels, 3, 1, 1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(channels, image_channels, 3, 1, 1),
        )

    def forward(self, small: Tensor) -> Tensor:
        """Enlarge images."""
        x = self.head(0.5 * (small + 1))
        return 2 * self.tail(x + self.behind(self.trunk(x))) - 1


def srgan(
    shape: tuple[int, int, int], *, base_channels: int, blocks: int, scale: int, **_: Any
) -> Pair:
    """Build SRResNet and the discriminator of its paper."""
    generator = SRResNet(shape[0], base_channels, blocks, scale)
    return generator, _discriminator(shape, base_channels)


def esrgan(
    shape: tuple[int, int, int],
    *,
    base_channels: int,
    blocks: int,
    growth: int,
    scale: int,
    **_: Any,
) -> Pair:
    """Build RRDBNet and the discriminator of SRGAN."""
    generator = RRDBNet(shape[0], base_channels, blocks, growth, scale)
    return generator, _discriminator(shape, base_channels)


def _discriminator(shape: tuple[int, int, int], width: int) -> nn.Module:
    layers: list[nn.Module] = [
        nn.Conv2d(shape[0], width, 3, 1, 1),
        nn.LeakyReLU(0.2, inplace=True),
    ]
    before = width
    for after, stride in (
        *((width, 2), (2 * width, 1), (2 * width, 2), (4 * width, 1)),
        *((4 * width, 2), (8 * width, 1), (8 * width, 2)),
    ):
        layers += [
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        before = after
    pixels = (shape[1] // 16) * (shape[2] // 16)
    layers += [
        nn.Flatten(),
        nn.Linear(8 * width * pixels, 16 * width),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Linear(16 * width, 1),
        nn.Flatten(0),
    ]
    return nn.Sequential(*layers)
