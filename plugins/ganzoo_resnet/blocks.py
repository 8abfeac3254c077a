"""Residual blocks for images (Gulrajani et al. 2017, which Miyato et al. 2018 took over)."""

from __future__ import annotations

from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo.dataset import SMALLEST_SIDES

BEHIND_RELU = 2**0.5
"""Gain of a layer whose input is half zeros (He et al. 2015, arXiv:1502.01852)."""


class Residual(nn.Module):
    """The sum of a shortcut and a branch."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` as both parts do."""
        return self.shortcut(features) + self.branch(features)


def doubling(channels: int) -> nn.Module:
    """Build a generator's block: batch normalisation, twice the height and width."""
    branch = nn.Sequential(
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        convolution(channels, channels, 3, gain=BEHIND_RELU),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        convolution(channels, channels, 3, gain=BEHIND_RELU),
    )
    # A 1 x 1 convolution and resampling commute; the fewer pixels come first.
    shortcut = nn.Sequential(convolution(channels, channels, 1), nn.Upsample(scale_factor=2))
    return Residual(branch, shortcut)


def critic_blocks(data: DataSpec, channels: int, name: str) -> list[nn.Module]:
    """Build a critic's blocks, without normalisation: images to features before the last ReLU.

    They halve an image while at least 7 pixels of its shorter side are left, but once at least,
    and two more keep it.

    Raises:
        ganzoo.errors.InputError: the images cannot be halved; the message calls the architecture
            by its name.
    """
    halvings, height, width = data.halved(name)
    halved = max(1, sum(min(height, width) * 2**i >= SMALLEST_SIDES[1] for i in range(halvings)))
    return [
        _first(data.image_channels, channels),
        *(_halving(channels) for _ in range(halved - 1)),
        *(Residual(_branch(channels), nn.Identity()) for _ in range(2)),
    ]


def convolution(before: int, after: int, kernel: int, gain: float = 1.0) -> nn.Module:
    """Build a convolution that keeps height and width."""
    return drawn(nn.Conv2d(before, after, kernel, padding=kernel // 2), gain)


def drawn(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> nn.Module:
    """Draw a layer's weights by Glorot and Bengio 2010, with zero biases."""
    nn.init.xavier_uniform_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def _halving(channels: int) -> nn.Module:
    shortcut = nn.Sequential(nn.AvgPool2d(2), convolution(channels, channels, 1))
    return Residual(nn.Sequential(_branch(channels), nn.AvgPool2d(2)), shortcut)


def _first(before: int, after: int) -> nn.Module:
    branch = nn.Sequential(
        convolution(before, after, 3, gain=BEHIND_RELU),
        nn.ReLU(),
        convolution(after, after, 3, gain=BEHIND_RELU),
        nn.AvgPool2d(2),
    )
    return Residual(branch, nn.Sequential(nn.AvgPool2d(2), convolution(before, after, 1)))


def _branch(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        convolution(channels, channels, 3, gain=BEHIND_RELU),
        nn.ReLU(),
        convolution(channels, channels, 3, gain=BEHIND_RELU),
    )
