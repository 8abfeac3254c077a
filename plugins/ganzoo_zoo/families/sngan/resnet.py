"""The ResNet of the paper's table 4."""

from __future__ import annotations

from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo.nn.fusion import FusedSequential
from ganzoo.protocols.dataset import SMALLEST_SIDES
from ganzoo_zoo.families.sngan import SNGANResNet
from ganzoo_zoo.families.sngan.spectral import normalise


def generator(options: SNGANResNet, data: DataSpec) -> nn.Module:
    """Build latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
    halvings, height, width = data.count_halvings("SN-GAN")
    channels = 2 * options.base_channels
    project = nn.Linear(options.z_dim, channels * height * width)
    nn.init.xavier_uniform_(project.weight)
    nn.init.zeros_(project.bias)
    return nn.Sequential(
        project,
        nn.Unflatten(1, (channels, height, width)),
        *(_up_block(channels) for _ in range(halvings)),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        _convolution(channels, data.image_channels, 3),
        nn.Tanh(),
    )


def discriminator(options: SNGANResNet, data: DataSpec) -> nn.Module:
    """Build images ``(N, C, H, W)`` -> logits ``(N,)``."""
    halvings, height, width = data.count_halvings("SN-GAN")
    side, channels = min(height, width), options.base_channels
    halved = max(1, sum(side * 2**i >= SMALLEST_SIDES[1] for i in range(halvings)))
    judge = nn.Linear(channels, 1)
    nn.init.xavier_uniform_(judge.weight)
    nn.init.zeros_(judge.bias)
    network = nn.Sequential(
        _first_block(data.image_channels, channels),
        *(_down_block(channels) for _ in range(halved - 1)),
        *(_Residual(_branch(channels), nn.Identity()) for _ in range(2)),
        nn.ReLU(inplace=True),
        _SumOverPixels(),
        judge,
        nn.Flatten(0),
    )
    return network.apply(normalise)


class _Residual(nn.Module):
    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, features: Tensor) -> Tensor:
        return self.shortcut(features) + self.branch(features)


class _SumOverPixels(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features.sum((2, 3))


def _up_block(channels: int) -> nn.Module:
    branch = FusedSequential(
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Upsample(scale_factor=2),
        _convolution(channels, channels, 3, gain=2**0.5),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        _convolution(channels, channels, 3, gain=2**0.5),
    )
    # A 1 x 1 convolution and resampling commute; the fewer pixels come first.
    shortcut = nn.Sequential(_convolution(channels, channels, 1), nn.Upsample(scale_factor=2))
    return _Residual(branch, shortcut)


def _down_block(channels: int) -> nn.Module:
    shortcut = nn.Sequential(nn.AvgPool2d(2), _convolution(channels, channels, 1))
    return _Residual(FusedSequential(_branch(channels), nn.AvgPool2d(2)), shortcut)


def _first_block(before: int, after: int) -> nn.Module:
    branch = FusedSequential(
        _convolution(before, after, 3, gain=2**0.5),
        nn.ReLU(inplace=True),
        _convolution(after, after, 3, gain=2**0.5),
        nn.AvgPool2d(2),
    )
    return _Residual(branch, nn.Sequential(nn.AvgPool2d(2), _convolution(before, after, 1)))


def _branch(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        _convolution(channels, channels, 3, gain=2**0.5),
        nn.ReLU(inplace=True),
        _convolution(channels, channels, 3, gain=2**0.5),
    )


def _convolution(before: int, after: int, kernel: int, gain: float = 1.0) -> nn.Conv2d:
    convolution = nn.Conv2d(before, after, kernel, padding=kernel // 2)
    nn.init.xavier_uniform_(convolution.weight, gain)
    nn.init.zeros_(convolution.bias)
    return convolution
