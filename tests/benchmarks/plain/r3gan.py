"""Huang et al. 2024: residual networks without normalisation, config E."""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
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


class Filter(nn.Module):
    """The filter [1, 3, 3, 1] in both directions: down by 2, or up by 2."""

    def __init__(self, up: bool) -> None:
        super().__init__()
        line = torch.tensor([1.0, 3.0, 3.0, 1.0])
        total = 16 if up else 64
        self.register_buffer("weight", line[:, None] * line[None, :] / total, persistent=False)
        self.up = up

    def forward(self, x: Tensor) -> Tensor:
        """Return features of twice or half the size."""
        channels = x.shape[1]
        weight = self.weight.to(x.dtype).repeat(channels, 1, 1, 1)
        if self.up:
            return F.conv_transpose2d(x, weight, stride=2, padding=1, groups=channels)
        return F.conv2d(x, weight, stride=2, padding=1, groups=channels)


def networks(
    shape: tuple[int, int, int],
    *,
    z_dim: int,
    base_channels: int,
    growth: int,
    blocks: int,
    expansion: int,
    group_size: int,
    output: str,
    resampling: str,
    **_: Any,
) -> tuple[nn.Module, nn.Module]:
    """Build both."""
    channels, size, _ = shape
    stages = halvings(size) + 1
    widths = [base_channels * min(2**i, growth) for i in range(stages)]

    def stage(width: int) -> list[nn.Module]:
        return [Block(width, width * expansion, group_size) for _ in range(blocks)]

    filtered = resampling == "binomial"
    lowest = widths[-1]
    generator = [Basis(z_dim, lowest), *stage(lowest)]
    for before, after in itertools.pairwise(widths[::-1]):
        generator += [
            *_transition(before, after),
            Filter(up=True) if filtered else nn.Upsample(scale_factor=2, mode="bilinear"),
            *stage(after),
        ]
    generator += [nn.Conv2d(widths[0], channels, 1, bias=False)]
    generator += [nn.Tanh()] if output == "tanh" else []
    discriminator: list[nn.Module] = [nn.Conv2d(channels, widths[0], 1, bias=False)]
    for before, after in itertools.pairwise(widths):
        down = Filter(up=False) if filtered else nn.AvgPool2d(2)
        discriminator += [*stage(before), down, *_transition(before, after)]
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
