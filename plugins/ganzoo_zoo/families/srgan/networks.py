"""The generators and the discriminators of SRGAN, ESRGAN and Real-ESRGAN."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganzoo import DataSpec
from ganzoo.errors import InputError
from ganzoo.nn import EvaluationClamp, FeatureSequential, Residual, upsample_conv2d

SLOPE = 0.2
"""Slope of the leaky ReLUs below 0."""
SCALING = 0.2
"""Factor on what the dense blocks of ESRGAN add to their input."""
SMALLER = 0.1
"""Factor on the weights that these blocks begin with."""
HALVINGS = 4
"""How often the discriminator of SRGAN halves an image."""
SMALLEST = 16
"""The shortest side of an image that it judges."""
DENSE = 16
"""Units of its hidden dense layer, as a multiple of ``base_channels``."""


class SRResNet(nn.Module):
    """Sources ``(N, C, H, W)`` -> images ``(N, C, scale * H, scale * W)``, of any height and width.

    Ledig et al. 2017, figure 4. Batch normalisation takes the mean away, so that no bias is before
    it. Sources are converted to [0, 1], as in section 3.2.

    Args:
        image_channels: Channels of sources and images.
        channels: Channels of features.
        blocks: Residual blocks.
        scale: 2 or 4.
        adds: Whether what it makes is added to the source, enlarged by bicubic interpolation.
    """

    def __init__(
        self, image_channels: int, channels: int, blocks: int, scale: int, *, adds: bool = False
    ) -> None:
        super().__init__()
        self.scale = scale
        self.adds = adds
        self.first = nn.Sequential(
            nn.Conv2d(image_channels, channels, 9, padding=4), nn.PReLU(init=0.25)
        )
        layers = [_residual_block(channels) for _ in range(blocks)]
        self.body = nn.Sequential(*layers, _conv(channels, channels), nn.BatchNorm2d(channels))
        enlarging: list[nn.Module] = []
        for _ in range(int(math.log2(scale))):
            enlarging += [
                nn.Conv2d(channels, 4 * channels, 3, padding=1),
                nn.PixelShuffle(2),
                nn.PReLU(init=0.25),
            ]
        last = nn.Conv2d(channels, image_channels, 9, padding=4)
        self.ending = nn.Sequential(*enlarging, _begin_at_zero(last) if adds else last)
        self.clamp = EvaluationClamp()

    def forward(self, sources: Tensor) -> Tensor:
        """Enlarge sources."""
        features = self.first((sources + 1) / 2)
        images = self.ending(features + self.body(features))
        return self.clamp(images + _enlarge(sources, self.scale) if self.adds else images)


def _enlarge(images: Tensor, scale: int) -> Tensor:
    return F.interpolate(images, scale_factor=float(scale), mode="bicubic", align_corners=False)


def _begin_at_zero(conv: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def _residual_block(channels: int) -> nn.Module:
    branch = nn.Sequential(
        _conv(channels, channels),
        nn.BatchNorm2d(channels),
        nn.PReLU(init=0.25),
        _conv(channels, channels),
        nn.BatchNorm2d(channels),
    )
    return Residual(branch, nn.Identity())


def _conv(before: int, after: int, stride: int = 1) -> nn.Conv2d:
    """Build a 3 x 3 convolution that normalisation follows."""
    return nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)


class RRDBNet(nn.Module):
    """Sources ``(N, C, H, W)`` -> images ``(N, C, scale * H, scale * W)``, of any height and width.

    Wang et al. 2018, section 3.1. Parameters have the names and shapes of the published models.
    These take images in [0, 1] and pad them by black pixels, so the network converts to that range
    and back.

    Args:
        image_channels: Channels of sources and images.
        channels: Channels of features.
        blocks: Residual-in-residual dense blocks.
        growth: Channels that each layer of a dense block adds.
        scale: 2 or 4.
        unshuffles: Whether squares of 2 x 2 pixels become channels first; the result is then
            doubled twice for scale 2. A last row or column without a partner is repeated.
        adds: As for :class:`SRResNet`.
    """

    def __init__(
        self,
        image_channels: int,
        channels: int,
        blocks: int,
        growth: int,
        scale: int,
        *,
        unshuffles: bool = False,
        adds: bool = False,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.adds = adds
        self.unshuffles = unshuffles

        def conv(before: int, after: int = channels) -> nn.Conv2d:
            return nn.Conv2d(before, after, 3, padding=1)

        self.conv_first = conv(image_channels * (4 if unshuffles else 1))
        self.body = nn.Sequential(*(RRDB(channels, growth) for _ in range(blocks)))
        self.conv_body = conv(channels)
        self.conv_up1 = conv(channels)
        self.conv_up2 = conv(channels) if scale == 4 or unshuffles else None
        self.conv_hr = conv(channels)
        last = conv(channels, image_channels)
        self.conv_last = _begin_at_zero(last) if adds else last
        self.clamp = EvaluationClamp()

    def forward(self, sources: Tensor) -> Tensor:
        """Enlarge sources."""
        height, width = sources.shape[2:]
        pixels = (sources + 1) / 2
        if self.unshuffles:
            pixels = F.pad(pixels, (0, width % 2, 0, height % 2), mode="replicate")
            pixels = F.pixel_unshuffle(pixels, 2)
        features = self.conv_first(pixels)
        features = features + self.conv_body(self.body(features))
        for conv in (self.conv_up1, self.conv_up2):
            if conv is not None:
                features = _activate(upsample_conv2d(features, conv.weight, conv.bias))
        images = self.conv_last(_activate(self.conv_hr(features)))
        images = 2 * images[..., : self.scale * height, : self.scale * width]
        return self.clamp(images + _enlarge(sources, self.scale) if self.adds else images - 1)


class RRDB(nn.Module):
    """Three dense blocks, beside what they are added to (Wang et al. 2018, figure 4)."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(channels, growth)
        self.rdb2 = DenseBlock(channels, growth)
        self.rdb3 = DenseBlock(channels, growth)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        return features + SCALING * self.rdb3(self.rdb2(self.rdb1(features)))


