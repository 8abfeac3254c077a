"""The networks of pix2pix: generators from sources, and a discriminator of both."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo.errors import InputError
from ganzoo.nn import draw_normal, patch_discriminator, residual_translator
from ganzoo_zoo.families.pix2pix.made_sources import to_luma
from ganzoo_zoo.families.pix2pix.source_reading import SourceReading

WIDEST = 8
"""The widest layers have this many times the base channels."""
LARGEST_INSIDE = 7
"""Pixels of the shorter side of the innermost features, at most."""
DROPPED = 3
"""Layers with dropout, at most."""
USUAL_LAYERS, FEWEST_PATCHES = 3, 4
"""Halvings of a discriminator by default, or fewer for so many patches on a side."""

Norm = Callable[[int], nn.Module]


def unet_generator(
    data: DataSpec,
    reading: SourceReading,
    base_channels: int,
    downs: int | None,
    norm: str,
    dropout: float,
    *,
    biases: bool,
) -> nn.Module:
    """Build a U-Net between sources and images; see :class:`UNet`.

    Raises:
        InputError: the samples are no images, their sides cannot be halved so often, or the sources
            are no images of them.
    """
    _check(data)
    downs = _count_downs(data, downs)
    sizes = [base_channels * min(2**i, WIDEST) for i in range(downs)]
    given = _count_channels(data, reading)
    network = UNet(given, data.image_channels, sizes, _norm_of(norm), dropout, biases=biases)
    return Translator(data, reading, network)


def resnet_generator(
    data: DataSpec, reading: SourceReading, base_channels: int, blocks: int, norm: str
) -> nn.Module:
    """Build a residual generator between sources and images.

    Raises:
        InputError: the samples are no images, their sides are not multiples of 4, or the sources
            are no images of them.
    """
    _check(data)
    height, width = data.shape[1:]
    if height % 4 or width % 4 or min(height, width) < 8:
        raise InputError(
            "the sides of an image must be at least 8 pixels and multiples of 4, not "
            f"{height} x {width}; resize it with --image-size"
        )
    given = _count_channels(data, reading)
    network = residual_translator(given, data.image_channels, base_channels, blocks, _norm_of(norm))
    return Translator(data, reading, network)


def discriminator(
    data: DataSpec, reading: SourceReading, base_channels: int, layers: int | None, norm: str
) -> nn.Module:
    """Build a discriminator of patches of sources and images together.

    Raises:
        InputError: the samples are no images, they are smaller than three patches of an explicit
            number of layers, or the sources are no images of them.
    """
    _check(data)
    side = min(data.shape[1:])
    if layers is None:
        fits = (n for n in range(USUAL_LAYERS, 0, -1) if (side >> n) - 2 >= FEWEST_PATCHES)
        layers = next(fits, 0)
    elif layers and (side >> layers) < 3:
        raise InputError(
            f"arch.patch_layers={layers} leaves no patch of an image of "
            f"{data.shape[1]} x {data.shape[2]}; give fewer, or a larger --image-size"
        )
    channels = _count_channels(data, reading) + data.image_channels
    return PairJudge(
        data, reading, patch_discriminator(channels, base_channels, layers, _norm_of(norm))
    )


class UNet(nn.Module):
    """A U-Net: each halving has a doubling at its side, which also takes its features.

    Isola et al. 2017, appendix 6.1.1, on the ideas of Ronneberger et al. 2015 (arXiv:1505.04597).
    Convolutions of 4 x 4, of stride 2, each followed by normalisation but the first, the innermost
    and the last one. Weights are drawn from N(0, 0.02).

    Args:
        given: Channels of what it takes.
        made: Channels of what it makes.
        sizes: Channels behind each halving.
        norm: Builds the normalisation.
        dropout: Share of features that are dropped behind the first three of the widest doublings.
        biases: Whether the first and the innermost convolution have a bias; the last one always
            has.
    """

    def __init__(
        self,
        given: int,
        made: int,
        sizes: list[int],
        norm: Norm,
        dropout: float,
        *,
        biases: bool,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for i, after in enumerate(sizes):
            is_plain = i in (0, len(sizes) - 1)
            layers: list[nn.Module] = [nn.Conv2d(given, after, 4, 2, 1, bias=biases and is_plain)]
            if not is_plain:
                layers.append(norm(after))
            if i < len(sizes) - 1:
                layers.append(nn.LeakyReLU(0.2, inplace=True))
            self.encoder.append(nn.Sequential(*layers))
            given = after
        for i, after in enumerate(sizes[-2::-1]):
            layers = [nn.ReLU(inplace=True), nn.ConvTranspose2d(given, after, 4, 2, 1, bias=False)]
            layers.append(norm(after))
            if dropout and i < DROPPED and after == sizes[-1]:
                layers.append(nn.Dropout(dropout))
            self.decoder.append(nn.Sequential(*layers))
            given = 2 * after
        last = nn.ConvTranspose2d(given, made, 4, 2, 1)
        self.decoder.append(nn.Sequential(nn.ReLU(inplace=True), last, nn.Tanh()))
        self.apply(draw_normal)

    def forward(self, images: Tensor) -> Tensor:
        """Return images ``(N, made, H, W)`` in ``[-1, 1]`` from ``(N, given, H, W)``."""
        features, beside = images, []
        for stage in self.encoder:
            features = stage(features)
            beside.append(features)
        beside.pop()
        for stage in self.decoder:
            features = stage(features)
            if beside:
                features = torch.cat([beside.pop(), features], dim=1)
        return features


class _OfSources(nn.Module):
    """Base of networks that read sources.

    Args:
        data: The data.
        reading: How sources are read.
        network: What takes them, with the class of each as an image beside them.
    """

    def __init__(self, data: DataSpec, reading: SourceReading, network: nn.Module) -> None:
        super().__init__()
        self.shape, self.has_hole = data.shape, reading.has_hole
        self.keeps_luma = reading.is_luma and data.image_channels == 3
        self.classes: nn.Embedding | None = None
        if reading.classes is not None:
            self.classes = nn.Embedding(reading.classes, data.shape[1] * data.shape[2])
        self.network = network  # behind the classes, as layers count from the input

    def read(self, source: Tensor, labels: Tensor | None) -> list[Tensor]:
        """Return what the network takes of sources, at the height and width of samples."""
        if self.has_hole:  # whatever lies under it is no part of the source
            known = (source[:, 3:] > 0).to(source.dtype)
            source = torch.cat([source[:, :3] * known, 2 * known - 1], dim=1)
        if source.shape[2:] != self.shape[1:]:
            source = F.interpolate(source, self.shape[1:], mode="bicubic")
        if self.classes is None or labels is None:
            return [source]
        plane = self.classes(labels).view(-1, 1, *self.shape[1:])
        return [source, plane.to(source.dtype)]


class Translator(_OfSources):
    """A generator from sources, and from labels if there are classes.

    What a source knows stays as it is: pixels outside of a hole, or the luma of colours.
    """

    def forward(self, source: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images ``(N, C, H, W)`` from sources and labels ``(N,)``."""
        taken = self.read(source, labels)
        made = self.network(torch.cat(taken, dim=1))
        if self.keeps_luma:
            return (made + taken[0][:, :1] - to_luma(made)).clamp(-1, 1)
        if not self.has_hole:
            return made
        colours, known = taken[0][:, :3], taken[0][:, 3:] > 0
        return torch.where(known, to_luma(colours) if self.shape[0] == 1 else colours, made)


