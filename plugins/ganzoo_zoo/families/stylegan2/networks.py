"""The generator and the discriminator of StyleGAN2."""

from __future__ import annotations

import itertools
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo import DataSpec, Styles
from ganzoo.nn import (
    BinomialBlur,
    BinomialDownsample,
    BinomialUpsample,
    EqualizedConv2d,
    EqualizedLinear,
    EvaluationClamp,
    MinibatchStd,
    PixelNorm,
)

EPS = 1e-8
GAIN = 2**0.5
"""Factor behind a leaky ReLU, that keeps the variance (He et al. 2015, arXiv:1502.01852)."""
MAPPING_RATE = 0.01
"""Factor on the learning rate of a mapping network."""
RESOLUTION_OF_WIDE = 512
"""Resolution from which on the authors double all channels."""


@dataclass(frozen=True)
class Widths:
    """The channels of both networks."""

    base: int
    most: int

    def channels(self, halvings: int) -> list[int]:
        """Return the channels at each level, the lowest resolution first."""
        resolutions = [4 * 2**i for i in range(halvings + 1)]
        wide = resolutions[-1] >= RESOLUTION_OF_WIDE
        base = self.base or (32_768 if wide else 16_384)
        return [max(1, min(base // each, self.most)) for each in resolutions]


def count_styles(data: DataSpec) -> int:
    """Return the number of layers of a generator that have a style of their own."""
    return 2 * data.count_halvings()[0] + 2


class Generator(nn.Module):
    """Latents ``(N, z_dim)``, and labels ``(N,)`` if it is conditional, to images and styles."""

    def __init__(self, mapping: Mapping, synthesis: Synthesis) -> None:
        super().__init__()
        self.mapping = mapping
        self.synthesis = synthesis

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Return ``samples`` ``(N, C, H, W)``, and ``w`` ``(N, L, w_dim)`` that they are of."""
        found: dict[str, Tensor] = self.synthesis(self.mapping(latents, labels))
        return found


class Truncated(nn.Module):
    """A generator with styles that are moved towards their mean.

    Args:
        generator: The generator.
        share: What is left of the difference from the mean, from 0 to 1.
    """

    def __init__(self, generator: nn.Module, share: float) -> None:
        super().__init__()
        assert isinstance(generator, Generator)
        self.generator = generator
        self.share = share

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Return what the generator returns, of styles nearer to their mean."""
        mapping = self.generator.mapping
        styles = mapping.w_average.lerp(mapping(latents, labels), self.share)
        found: dict[str, Tensor] = self.generator.synthesis(styles)
        return found


def split(generator: nn.Module) -> Styles:
    """Return a generator in two halves."""
    assert isinstance(generator, Generator)
    affine: list[Tensor] = []
    layers: list[int] = []
    for layer in generator.synthesis.styled_layers():
        weight = layer.affine.scaled_weight()
        affine.append(weight)
        layers += [layer.style] * len(weight)
    return Styles(
        generator.mapping,
        generator.synthesis,
        generator.mapping.w_average,
        torch.cat(affine).detach(),
        tuple(layers),
    )


def fix_noise(generator: nn.Module, seed: int) -> None:
    """Draw the noise maps of evaluation again."""
    rng = torch.Generator().manual_seed(seed)
    for module in generator.modules():
        if isinstance(module, StyledConv2d) and module.noise_map is not None:
            module.noise_map.copy_(torch.randn(module.noise_map.shape, generator=rng))


# The mapping ------------------------------------------------------------------------------------


class LabelEmbedding(nn.Module):
    """A learnt vector for each class, normalised: labels ``(N,)`` to ``(N, width)``."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.linear = EqualizedLinear(classes, width)
        self.norm = PixelNorm()

    def forward(self, labels: Tensor) -> Tensor:
        """Return a row for each label."""
        rows, bias = self.linear.scaled_weight().t()[labels], self.linear.scaled_bias()
        assert bias is not None
        normalised: Tensor = self.norm(rows + bias)
        return normalised


def mapping_layers(before: int, width: int, count: int) -> nn.Sequential:
    """Build layers with leaky ReLU that learn slowly: ``(N, before)`` to ``(N, width)``."""
    layers: list[nn.Module] = []
    for inputs in [before, *[width] * (count - 1)]:
        layers += [
            EqualizedLinear(inputs, width, output_gain=GAIN, lr_multiplier=MAPPING_RATE),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    return nn.Sequential(*layers)


class Mapping(nn.Module):
    """The mapping from latents to styles (Karras et al. 2019, arXiv:1812.04948, section 2).

    Args:
        z_dim: Length of a latent.
        w_dim: Length of a style.
        layers: Number of layers.
        classes: Number of classes; 0 if it takes none.
        copies: Layers that take a style.
        mixing: Probability that a training batch has styles of two latents.
        decay: Share of the mean style that stays with each training batch.
    """

    w_average: Tensor

    def __init__(
        self,
        z_dim: int,
        w_dim: int,
        layers: int,
        *,
        classes: int,
        copies: int,
        mixing: float,
        decay: float,
    ) -> None:
        super().__init__()
        self.copies = copies
        self.mixing = mixing
        self.decay = decay
        self.norm = PixelNorm()
        self.embedding = LabelEmbedding(classes, w_dim) if classes else None
        self.layers = mapping_layers(z_dim + (w_dim if classes else 0), w_dim, layers)
        self.register_buffer("w_average", torch.zeros(w_dim))

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return styles ``(N, L, w_dim)`` of latents ``(N, z_dim)``."""
        w = self._map(latents, labels)
        if self.training:
            with torch.no_grad():
                mean = w.mean(0).to(self.w_average)
                self.w_average.lerp_(mean, 1 - self.decay)
        styles = w[:, None].expand(-1, self.copies, -1)
        if not (self.training and self.mixing):
            return styles
        other = self._map(torch.randn_like(latents), labels)
        return torch.where(self._draw_first(w.device), styles, other[:, None])

    def _map(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        given = self.norm(latents)
        if self.embedding is not None:
            given = torch.cat([given, self.embedding(labels)], dim=1)
        found: Tensor = self.layers(given)
        return found

    def _draw_first(self, device: torch.device) -> Tensor:
        """Draw which layers ``(L, 1)`` have the first of two styles: all, or those below one."""
        start = torch.randint(1, self.copies, (), device=device)
        is_mixed = torch.rand((), device=device) < self.mixing
        layers = torch.arange(self.copies, device=device)[:, None]
        return (layers < start) | ~is_mixed


# The synthesis ----------------------------------------------------------------------------------


class StyledConv2d(nn.Module):
    """A modulated convolution, noise, a bias and a leaky ReLU (section 2.2, figure 2).

    The style scales what the convolution takes, and what it returns is divided by the standard
    deviation that this would give to inputs of unit variance (equations 1 and 3).

    Args:
        before: Channels that it takes.
        after: Channels that it returns.
        w_dim: Length of a style.
        style: Number of its style.
        size: Height and width of what it returns.
        up: Whether it doubles height and width: a transposed convolution and a filter.
        noise: Whether it adds noise.
    """

    noise_map: Tensor | None

    def __init__(
        self,
        before: int,
        after: int,
        w_dim: int,
        style: int,
        size: tuple[int, int],
        *,
        up: bool,
        noise: bool,
    ) -> None:
        super().__init__()
        self.style = style
        self.affine = EqualizedLinear(w_dim, before, bias_start=1.0)
        self.weight = nn.Parameter(torch.randn(after, before, 3, 3))
        self.bias = nn.Parameter(torch.zeros(after))
        # Of 4 new pixels, 3 lie where there was none.
        self.blur = BinomialBlur(padding=1, gain=4.0) if up else None
        self.noise_strength = nn.Parameter(torch.zeros(())) if noise else None
        self.register_buffer("noise_map", torch.randn(1, 1, *size) if noise else None)

    def forward(self, features: Tensor, styles: Tensor) -> Tensor:
        """Return ``(N, after, H, W)`` of features and of styles ``(N, L, w_dim)``."""
        scales = self.affine(styles[:, self.style])
        scaled = features * scales[:, :, None, None].to(features)
        if self.blur is None:
            found = F.conv2d(scaled, self.weight, padding=1)
        else:
            found = F.conv_transpose2d(scaled, self.weight.transpose(0, 1), stride=2)
            found = self.blur(found)
        found = found * self._demodulation(scales)[:, :, None, None].to(found)
        found += (self.bias * GAIN)[:, None, None]
        if self.noise_strength is not None:
            found += self._noise(found) * (self.noise_strength * GAIN)
        return F.leaky_relu(found, 0.2, inplace=True)

    def _demodulation(self, scales: Tensor) -> Tensor:
        """Return factors ``(N, after)``; equalisation and the gain behind ReLU are in them."""
        scale = self.weight[0].numel() ** -0.5
        squares = (self.weight * scale).square().sum((2, 3))
        with _full_precision(scales.device):
            variances = scales.to(squares).square() @ squares.t()
        return (variances + EPS).rsqrt() * (scale * GAIN)

    def _noise(self, features: Tensor) -> Tensor:
        if not self.training:
            assert self.noise_map is not None
            return self.noise_map
        return torch.randn(len(features), 1, *features.shape[2:], device=features.device)


def _full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Leave half precision within the block, on devices that have it."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


class ToImage(nn.Module):
    """A modulated 1 x 1 convolution to an image, without demodulation, noise and activation."""

    def __init__(self, before: int, image_channels: int, w_dim: int, style: int) -> None:
        super().__init__()
        self.style = style
        self.affine = EqualizedLinear(w_dim, before, bias_start=1.0, output_gain=before**-0.5)
        self.weight = nn.Parameter(torch.randn(image_channels, before, 1, 1))
        self.bias = nn.Parameter(torch.zeros(image_channels))

    def forward(self, features: Tensor, styles: Tensor) -> Tensor:
        """Return images ``(N, C, H, W)`` of features and of styles ``(N, L, w_dim)``."""
        # A matrix product for each sample: weights are scaled, as they are fewer than features.
        weights = self.weight.flatten(1) * self.affine(styles[:, self.style])[:, None]
        images = (weights @ features.flatten(2)).unflatten(2, features.shape[2:])
        return images + self.bias[:, None, None]


class Synthesis(nn.Module):
    """The synthesis from styles ``(N, L, w_dim)``: images as a sum over resolutions (section 4.1).

    Args:
        data: Shape of the images.
        widths: Channels.
        w_dim: Length of a style.
        noise: Whether layers add noise.
    """

    def __init__(self, data: DataSpec, widths: Widths, w_dim: int, *, noise: bool) -> None:
        super().__init__()
        halvings, height, width = data.count_halvings()
        channels = widths.channels(halvings)
        self.start = nn.Parameter(torch.randn(1, channels[0], height, width))
        self.convolutions = nn.ModuleList()
        self.to_images = nn.ModuleList()
        before = channels[0]
        for level, after in enumerate(channels):
            size = height * 2**level, width * 2**level
            layers = nn.ModuleList()
            if level:
                layers.append(
                    StyledConv2d(before, after, w_dim, 2 * level - 1, size, up=True, noise=noise)
                )
            layers.append(StyledConv2d(after, after, w_dim, 2 * level, size, up=False, noise=noise))
            self.convolutions.append(layers)
            self.to_images.append(ToImage(after, data.image_channels, w_dim, 2 * level + 1))
            before = after
        self.enlarge = BinomialUpsample()
        self.clamp = EvaluationClamp()

    def styled_layers(self) -> list[Any]:
        """Return the modulated convolutions in their order, without those to images."""
        return [layer for level in self.convolutions for layer in level.children()]

    def forward(self, styles: Tensor) -> dict[str, Tensor]:
        """Return ``samples`` ``(N, C, H, W)``, and their styles as ``w``."""
        features = self.start  # for all samples: their styles scale it
        images: Tensor | None = None
        for layers, to_image in zip(self.convolutions, self.to_images, strict=True):
            for layer in layers.children():
                features = layer(features, styles)
            added = to_image(features, styles)
            images = added if images is None else self.enlarge(images) + added
        return {"samples": self.clamp(images), "w": styles}


# The discriminator ------------------------------------------------------------------------------


def discriminator(
    data: DataSpec,
    widths: Widths,
    *,
    residual: bool,
    group_size: int,
    classes: int,
    label_layers: int,
) -> nn.Module:
    """Build the discriminator: images ``(N, C, H, W)`` -> logits ``(N,)``.

    Args:
        data: Shape of the images.
        widths: Channels.
        residual: Whether its blocks are residual.
        group_size: Samples in a group of the minibatch standard deviation.
        classes: Number of classes; 0 if it takes none.
        label_layers: Layers of the mapping from a class.
    """
    halvings, height, width = data.count_halvings()
    channels = widths.channels(halvings)[::-1]
    layers: list[nn.Module] = [
        EqualizedConv2d(data.image_channels, channels[0], 1, output_gain=GAIN),
        nn.LeakyReLU(0.2, inplace=True),
    ]
    for before, after in itertools.pairwise(channels):
        layers.append(ResidualBlock(before, after) if residual else _branch(before, after, GAIN))
    lowest = channels[-1]
    is_grouped = group_size > 1
    layers += [
        *([MinibatchStd(group_size)] if is_grouped else []),
        EqualizedConv2d(lowest + is_grouped, lowest, 3, output_gain=GAIN),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Flatten(),
        EqualizedLinear(lowest * height * width, lowest, output_gain=GAIN),
        nn.LeakyReLU(0.2, inplace=True),
    ]
    if classes:
        layers.append(EqualizedLinear(lowest, lowest))
        return ConditionalDiscriminator(nn.Sequential(*layers), classes, lowest, label_layers)
    return nn.Sequential(*layers, EqualizedLinear(lowest, 1), nn.Flatten(0))


class ConditionalDiscriminator(nn.Module):
    """Logits that are products of features with a mapping of the class, over the root of its width.

    Args:
        body: The network from images to features ``(N, width)``.
        classes: Number of classes.
        width: Length of the features.
        layers: Layers of the mapping.
    """

    def __init__(self, body: nn.Module, classes: int, width: int, layers: int) -> None:
        super().__init__()
        self.body = body
        self.embedding = LabelEmbedding(classes, width)
        self.mapping = mapping_layers(width, width, layers)

    def forward(self, samples: Tensor, labels: Tensor) -> Tensor:
        """Return logits ``(N,)`` of samples of the classes ``labels`` ``(N,)``."""
        features, wanted = self.body(samples), self.mapping(self.embedding(labels))
        return (features * wanted).sum(1) / features.shape[1] ** 0.5


class ResidualBlock(nn.Module):
    """Two convolutions that halve the size, beside a 1 x 1 convolution (section 4.1, figure 7c)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        # The sum is over the root of 2.
        self.branch = _branch(before, after, GAIN / 2**0.5)
        self.shortcut = nn.Sequential(
            BinomialDownsample(),
            EqualizedConv2d(before, after, 1, bias=False, output_gain=2**-0.5),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(N, after, H / 2, W / 2)`` of features ``(N, before, H, W)``."""
        added: Tensor = self.branch(features)
        return added + self.shortcut(features)


def _branch(before: int, after: int, gain: float) -> nn.Sequential:
    return nn.Sequential(
        EqualizedConv2d(before, before, 3, output_gain=GAIN),
        nn.LeakyReLU(0.2, inplace=True),
        BinomialBlur(padding=2),
        EqualizedConv2d(before, after, 3, stride=2, padding=0, output_gain=gain),
        nn.LeakyReLU(0.2, inplace=True),
    )