class DenseBlock(nn.Module):
    """Five convolutions, each of the block's features and of all that those before it have added.

    Weights begin at a tenth of He et al. 2015 (arXiv:1502.01852), and biases at 0.
    """

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3, self.conv4 = (
            _small_conv(channels + number * growth, growth) for number in range(4)
        )
        self.conv5 = _small_conv(channels + 4 * growth, channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        found = [features]
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            found.append(_activate(conv(torch.cat(found, 1))))
        return features + SCALING * self.conv5(torch.cat(found, 1))


def _small_conv(before: int, after: int) -> nn.Conv2d:
    conv = _begin_at_zero(nn.Conv2d(before, after, 3, padding=1))
    with torch.no_grad():
        nn.init.kaiming_normal_(conv.weight).mul_(SMALLER)
    return conv


def vgg_discriminator(data: DataSpec, channels: int, *, by_layer: bool) -> nn.Module:
    """Build the discriminator of SRGAN: images ``(N, C, H, W)`` -> ``logits`` and ``features``.

    Ledig et al. 2017, figure 4.

    Args:
        data: The images.
        channels: Channels at the highest resolution.
        by_layer: Whether to normalise by layer, so that no batch is mixed.
    """
    _require_sides(data, SMALLEST)
    height, width = data.shape[1:]
    widths = [channels * 2**i for i in range(HALVINGS) for _ in range(2)]
    layers: list[nn.Module] = [
        nn.Conv2d(data.image_channels, channels, 3, padding=1),
        nn.LeakyReLU(SLOPE, inplace=True),
    ]
    for number, (before, after) in enumerate(itertools.pairwise(widths)):
        layers += [
            _conv(before, after, stride=1 if number % 2 else 2),
            nn.GroupNorm(1, after) if by_layer else nn.BatchNorm2d(after),
            nn.LeakyReLU(SLOPE, inplace=True),
        ]
    sides = [-(-side // 2**HALVINGS) for side in (height, width)]
    ending = [
        nn.Flatten(),
        nn.Linear(widths[-1] * math.prod(sides), DENSE * channels),
        nn.LeakyReLU(SLOPE, inplace=True),
        nn.Linear(DENSE * channels, 1),
        nn.Flatten(0),
    ]
    return FeatureSequential(layers, ending)


def unet_discriminator(data: DataSpec, channels: int) -> nn.Module:
    """Build the discriminator of Real-ESRGAN: images -> ``logits`` ``(N, H * W)`` and ``features``.

    Args:
        data: The images.
        channels: Channels at the highest resolution.
    """
    _require_sides(data, 8, multiple=8)
    return UNet(data.image_channels, channels)


class UNet(nn.Module):
    """A U-Net with spectral normalisation that judges each pixel; Wang et al. 2021, section 3.3.

    Its features are those of the lowest resolution. Parameters have the names of the published
    models.
    """

    def __init__(self, image_channels: int, channels: int) -> None:
        super().__init__()

        def down(before: int) -> nn.Module:
            conv = nn.Conv2d(before, 2 * before, 4, stride=2, padding=1, bias=False)
            return spectral_norm(conv)

        def same(before: int, after: int) -> nn.Module:
            return spectral_norm(_conv(before, after))

        self.conv0 = nn.Conv2d(image_channels, channels, 3, padding=1)
        self.conv1, self.conv2, self.conv3 = (down(channels * 2**i) for i in range(3))
        self.conv4, self.conv5, self.conv6 = (
            same(2 * channels * 2**i, channels * 2**i) for i in (2, 1, 0)
        )
        self.conv7, self.conv8 = (same(channels, channels) for _ in range(2))
        self.conv9 = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return ``logits`` and ``features`` of images."""
        beside = [_activate(self.conv0(images))]
        for down in (self.conv1, self.conv2):
            beside.append(_activate(down(beside[-1])))
        lowest = features = _activate(self.conv3(beside[-1]))
        for conv in (self.conv4, self.conv5, self.conv6):
            larger = F.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)
            features = _activate(conv(larger)) + beside.pop()
        for conv in (self.conv7, self.conv8):
            features = _activate(conv(features))
        return {"logits": self.conv9(features).flatten(1), "features": lowest}


def _activate(features: Tensor) -> Tensor:
    return F.leaky_relu(features, SLOPE)


def _require_sides(data: DataSpec, smallest: int, multiple: int = 1) -> None:
    """Refuse images that a discriminator cannot judge.

    Raises:
        InputError: they are too small, or their sides are no such multiples.
    """
    height, width = data.shape[1:]
    if min(height, width) < smallest or height % multiple or width % multiple:
        multiples = f", in multiples of {multiple}" if multiple > 1 else ""
        raise InputError(
            f"this discriminator judges images from {smallest} x {smallest} pixels on{multiples}, "
            f"not {height} x {width}; resize them with --image-size"
        )
