"""The two networks, and the blocks that they are made of."""

from __future__ import annotations

from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo.nn.fusion import FusedSequential
from ganzoo.protocols.dataset import SMALLEST_SIDES
from ganzoo_zoo.families.resnet import ResNet


def generator(options: ResNet, data: DataSpec) -> nn.Module:
    """Build latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
    halvings, height, width = data.count_halvings("resnet")
    channels = options.base_channels
    return nn.Sequential(
        _draw_weights(nn.Linear(options.z_dim, channels * height * width)),
        nn.Unflatten(1, (channels, height, width)),
        *(_up_block(channels) for _ in range(halvings)),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        _draw_weights(nn.Conv2d(channels, data.image_channels, 3, padding=1)),
        nn.Tanh(),
    )


def discriminator(options: ResNet, data: DataSpec) -> nn.Module:
    """Build images ``(N, C, H, W)`` -> logits ``(N,)``; it never mixes its batch."""
    halvings, height, width = data.count_halvings("resnet")
    side, channels = min(height, width), options.base_channels
    halved = max(1, sum(side * 2**i >= SMALLEST_SIDES[1] for i in range(halvings)))
    return nn.Sequential(
        _first_block(data.image_channels, channels),
        *(_down_block(channels) for _ in range(halved - 1)),
        *(_Residual(_branch(channels), nn.Identity()) for _ in range(2)),
        nn.ReLU(inplace=True),
        _MeanOverPixels(),
        _draw_weights(nn.Linear(channels, 1)),
        nn.Flatten(0),
    )


class _Residual(nn.Module):
    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, features: Tensor) -> Tensor:
        return self.shortcut(features) + self.branch(features)


class _MeanOverPixels(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features.mean((2, 3))


def _up_block(channels: int) -> nn.Module:
    branch = FusedSequential(
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Upsample(scale_factor=2),
        _convolution(channels, channels),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        _convolution(channels, channels),
    )
    # A 1 x 1 convolution and resampling commute; the fewer pixels come first.
    shortcut = nn.Sequential(
        _draw_weights(nn.Conv2d(channels, channels, 1)), nn.Upsample(scale_factor=2)
    )
    return _Residual(branch, shortcut)


def _down_block(channels: int) -> nn.Module:
    shortcut = nn.Sequential(nn.AvgPool2d(2), _draw_weights(nn.Conv2d(channels, channels, 1)))
    return _Residual(FusedSequential(_branch(channels), nn.AvgPool2d(2)), shortcut)


def _first_block(before: int, after: int) -> nn.Module:
    branch = FusedSequential(
        _convolution(before, after),
        nn.ReLU(inplace=True),
        _convolution(after, after),
        nn.AvgPool2d(2),
    )
    return _Residual(
        branch, nn.Sequential(nn.AvgPool2d(2), _draw_weights(nn.Conv2d(before, after, 1)))
    )


def _branch(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        _convolution(channels, channels),
        nn.ReLU(inplace=True),
        _convolution(channels, channels),
    )


def _convolution(before: int, after: int) -> nn.Module:
    return _draw_weights(nn.Conv2d(before, after, 3, padding=1), gain=2**0.5)


def _draw_weights(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> nn.Module:
    nn.init.xavier_uniform_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
