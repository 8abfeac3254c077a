"""Residual blocks of two 3 x 3 convolutions, for generators and discriminators.

The blocks of Gulrajani et al. 2017 (arXiv:1704.00028, appendix, CIFAR ResNet architecture) and of
Miyato et al. 2018 (arXiv:1802.05957, table 4): activations come before convolutions (He et al.
2016, arXiv:1603.05027), and a block may double or halve its features in height and width.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TypeVar

from torch import Tensor, nn

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)

SMALLEST_MAP = 7
"""Pixels of the shorter side below which a discriminator does not halve a feature map."""


class Residual(nn.Module):
    """The sum of two networks of the same features: ``shortcut(x) + branch(x)``.

    Args:
        branch: The network that learns the difference.
        shortcut: What the difference is added to. It sees the same features as the branch, whose
            first layer must not change them in place.
    """

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, features: Tensor) -> Tensor:
        """Return the sum of both for features ``(N, C, H, W)``."""
        return self.shortcut(features) + self.branch(features)


class SumOverPixels(nn.Module):
    """The sum of features over all pixels: ``(N, C, H, W)`` to ``(N, C)``."""

    def forward(self, features: Tensor) -> Tensor:
        """Return the sums ``(N, C)``."""
        return features.sum((2, 3))


def residual_generator(
    z_dim: int,
    channels: int | Sequence[int],
    image_channels: int,
    size: tuple[int, int],
    doublings: int,
    block: Callable[[int, int], nn.Module] | None = None,
) -> nn.Sequential:
    """Build a generator of up blocks: latents ``(N, z_dim)`` -> images in ``[-1, 1]``.

    Gulrajani et al. 2017 and Miyato et al. 2018 share it, with 128 and 256 channels.

    Args:
        z_dim: Length of a latent.
        channels: Channels of all feature maps, or of each, the first map first.
        image_channels: Channels of an image.
        size: Height and width of the first feature map.
        doublings: Number of up blocks. Images are ``size * 2**doublings`` high and wide.
        block: Builds a block that doubles the size, from its channels before and after; None for
            :func:`up_block`.
    """
    height, width = size
    widths = [channels] * (doublings + 1) if isinstance(channels, int) else list(channels)
    return nn.Sequential(
        draw_glorot(nn.Linear(z_dim, widths[0] * height * width)),
        nn.Unflatten(1, (widths[0], height, width)),
        *((block or up_block)(before, after) for before, after in itertools.pairwise(widths)),
        nn.BatchNorm2d(widths[-1]),
        nn.ReLU(inplace=True),
        draw_glorot(nn.Conv2d(widths[-1], image_channels, 3, padding=1)),
        nn.Tanh(),
    )


def count_down_blocks(halvings: int, size: tuple[int, int]) -> int:
    """Count the blocks with which a discriminator halves its features, at least 1.

    Args:
        halvings: Number of halvings after which ``size`` is left.
        size: Height and width, of which the shorter is 4 to 7. Below 7 the last halving is omitted.
    """
    return halvings if min(size) >= SMALLEST_MAP else max(1, halvings - 1)


def up_block(before: int, after: int, upsampling: str = "nearest") -> Residual:
    """Build a generator's block: features ``(N, before, H, W)`` -> ``(N, after, 2H, 2W)``.

    It has batch normalisation before each activation.

    Args:
        before: Channels that it takes.
        after: Channels that it returns.
        upsampling: How the size is doubled: by repeating each pixel, or ``bilinear``.
    """
    first, second = double_branch(before, after, upsampling)
    branch = nn.Sequential(nn.BatchNorm2d(before), *first, nn.BatchNorm2d(after), *second)
    return Residual(branch, double_shortcut(before, after, upsampling))


def double_branch(
    before: int, after: int, upsampling: str = "nearest"
) -> tuple[nn.Sequential, nn.Sequential]:
    """Build what follows each of the two normalisations in the branch of an up block."""
    double = nn.Upsample(scale_factor=2, mode=upsampling)
    first = nn.Sequential(nn.ReLU(inplace=True), double, _convolution(before, after))
    return first, nn.Sequential(nn.ReLU(inplace=True), _convolution(after, after))


def double_shortcut(before: int, after: int, upsampling: str = "nearest") -> nn.Sequential:
    """Build the shortcut of an up block."""
    # A 1 x 1 convolution commutes with upsampling, and comes first, where there are fewer pixels.
    convolution = draw_glorot(nn.Conv2d(before, after, 1))
    return nn.Sequential(convolution, nn.Upsample(scale_factor=2, mode=upsampling))


def down_block(before: int, after: int) -> Residual:
    """Build a discriminator's block: features ``(N, before, H, W)`` -> ``(N, after, H/2, W/2)``.

    It has no normalisation of features, and takes the mean over 2 x 2 pixels to halve the size.
    """
    shortcut = _pooled_shortcut(before, after)
    return Residual(nn.Sequential(_branch(before, after), nn.AvgPool2d(2)), shortcut)


def first_block(before: int, after: int) -> Residual:
    """Build a discriminator's first block: images -> features ``(N, after, H/2, W/2)``.

    It takes images ``(N, before, H, W)``. There is no activation before its first convolution:
    that would drop the dark half of an image.
    """
    branch = nn.Sequential(
        _convolution(before, after),
        nn.ReLU(inplace=True),
        _convolution(after, after),
        nn.AvgPool2d(2),
    )
    return Residual(branch, _pooled_shortcut(before, after))


def same_block(before: int, after: int | None = None) -> Residual:
    """Build a discriminator's block that keeps the size of features ``(N, before, H, W)``.

    Args:
        before: Channels that it takes.
        after: Channels that it returns; None for as many. With others, its shortcut is a 1 x 1
            convolution.
    """
    if after in (None, before):
        return Residual(_branch(before, before), nn.Identity())
    return Residual(_branch(before, after), draw_glorot(nn.Conv2d(before, after, 1)))


def draw_glorot(layer: Layer, gain: float = 1.0) -> Layer:
    """Draw a layer's weight uniformly by Glorot and Bengio 2010, and set its bias to 0, in place.

    Args:
        layer: The layer, which is returned.
        gain: Factor of the standard deviation; ``2**0.5`` for a layer behind a ReLU, as in He et
            al. 2015 (arXiv:1502.01852).
    """
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _branch(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),  # not in place: the shortcut sees the same features
        _convolution(before, after),
        nn.ReLU(inplace=True),
        _convolution(after, after),
    )


def _pooled_shortcut(before: int, after: int) -> nn.Sequential:
    # Pooling commutes with a 1 x 1 convolution, and comes first, so that there are fewer pixels.
    return nn.Sequential(nn.AvgPool2d(2), draw_glorot(nn.Conv2d(before, after, 1)))


def _convolution(before: int, after: int) -> nn.Conv2d:
    return draw_glorot(nn.Conv2d(before, after, 3, padding=1), gain=2**0.5)
