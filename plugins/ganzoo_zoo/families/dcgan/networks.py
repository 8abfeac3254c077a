"""The two networks, and what they are made of."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo.nn.fusion import FusedSequential, apply_layer
from ganzoo_zoo.families.dcgan import DCGAN

WEIGHT_STD = 0.02
"""Standard deviation of weights as they are drawn."""


def generator(options: DCGAN, data: DataSpec) -> nn.Module:
    """Build latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
    halvings, height, width = data.count_halvings("dcgan")
    channels = [options.base_channels * 2**i for i in reversed(range(halvings))]
    norm = first = nn.BatchNorm2d
    network = FusedSequential
    if options.conditional:
        norm = partial(_ClassBatchNorm, options.z_dim)
        first = partial(norm, pixels=(height, width))
        network = partial(_ByClass, data.require_classes("dcgan"), options.z_dim)
    layers: list[nn.Module] = [
        # A transposed convolution over one pixel is the paper's "project and reshape".
        nn.Unflatten(1, (options.z_dim, 1, 1)),
        nn.ConvTranspose2d(options.z_dim, channels[0], (height, width), bias=False),
        first(channels[0]),
        nn.ReLU(inplace=True),
    ]
    for before, after in itertools.pairwise(channels):
        layers += [
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
            norm(after),
            nn.ReLU(inplace=True),
        ]
    layers += [
        nn.ConvTranspose2d(channels[-1], data.image_channels, 4, stride=2, padding=1),
        nn.Tanh(),
    ]
    return network(*layers).apply(_draw_weights)


def discriminator(options: DCGAN, data: DataSpec, norm: str) -> nn.Module:
    """Build images ``(N, C, H, W)`` -> logits ``(N,)``."""
    halvings, height, width = data.count_halvings("dcgan")
    channels = [options.base_channels * 2**i for i in range(halvings)]
    layers: list[nn.Module] = [
        nn.Conv2d(data.image_channels, channels[0], 4, stride=2, padding=1),
        nn.LeakyReLU(0.2, inplace=True),
    ]
    for before, after in itertools.pairwise(channels):
        layers += [
            # Without normalisation behind it the convolution keeps its bias.
            nn.Conv2d(before, after, 4, stride=2, padding=1, bias=norm == "none"),
            _NORMS[norm](after),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    ending = [nn.Conv2d(channels[-1], 1, (height, width)), nn.Flatten(0)]
    if not options.conditional:
        return FusedSequential(*layers, *ending).apply(_draw_weights)
    parts = FusedSequential(*layers), FusedSequential(*ending)
    return _Projection(data.require_classes("dcgan"), channels[-1], *parts).apply(_draw_weights)


class _ClassBatchNorm(nn.Module):
    """Batch normalisation with gains and biases of the class; it begins as the plain one.

    They are of each channel, or of each channel at each of so many pixels.
    """

    def __init__(self, width: int, channels: int, pixels: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.shape = channels, *pixels
        self.norm = nn.BatchNorm2d(channels, affine=False)
        size = math.prod(self.shape)
        self.gain, self.bias = (nn.Linear(width, size, bias=False) for _ in range(2))
        for linear in (self.gain, self.bias):
            nn.init.zeros_(linear.weight)

    def forward(self, features: Tensor, classes: Tensor) -> Tensor:
        gain, bias = (linear(classes).unflatten(1, self.shape) for linear in (self.gain, self.bias))
        return (1 + gain) * self.norm(features) + bias


class _ByClass(nn.Module):
    """Layers one after another, of which normalisation is told the embedding of the class."""

    def __init__(self, classes: int, width: int, *layers: nn.Module) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(classes, width))
        self.layers = nn.ModuleList(layers)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        classes = self.embedding[labels]
        for layer in self.layers:
            told = isinstance(layer, _ClassBatchNorm)
            features = layer(features, classes) if told else apply_layer(layer, features)
        return features


class _Projection(nn.Module):
    """A discriminator of two parts, with a direction for each class between them."""

    def __init__(self, classes: int, channels: int, body: nn.Module, ending: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.ending = ending
        self.embedding = nn.Parameter(torch.empty(classes, channels).normal_(0.0, WEIGHT_STD))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        features = self.body(images)
        return self.ending(features) + (self.embedding[labels] * features.sum((2, 3))).sum(1)


_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    # One group is layer normalisation over channels and pixels, with a gain for each channel.
    "layer": lambda channels: nn.GroupNorm(1, channels),
    "none": lambda channels: nn.Identity(),
}


def _draw_weights(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, WEIGHT_STD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d) and module.affine:
        nn.init.normal_(module.weight, 1.0, WEIGHT_STD)
