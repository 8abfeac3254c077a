"""Residual networks without normalisation: config E."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from ganzoo import DataSpec
    from ganzoo_zoo.families.r3gan.architecture import R3GAN

LAYERS_OF_A_BLOCK = 3


def generator(options: R3GAN, data: DataSpec) -> nn.Module:
    """Build latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
    halvings, height, width = data.count_halvings("R3GAN")
    lowest, *widths = _widths(options, halvings)[::-1]
    layers = [_Basis(options.z_dim, lowest, height, width), *_blocks(options, lowest, halvings)]
    for before, after in itertools.pairwise([lowest, *widths]):
        layers += [
            _transition(before, after),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            *_blocks(options, after, halvings),
        ]
    layers += [_draw_weights(nn.Conv2d(widths[-1], data.image_channels, 1, bias=False)), nn.Tanh()]
    return nn.Sequential(*layers)


def discriminator(options: R3GAN, data: DataSpec) -> nn.Module:
    """Build images ``(N, C, H, W)`` -> logits ``(N,)``; it never mixes its batch."""
    halvings, height, width = data.count_halvings("R3GAN")
    widths = _widths(options, halvings)
    layers = [_draw_weights(nn.Conv2d(data.image_channels, widths[0], 1, bias=False))]
    for before, after in itertools.pairwise(widths):
        layers += [
            *_blocks(options, before, halvings),
            nn.AvgPool2d(2),
            _transition(before, after),
        ]
    lowest = widths[-1]
    layers += [
        *_blocks(options, lowest, halvings),
        _draw_weights(nn.Conv2d(lowest, lowest, (height, width), groups=lowest, bias=False)),
        nn.Flatten(),
        _draw_weights(nn.Linear(lowest, 1, bias=False)),
        nn.Flatten(0),
    ]
    return nn.Sequential(*layers)


def _widths(options: R3GAN, halvings: int) -> list[int]:
    """Return the channels at each resolution, the highest first."""
    return [options.base_channels * min(2**i, options.growth) for i in range(halvings + 1)]


def _blocks(options: R3GAN, channels: int, halvings: int) -> list[nn.Module]:
    inside = channels * options.expansion
    scale = (options.blocks * (halvings + 1)) ** (-1 / (2 * LAYERS_OF_A_BLOCK - 2))
    return [
        _Block(channels, inside, inside // options.group_size, scale) for _ in range(options.blocks)
    ]


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
    """Draw normal weights that keep the variance of what goes through, but for a gain."""
    nn.init.normal_(layer.weight, 0.0, gain * layer.weight[0].numel() ** -0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
