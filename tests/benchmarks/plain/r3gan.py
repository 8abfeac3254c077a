"""Huang et al. 2024: residual networks without normalisation, config E."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from plain import halvings


class Block(nn.Module):
    """A 1 x 1, a grouped 3 x 3 and a 1 x 1 convolution beside what they are added to."""

    def __init__(self, channels: int, inside: int, group_size: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, inside, 1)
        self.conv2 = nn.Conv2d(inside, inside, 3, padding=1, groups=inside // group_size)
        self.conv3 = nn.Conv2d(inside, channels, 1, bias=False)
        self.act = nn.LeakyReLU(0.2)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        return x + self.conv3(self.act(self.conv2(self.act(self.conv1(x)))))


class Basis(nn.Module):
    """A learned pattern for each channel, scaled by a linear map of z."""

    def __init__(self, z_dim: int, channels: int) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.zeros(channels, 4, 4))
        self.linear = nn.Linear(z_dim, channels, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        """Return features ``(N, C, 4, 4)``."""
        return self.basis.view(1, -1, 4, 4) * self.linear(z).view(len(z), -1, 1, 1)


def networks(
    shape: tuple[int, int, int],
    *,
    z_dim: int,
    base_channels: int,
    growth: int,
    blocks: int,
    expansion: int,
    group_size: int,
    **_: Any,
) -> tuple[nn.Module, nn.Module]:
    """Build both."""
    channels, size, _ = shape
    stages = halvings(size) + 1
    widths = [base_channels * min(2**i, growth) for i in range(stages)]

    def stage(width: int) -> list[nn.Module]:
        return [Block(width, width * expansion, group_size) for _ in range(blocks)]

    lowest = widths[-1]
    generator = [Basis(z_dim, lowest), *stage(lowest)]
    for before, after in itertools.pairwise(widths[::-1]):
        generator += [
            *_transition(before, after),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            *stage(after),
        ]
    generator += [nn.Conv2d(widths[0], channels, 1, bias=False), nn.Tanh()]
    discriminator: list[nn.Module] = [nn.Conv2d(channels, widths[0], 1, bias=False)]
    for before, after in itertools.pairwise(widths):
        discriminator += [*stage(before), nn.AvgPool2d(2), *_transition(before, after)]
    discriminator += [
        *stage(lowest),
        nn.Conv2d(lowest, lowest, 4, groups=lowest, bias=False),
        nn.Flatten(),
        nn.Linear(lowest, 1, bias=False),
        nn.Flatten(0),
    ]
    return nn.Sequential(*generator), nn.Sequential(*discriminator)


def _transition(before: int, after: int) -> list[nn.Module]:
    return [] if before == after else [nn.Conv2d(before, after, 1, bias=False)]
