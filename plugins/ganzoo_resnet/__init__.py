"""The ResNet of WGAN-GP: residual blocks, and a critic without normalisation."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from ganzoo import Architecture, DataSpec, Recipe
from ganzoo.dataset import SMALLEST_SIDES
from ganzoo.folding import Folded


class ResNet(Architecture):
    """WGAN-GP's residual networks for images of 1, 3 or 4 channels.

    The CIFAR-10 networks of Gulrajani et al. 2017 (appendix, CIFAR ResNet architecture): residual
    blocks of two 3 x 3 convolutions behind activations, all of one width; nearest upsampling and
    batch normalisation in the generator, mean pooling and no normalisation at all in the critic,
    so that every loss can use it. The critic's first block has no activation before it and pools
    its shortcut first; its last layer sees the mean over all pixels.

    The generator doubles its pixels from a shorter side of 4 to 7, three times for the paper's 32;
    the critic halves its own while at least 7 are left, twice for the paper's, and then has two
    blocks more. So 28 x 28, 32, 48, 64, 96 and 128 are all one class.

    Weights are drawn as in the authors' code (igul222/improved_wgan_training), uniformly by Glorot
    and Bengio 2010, with the variance doubled behind ReLU as by He et al. 2015. The recipe is the
    paper's: Adam 2e-4 with betas 0 and 0.9, 5 critic updates, batches of 64, linear decay to 0.
    Their generator learns from 128 samples and their images are dequantised; here it learns from
    64, and images are not.
    """

    paper = "Gulrajani et al. 2017, arXiv:1704.00028"
    default_loss = "wgan-gp"
    default_data = "digits"
    recipe = Recipe(
        generator_lr=2e-4,
        discriminator_lr=2e-4,
        betas=(0.0, 0.9),
        n_critic=5,
        batch_size=64,
        lr_decay="linear",
    )

    z_dim: int = Field(128, gt=0, description="Length of a latent.")
    base_channels: int = Field(128, gt=0, description="Channels of every block; the paper has 128.")

    def generator(self, data: DataSpec) -> nn.Module:
        """Build latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
        halvings, height, width = data.halved("resnet")
        channels = self.base_channels
        return nn.Sequential(
            _drawn(nn.Linear(self.z_dim, channels * height * width)),
            nn.Unflatten(1, (channels, height, width)),
            *(_doubling(channels) for _ in range(halvings)),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            _drawn(nn.Conv2d(channels, data.image_channels, 3, padding=1)),
            nn.Tanh(),
        )

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build images ``(N, C, H, W)`` -> logits ``(N,)``; it never mixes its batch."""
        halvings, height, width = data.halved("resnet")
        side, channels = min(height, width), self.base_channels
        halved = max(1, sum(side * 2**i >= SMALLEST_SIDES[1] for i in range(halvings)))
        return nn.Sequential(
            _first(data.image_channels, channels),
            *(_halving(channels) for _ in range(halved - 1)),
            *(_Residual(_branch(channels), nn.Identity()) for _ in range(2)),
            nn.ReLU(),
            _MeanOverPixels(),
            _drawn(nn.Linear(channels, 1)),
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


def _doubling(channels: int) -> nn.Module:
    branch = Folded(
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        _convolution(channels, channels),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        _convolution(channels, channels),
    )
    # A 1 x 1 convolution and resampling commute; the fewer pixels come first.
    shortcut = nn.Sequential(_drawn(nn.Conv2d(channels, channels, 1)), nn.Upsample(scale_factor=2))
    return _Residual(branch, shortcut)


def _halving(channels: int) -> nn.Module:
    shortcut = nn.Sequential(nn.AvgPool2d(2), _drawn(nn.Conv2d(channels, channels, 1)))
    return _Residual(Folded(_branch(channels), nn.AvgPool2d(2)), shortcut)


def _first(before: int, after: int) -> nn.Module:
    branch = Folded(
        _convolution(before, after), nn.ReLU(), _convolution(after, after), nn.AvgPool2d(2)
    )
    return _Residual(branch, nn.Sequential(nn.AvgPool2d(2), _drawn(nn.Conv2d(before, after, 1))))


def _branch(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(), _convolution(channels, channels), nn.ReLU(), _convolution(channels, channels)
    )


def _convolution(before: int, after: int) -> nn.Module:
    return _drawn(nn.Conv2d(before, after, 3, padding=1), gain=2**0.5)


def _drawn(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> nn.Module:
    nn.init.xavier_uniform_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
