"""The growing generator and discriminator of ProGAN: table 2 of its paper.

Levels count the doublings of the lowest resolution. A network has all its levels from the start and
uses those up to ``level``, of which the last counts by ``share``. Layers of higher levels are not
called, so they cost nothing and get no gradient. Images have the size of the data at every level:
coarse ones are enlarged.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo.nn import (
    EqualizedConv2d,
    EqualizedLinear,
    EvaluationClamp,
    MinibatchStd,
    PixelNorm,
    upsample_conv2d,
)

SLOPE = 0.2
"""Of the leaky ReLU for negative numbers."""
GAIN = 2**0.5
"""Of layers before a leaky ReLU (He et al. 2015, arXiv:1502.01852)."""


class Growing(nn.Module):
    """A network that is as grown as two plain attributes say; at first it is whole."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels
        self.level = levels
        self.share = 1.0


class Generator(Growing):
    """Latents ``(N, z_dim)`` -> images ``(N, C, H, W)``.

    In evaluation mode they lie in ``[-1, 1]``.

    Args:
        data: Shape of the images.
        z_dim: Length of a latent.
        widths: Channels at each level, the lowest first.
        classes: Number of classes; with any, labels ``(N,)`` are a second argument.
        pixel_bias: Whether the first layer has a bias for each pixel.
    """

    def __init__(
        self, data: DataSpec, z_dim: int, widths: list[int], classes: int, *, pixel_bias: bool
    ) -> None:
        levels, height, width = data.count_halvings()
        super().__init__(levels)
        self.classes = classes
        self.normalise = PixelNorm()
        self.blocks = nn.ModuleList(
            [
                _Stem(z_dim + classes, widths[0], (height, width), pixel_bias),
                *(_UpBlock(before, after) for before, after in itertools.pairwise(widths)),
            ]
        )
        self.to_image = nn.ModuleList(
            EqualizedConv2d(channels, data.image_channels, 1) for channels in widths
        )
        self.clamp = EvaluationClamp()

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images as grown as the network is, enlarged to the size of the data."""
        features = before = self.normalise(latents)
        if labels is not None:
            features = torch.cat([features, F.one_hot(labels, self.classes).to(features)], dim=1)
        for block in itertools.islice(self.blocks, self.level + 1):
            before, features = features, block(features)
        images = self.to_image[self.level](features)
        if self.share < 1:
            coarse = _enlarge(self.to_image[self.level - 1](before), 1)
            images = coarse.lerp(images, self.share)
        return _enlarge(self.clamp(images), self.levels - self.level)


class Discriminator(Growing):
    """Images ``(N, C, H, W)`` -> logits ``(N,)``.

    Args:
        data: Shape of the images.
        widths: Channels at each level, the lowest first.
        hidden: Width of the hidden dense layer.
        group_size: Samples of a group whose standard deviation is a feature; 1 for none.
        classes: Number of classes; with any, labels ``(N,)`` are a second argument.
    """

    def __init__(
        self, data: DataSpec, widths: list[int], hidden: int, group_size: int, classes: int
    ) -> None:
        levels, height, width = data.count_halvings()
        super().__init__(levels)
        self.from_image = nn.ModuleList(
            nn.Sequential(EqualizedConv2d(data.image_channels, channels, 1, gain=GAIN), _leaky())
            for channels in widths
        )
        self.blocks = nn.ModuleList(
            [
                _summary(widths[0], hidden, (height, width), group_size),
                *(_down_block(before, after) for after, before in itertools.pairwise(widths)),
            ]
        )
        self.judge = EqualizedLinear(hidden, 1 + classes)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the logits of images, of which details above the level do not count."""
        images = _halve(images, self.levels - self.level)
        features = self.blocks[self.level](self.from_image[self.level](images))
        if self.share < 1:
            coarse = self.from_image[self.level - 1](_halve(images, 1))
            features = coarse.lerp(features, self.share)
        for level in reversed(range(self.level)):
            features = self.blocks[level](features)
        logits = self.judge(features)
        if labels is None:
            return logits[:, 0]
        return logits[:, 0] + logits.gather(1, 1 + labels[:, None])[:, 0]


def show_at_level(images: Tensor, levels: int, level: int, share: float) -> Tensor:
    """Return images ``(N, C, H, W)`` as a generator of a level makes them, of the same size.

    Args:
        images: Images of the last level.
        levels: The last level.
        level: The level to show them at.
        share: How much its details count beside those of the level before.
    """
    shown = _halve(images, levels - level)
    if share < 1:
        shown = _enlarge(_halve(shown, 1), 1).lerp(shown, share)
    return _enlarge(shown, levels - level)


class _Stem(nn.Module):
    """Vectors ``(N, before)`` -> features of the lowest level."""

    def __init__(self, before: int, channels: int, size: tuple[int, int], pixel_bias: bool) -> None:
        super().__init__()
        self.shape = channels, *size
        pixels = size[0] * size[1]
        self.dense = EqualizedLinear(before, channels * pixels, bias=False, gain=GAIN / pixels**0.5)
        self.bias = nn.Parameter(torch.zeros(self.shape if pixel_bias else (channels, 1, 1)))
        self.convolution = EqualizedConv2d(channels, channels, 3, gain=GAIN)
        self.activation = _normalised_leaky()

    def forward(self, given: Tensor) -> Tensor:
        features = self.dense(given).unflatten(1, self.shape) + self.bias
        return self.activation(self.convolution(self.activation(features)))


class _UpBlock(nn.Module):
    """Features ``(N, before, H, W)`` -> ``(N, after, 2H, 2W)``."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = EqualizedConv2d(before, after, 3, gain=GAIN)
        self.second = EqualizedConv2d(after, after, 3, gain=GAIN)
        self.activation = _normalised_leaky()

    def forward(self, features: Tensor) -> Tensor:
        weight, bias = self.first.scaled_weight(), self.first.scaled_bias()
        features = self.activation(upsample_conv2d(features, weight, bias))
        return self.activation(self.second(features))


def _down_block(before: int, after: int) -> nn.Module:
    """Build features ``(N, before, H, W)`` -> ``(N, after, H // 2, W // 2)``."""
    return nn.Sequential(
        EqualizedConv2d(before, before, 3, gain=GAIN),
        _leaky(),
        EqualizedConv2d(before, after, 3, gain=GAIN),
        _leaky(),
        nn.AvgPool2d(2),
    )


def _summary(channels: int, hidden: int, size: tuple[int, int], group_size: int) -> nn.Module:
    """Build features ``(N, channels, *size)`` of the lowest level -> ``(N, hidden)``."""
    statistics = [MinibatchStd(group_size)] if group_size > 1 else []
    return nn.Sequential(
        *statistics,
        EqualizedConv2d(channels + len(statistics), channels, 3, gain=GAIN),
        _leaky(),
        nn.Flatten(),
        EqualizedLinear(channels * size[0] * size[1], hidden, gain=GAIN),
        _leaky(),
    )


def _leaky() -> nn.Module:
    return nn.LeakyReLU(SLOPE, inplace=True)


def _normalised_leaky() -> nn.Module:
    return nn.Sequential(_leaky(), PixelNorm())


def _halve(images: Tensor, times: int) -> Tensor:
    """Average each 2 x 2 pixels, some times; one time after another, so that no bit is lost."""
    for _ in range(times):
        images = F.avg_pool2d(images, 2)
    return images


def _enlarge(images: Tensor, doublings: int) -> Tensor:
    """Double both sides some times, repeating each pixel."""
    return F.interpolate(images, scale_factor=2.0**doublings) if doublings else images
