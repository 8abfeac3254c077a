"""The generator and the discriminator of R3GAN: residual, without normalisation, config E."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo.nn import BinomialDownsample, BinomialUpsample, EvaluationClamp

LAYERS_PER_BLOCK = 3
Resampling: TypeAlias = Literal["binomial", "bilinear"]
Output: TypeAlias = Literal["linear", "tanh"]


@dataclass(frozen=True)
class Stages:
    """The stages that the two networks share, one for each resolution, by the paper's numbers."""

    base_channels: int
    growth: int
    blocks: int
    expansion: int
    group_size: int
    resampling: Resampling

    def channels(self, halvings: int) -> list[int]:
        """Return the channels at each resolution, the highest first."""
        return [self.base_channels * min(2**i, self.growth) for i in range(halvings + 1)]

    def build_blocks(self, channels: int, halvings: int) -> list[nn.Module]:
        """Build the residual blocks of one resolution."""
        inside = channels * self.expansion
        scale = (self.blocks * (halvings + 1)) ** (-1 / (2 * LAYERS_PER_BLOCK - 2))
        groups = inside // self.group_size
        return [_Block(channels, inside, groups, scale) for _ in range(self.blocks)]

    def build_upsampling(self) -> nn.Module:
        """Build the layer from one resolution to twice of it."""
        if self.resampling == "binomial":
            return BinomialUpsample()
        return nn.Upsample(scale_factor=2, mode="bilinear")

    def build_downsampling(self) -> nn.Module:
        """Build the layer from one resolution to half of it."""
        return BinomialDownsample() if self.resampling == "binomial" else nn.AvgPool2d(2)


def generator(
    data: DataSpec, z_dim: int, stages: Stages, output: Output, *, classes: int
) -> nn.Module:
    """Build the generator: latents ``(N, z_dim)`` -> images ``(N, C, H, W)``.

    In evaluation mode they lie in ``[-1, 1]``.

    Args:
        data: Shape of the images.
        z_dim: Length of a latent.
        stages: The stages.
        output: Its end.
        classes: Number of classes; 0 if it takes none.
    """
    halvings, height, width = data.count_halvings()
    channels = stages.channels(halvings)[::-1]
    layers: list[nn.Module] = [
        _Basis(2 * z_dim if classes else z_dim, channels[0], height, width),
        *stages.build_blocks(channels[0], halvings),
    ]
    for before, after in itertools.pairwise(channels):
        layers += [
            _transition(before, after),
            stages.build_upsampling(),
            *stages.build_blocks(after, halvings),
        ]
    last = nn.Conv2d(channels[-1], data.image_channels, 1, bias=False)
    layers += [_draw_weights(last), nn.Tanh() if output == "tanh" else EvaluationClamp()]
    body = nn.Sequential(*layers)
    return _ConditionalGenerator(body, classes, z_dim) if classes else body


def discriminator(data: DataSpec, stages: Stages, *, classes: int) -> nn.Module:
    """Build the discriminator: images ``(N, C, H, W)`` -> logits ``(N,)``.

    It never mixes a batch.

    Args:
        data: Shape of the images.
        stages: The stages.
        classes: Number of classes; 0 if it takes none.
    """
    halvings, height, width = data.count_halvings()
    channels = stages.channels(halvings)
    lowest = channels[-1]
    layers: list[nn.Module] = [
        _draw_weights(nn.Conv2d(data.image_channels, channels[0], 1, bias=False))
    ]
    for before, after in itertools.pairwise(channels):
        layers += [
            *stages.build_blocks(before, halvings),
            stages.build_downsampling(),
            _transition(before, after),
        ]
    layers += [
        *stages.build_blocks(lowest, halvings),
        _draw_weights(nn.Conv2d(lowest, lowest, (height, width), groups=lowest, bias=False)),
        nn.Flatten(),
        _draw_weights(nn.Linear(lowest, lowest if classes else 1, bias=False)),
    ]
    if classes:
        return _ConditionalDiscriminator(nn.Sequential(*layers), classes, lowest)
    return nn.Sequential(*layers, nn.Flatten(0))


class _ConditionalGenerator(nn.Module):
    """A generator whose latents stand beside a learnt vector for the class, of the same length."""

    def __init__(self, body: nn.Module, classes: int, z_dim: int) -> None:
        super().__init__()
        self.body = body
        self.embedding = nn.Embedding(classes, z_dim)
        nn.init.normal_(self.embedding.weight, 0.0, classes**-0.5)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        found: Tensor = self.body(torch.cat([latents, self.embedding(labels)], dim=1))
        return found


class _ConditionalDiscriminator(nn.Module):
    """Logits that are products of features with a learnt vector for the class."""

    def __init__(self, body: nn.Module, classes: int, width: int) -> None:
        super().__init__()
        self.body = body
        self.embedding = nn.Embedding(classes, width)
        nn.init.normal_(self.embedding.weight, 0.0, (classes * width) ** -0.5)

    def forward(self, samples: Tensor, labels: Tensor) -> Tensor:
        return (self.body(samples) * self.embedding(labels)).sum(1)


class _Basis(nn.Module):
    """A learned pattern for each channel, scaled by a linear map of the latent."""

    def __init__(self, z_dim: int, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.patterns = nn.Parameter(torch.randn(channels, height, width))
        self.scales = _draw_weights(nn.Linear(z_dim, channels, bias=False))

    def forward(self, latents: Tensor) -> Tensor:
        return self.scales(latents)[:, :, None, None] * self.patterns


class _Block(nn.Module):
    def __init__(self, channels: int, inside: int, groups: int, scale: float) -> None:
        super().__init__()
        gain = scale * nn.init.calculate_gain("leaky_relu", 0.2)
        last = nn.Conv2d(inside, channels, 1, bias=False)
        nn.init.zeros_(last.weight)
        self.branch = nn.Sequential(
            _draw_weights(nn.Conv2d(channels, inside, 1), gain),
            nn.LeakyReLU(0.2, inplace=True),
            _draw_weights(nn.Conv2d(inside, inside, 3, padding=1, groups=groups), gain),
            nn.LeakyReLU(0.2, inplace=True),
            last,
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.branch(features)


def _transition(before: int, after: int) -> nn.Module:
    same = before == after
    return nn.Identity() if same else _draw_weights(nn.Conv2d(before, after, 1, bias=False))


def _draw_weights(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> nn.Module:
    """Draw normal weights with which a layer multiplies standard deviations by a gain."""
    nn.init.normal_(layer.weight, 0.0, gain * layer.weight[0].numel() ** -0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
