"""Zhu et al. 2017: the networks of appendix 7.2, and the pool of earlier fakes of section 4."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside what they are added to."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=False),
            nn.InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=False),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        return x + self.block(x)


class Pool:
    """Up to ``size`` earlier fakes of a class, half of the time shown in place of a new one."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: list[Tensor] = []

    def shown(self, image: Tensor, coin: bool, place: int) -> Tensor:
        """Return an image: the new one, or one that it takes the place of."""
        if len(self.images) < self.size:
            self.images.append(image)
        elif coin:
            image, self.images[place] = self.images[place], image
        return image


def shown(pools: list[Pool], fakes: list[Tensor]) -> list[Tensor]:
    """Pass the fakes of both classes through their pools."""
    count = sum(map(len, fakes))
    coins = iter((torch.rand(count, 1) < 0.5).tolist())
    places = iter(torch.randint(pools[0].size, (count, 1)).tolist())
    return [
        torch.stack([pool.shown(image, *next(coins), *next(places)) for image in images])
        for pool, images in zip(pools, fakes, strict=True)
    ]


def networks(
    shape: tuple[int, int, int], *, base_channels: int, blocks: int | None, **_: Any
) -> tuple[nn.Module, nn.Module]:
    """Build a generator to each of two classes, and a discriminator of each."""
    channels, size, _ = shape
    blocks = blocks if blocks is not None else (9 if size >= 256 else 6)
    generators = [_generator(channels, base_channels, blocks) for _ in range(2)]
    discriminators = [_discriminator(channels, base_channels) for _ in range(2)]
    return nn.ModuleList(generators), nn.ModuleList(discriminators)


def _generator(channels: int, width: int, blocks: int) -> nn.Module:
    layers: list[nn.Module] = [
        nn.ReflectionPad2d(3),
        nn.Conv2d(channels, width, 7, bias=False),
        nn.InstanceNorm2d(width),
        nn.ReLU(inplace=True),
    ]
    for before in (width, 2 * width):
        layers += [
            nn.Conv2d(before, 2 * before, 3, stride=2, padding=1, bias=False),
            nn.InstanceNorm2d(2 * before),
            nn.ReLU(inplace=True),
        ]
    layers += [Residual(4 * width) for _ in range(blocks)]
    for after in (2 * width, width):
        layers += [
            nn.ConvTranspose2d(
                2 * after, after, 3, stride=2, padding=1, output_padding=1, bias=False
            ),
            nn.InstanceNorm2d(after),
            nn.ReLU(inplace=True),
        ]
    layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh()]
    return nn.Sequential(*layers)


def _discriminator(channels: int, width: int) -> nn.Module:
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2, inplace=True),
    ]
    for before, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
        layers += [
            nn.Conv2d(before, 2 * before, 4, stride=stride, padding=1, bias=False),
            nn.InstanceNorm2d(2 * before),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    layers += [nn.Conv2d(8 * width, 1, 4, padding=1), nn.Flatten()]
    return nn.Sequential(*layers)