class PairJudge(_OfSources):
    """A discriminator of images beside their sources, and labels if there are classes."""

    def forward(self, samples: Tensor, *conditions: Tensor) -> Tensor:
        """Return logits ``(N, P)`` of images, given labels ``(N,)``, if any, and sources."""
        *labels, source = conditions
        taken = self.read(source, labels[0] if labels else None)
        return self.network(torch.cat([*taken, samples], dim=1))


def _norm_of(name: str) -> Norm:
    if name == "batch":
        return nn.BatchNorm2d
    return lambda channels: nn.InstanceNorm2d(channels, affine=True)


def _count_channels(data: DataSpec, reading: SourceReading) -> int:
    assert data.source is not None, "it was asked for"
    return data.source[0] + (reading.classes is not None)


def _count_downs(data: DataSpec, wanted: int | None) -> int:
    """Return the number of halvings of a U-Net.

    Raises:
        InputError: the sides cannot be halved so often, or, if none is wanted, the features that
            are left are too large.
    """
    height, width = data.shape[1:]
    most = 0
    while height % 2 == 0 and width % 2 == 0:
        height, width, most = height // 2, width // 2, most + 1
    size = f"{data.shape[1]} x {data.shape[2]}"
    if wanted is not None:
        if wanted > most:
            raise InputError(
                f"an image of {size} can be halved {most} times, not arch.downs={wanted}"
            )
        return wanted
    if not most or min(height, width) > LARGEST_INSIDE:
        raise InputError(
            f"a U-Net halves an image until its shorter side is at most {LARGEST_INSIDE} pixels, "
            f"and {size} stops at {height} x {width}; resize it with --image-size, to 64 or 256 "
            "for example, or set arch.downs"
        )
    return most


def _check(data: DataSpec) -> None:
    if not data.is_image:
        raise InputError(f"images are needed, and these samples are {data.in_words}")
    if data.source is None or len(data.source) != 3:
        raise InputError("each sample is made from an image, and these data have no such sources")
    (height, width), (rows, columns) = data.shape[1:], data.source[1:]
    if height * columns != width * rows:
        raise InputError(
            f"sources and samples must be alike in shape, and those are {rows} x {columns}, these "
            f"{height} x {width}"
        )
