"""Residual networks for CIFAR-10: Gulrajani et al. 2017, and Miyato et al. 2018."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from plain import halvings
from plain.spectral import normalised


class Up(nn.Module):
    """A block that doubles pixels, in its branch and in its shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Upsample, and convolve what was upsampled."""
        h = F.interpolate(F.relu(self.norm1(x)), scale_factor=2)
        h = self.conv2(F.relu(self.norm2(self.conv1(h))))
        return h + self.shortcut(F.interpolate(x, scale_factor=2))


class Down(nn.Module):
    """A block that convolves, and halves pixels or leaves them."""

    def __init__(self, before: int, after: int, halves: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.first, self.halves = before != after, halves
        if halves:
            self.shortcut = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, and pool what was convolved; the first block pools its shortcut first."""
        h = self.conv1(x if self.first else F.relu(x))
        h = self.conv2(F.relu(h))
        if self.first:
            return F.avg_pool2d(h, 2) + self.shortcut(F.avg_pool2d(x, 2))
        if self.halves:
            return F.avg_pool2d(h, 2) + F.avg_pool2d(self.shortcut(x), 2)
        return h + x


class Over(nn.Module):
    """The mean over all pixels, or their sum."""

    def __init__(self, mean: bool) -> None:
        super().__init__()
        self.mean = mean

    def forward(self, x: Tensor) -> Tensor:
        """Return features ``(N, C)``."""
        return x.mean((2, 3)) if self.mean else x.sum((2, 3))


def resnet(
    shape: tuple[int, int, int], *, z_dim: int, base_channels: int, **_: Any
) -> tuple[nn.Module, nn.Module]:
    """Gulrajani et al. 2017, the networks for CIFAR-10 of its appendix."""
    width = base_channels
    return _generator(shape, z_dim, width), _discriminator(shape, width, Over(mean=True))


def sngan_resnet(
    shape: tuple[int, int, int], *, z_dim: int, base_channels: int, **_: Any
) -> tuple[nn.Module, nn.Module]:
    """Miyato et al. 2018, table 4."""
    discriminator = _discriminator(shape, base_channels, Over(mean=False))
    return _generator(shape, z_dim, 2 * base_channels), normalised(discriminator)


def _generator(shape: tuple[int, int, int], z_dim: int, width: int) -> nn.Module:
    channels, size, _ = shape
    return nn.Sequential(
        nn.Linear(z_dim, width * 16),
        nn.Unflatten(1, (width, 4, 4)),
        *(Up(width) for _ in range(halvings(size))),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, channels, 3, padding=1),
        nn.Tanh(),
    )


def _discriminator(shape: tuple[int, int, int], width: int, over: Over) -> nn.Module:
    channels, size, _ = shape
    return nn.Sequential(
        Down(channels, width, halves=True),
        *(Down(width, width, halves=True) for _ in range(halvings(size) - 2)),
        Down(width, width),
        Down(width, width),
        nn.ReLU(),
        over,
        nn.Linear(width, 1),
        nn.Flatten(0),
    )
