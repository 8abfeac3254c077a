"""The ResNet of the paper's table 4."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from ganzoo import Architecture, DataSpec, Recipe
from ganzoo.dataset import SMALLEST_SIDES
from ganzoo.folding import Folded
from ganzoo_sngan.spectral import normalise


class SNGANResNet(Architecture):
    """Spectral normalisation GAN for images of 1, 3 or 4 channels: the ResNet for CIFAR-10.

    The networks of Miyato et al. 2018, table 4: residual blocks of two 3 x 3
    convolutions behind activations; in the generator with batch normalisation and nearest
    upsampling, in the discriminator with spectral normalisation of every weight, mean pooling and
    a sum over all pixels before the last layer. Its first block has no activation before it.

    The generator doubles its pixels from a shorter side of 4 to 7, three times for the paper's 32;
    the discriminator halves its own while at least 7 are left, twice for the paper's, and then has
    two blocks more. So 28 x 28, 32, 48, 64, 96 and 128 are all one class.

    Weights are drawn as in the authors' code, by Glorot and Bengio 2010 with the variance doubled
    before ReLU, and its settings for CIFAR-10 without labels are the recipe
    (pfnet-research/sngan_projection: Adam 2e-4 with betas 0 and 0.9, 5 discriminator updates,
    batches of 64, linear decay to 0). There the generator learns from 128 samples, here from 64.
    """

    paper = "Miyato et al. 2018, arXiv:1802.05957"
    default_loss = "hinge"
    default_data = "digits"
    recipe = Recipe(
        generator_lr=2e-4,
        discriminator_lr=2e-4,
        betas=(0.0, 0.9),
        n_critic=5,
        batch_size=64,
        lr_decay="linear",
    )
    bounds_slope = True

    z_dim: int = Field(128, gt=0, description="Length of a latent.")
    base_channels: int = Field(
        128,
        gt=0,
        description="Channels of the discriminator, and half those of the generator; "
        "the paper has 128.",
    )

    def generator(self, data: DataSpec) -> nn.Module:
        """Build latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
        halvings, height, width = data.halved("SN-GAN")
        channels = 2 * self.base_channels
        project = nn.Linear(self.z_dim, channels * height * width)
        nn.init.xavier_uniform_(project.weight)
        nn.init.zeros_(project.bias)
        return nn.Sequential(
            project,
            nn.Unflatten(1, (channels, height, width)),
            *(_doubling(channels) for _ in range(halvings)),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            _convolution(channels, data.image_channels, 3),
            nn.Tanh(),
        )

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build images ``(N, C, H, W)`` -> logits ``(N,)``."""
        halvings, height, width = data.halved("SN-GAN")
        side, channels = min(height, width), self.base_channels
        halved = max(1, sum(side * 2**i >= SMALLEST_SIDES[1] for i in range(halvings)))
        judge = nn.Linear(channels, 1)
        nn.init.xavier_uniform_(judge.weight)
        nn.init.zeros_(judge.bias)
        network = nn.Sequential(
            _first(data.image_channels, channels),
            *(_halving(channels) for _ in range(halved - 1)),
            *(_Residual(_branch(channels), nn.Identity()) for _ in range(2)),
            nn.ReLU(),
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


def _doubling(channels: int) -> nn.Module:
    branch = Folded(
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        _convolution(channels, channels, 3, gain=2**0.5),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        _convolution(channels, channels, 3, gain=2**0.5),
    )
    # A 1 x 1 convolution and resampling commute; the fewer pixels come first.
    shortcut = nn.Sequential(_convolution(channels, channels, 1), nn.Upsample(scale_factor=2))
    return _Residual(branch, shortcut)


def _halving(channels: int) -> nn.Module:
    shortcut = nn.Sequential(nn.AvgPool2d(2), _convolution(channels, channels, 1))
    return _Residual(Folded(_branch(channels), nn.AvgPool2d(2)), shortcut)


def _first(before: int, after: int) -> nn.Module:
    branch = Folded(
        _convolution(before, after, 3, gain=2**0.5),
        nn.ReLU(),
        _convolution(after, after, 3, gain=2**0.5),
        nn.AvgPool2d(2),
    )
    return _Residual(branch, nn.Sequential(nn.AvgPool2d(2), _convolution(before, after, 1)))


def _branch(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        _convolution(channels, channels, 3, gain=2**0.5),
        nn.ReLU(),
        _convolution(channels, channels, 3, gain=2**0.5),
    )


def _convolution(before: int, after: int, kernel: int, gain: float = 1.0) -> nn.Conv2d:
    convolution = nn.Conv2d(before, after, kernel, padding=kernel // 2)
    nn.init.xavier_uniform_(convolution.weight, gain)
    nn.init.zeros_(convolution.bias)
    return convolution
