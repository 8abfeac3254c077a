"""Residual networks without normalisation: config E."""

from __future__ import annotations

import itertools

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ganzoo import Architecture, DataSpec

LAYERS_OF_A_BLOCK = 3


class R3GAN(Architecture):
    """R3GAN's networks for images of 1, 3 or 4 channels, config E.

    Huang et al. 2024, section 3: at each resolution residual blocks of a 1 x 1 convolution to
    ``expansion`` times the channels, a grouped 3 x 3 and a 1 x 1 back, with leaky ReLU of slope
    0.2 between them; bilinear resampling; no normalisation anywhere. The last convolution of each
    block begins at 0 and the others L^(-1/4) smaller than by He et al. 2015, for L blocks in a
    network (fix-up: Zhang et al. 2019, arXiv:1901.09321). The generator begins with a learned basis
    at the lowest resolution, each channel of it scaled by a linear map of z; the discriminator ends
    in its mirror image, a weight for each pixel of each channel and a linear map.

    The image is halved until its shorter side is 4 to 7 pixels, so that 28 x 28, 32, 48, 64, 96
    and 128 are all one class. Channels double each time up to ``growth`` times ``base_channels``,
    with a 1 x 1 convolution between two widths. The paper's networks for CIFAR-10 have one width,
    ``growth`` 1; narrow ones need the channels at low resolution more, where they cost little,
    because all that the generator knows of z is a factor for each channel of its basis.

    Three things differ. The generator ends in tanh, because images in ganzoo lie in [-1, 1]; the
    paper's output has no bound. Doubling is torch's bilinear interpolation, halving the mean of
    2 x 2 pixels, where the paper filters by 1-2-1. And classes are not used.
    """

    paper = "Huang et al. 2024, arXiv:2501.05441"
    default_loss = "r3gan"
    default_data = "digits"

    z_dim: int = Field(64, gt=0, description="Length of a latent; the paper has 64.")
    base_channels: int = Field(
        16, gt=0, description="Channels at the highest resolution; the paper has 768 for CIFAR-10."
    )
    growth: int = Field(
        8,
        gt=0,
        description="How many times base_channels there are at most, doubling with each halving; "
        "the paper has 1 for CIFAR-10.",
    )
    blocks: int = Field(1, gt=0, description="Blocks at every resolution; the paper has 2.")
    expansion: int = Field(2, gt=0, description="How much wider a block is inside; the paper's 2.")
    group_size: int = Field(
        16,
        gt=0,
        description="Channels in a group of the 3 x 3 convolutions; the paper's 1536 channels "
        "for CIFAR-10 are 96 groups of 16.",
    )

    @model_validator(mode="after")
    def _check(self) -> R3GAN:
        inside = self.base_channels * self.expansion
        if inside % self.group_size:
            raise ValueError(
                f"base_channels x expansion, {inside}, must be a multiple of group_size, "
                f"{self.group_size}"
            )
        return self

    def generator(self, data: DataSpec) -> nn.Module:
        """Build latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
        halvings, height, width = data.halved("R3GAN")
        lowest, *widths = self._widths(halvings)[::-1]
        layers = [_Basis(self.z_dim, lowest, height, width), *self._blocks(lowest, halvings)]
        for before, after in itertools.pairwise([lowest, *widths]):
            layers += [
                _transition(before, after),
                nn.Upsample(scale_factor=2, mode="bilinear"),
                *self._blocks(after, halvings),
            ]
        layers += [_drawn(nn.Conv2d(widths[-1], data.image_channels, 1, bias=False)), nn.Tanh()]
        return nn.Sequential(*layers)

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build images ``(N, C, H, W)`` -> logits ``(N,)``; it never mixes its batch."""
        halvings, height, width = data.halved("R3GAN")
        widths = self._widths(halvings)
        layers = [_drawn(nn.Conv2d(data.image_channels, widths[0], 1, bias=False))]
        for before, after in itertools.pairwise(widths):
            layers += [
                *self._blocks(before, halvings),
                nn.AvgPool2d(2),
                _transition(before, after),
            ]
        lowest = widths[-1]
        layers += [
            *self._blocks(lowest, halvings),
            _drawn(nn.Conv2d(lowest, lowest, (height, width), groups=lowest, bias=False)),
            nn.Flatten(),
            _drawn(nn.Linear(lowest, 1, bias=False)),
            nn.Flatten(0),
        ]
        return nn.Sequential(*layers)

    def _widths(self, halvings: int) -> list[int]:
        """Return the channels at each resolution, the highest first."""
        return [self.base_channels * min(2**i, self.growth) for i in range(halvings + 1)]

    def _blocks(self, channels: int, halvings: int) -> list[nn.Module]:
        inside = channels * self.expansion
        scale = (self.blocks * (halvings + 1)) ** (-1 / (2 * LAYERS_OF_A_BLOCK - 2))
        return [
            _Block(channels, inside, inside // self.group_size, scale) for _ in range(self.blocks)
        ]


class _Basis(nn.Module):
    """A learned pattern for each channel, scaled by a linear map of the latent."""

    def __init__(self, z_dim: int, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.patterns = nn.Parameter(torch.randn(channels, height, width))
        self.scales = _drawn(nn.Linear(z_dim, channels, bias=False))

    def forward(self, latents: Tensor) -> Tensor:
        return self.scales(latents)[:, :, None, None] * self.patterns


class _Block(nn.Module):
    def __init__(self, channels: int, inside: int, groups: int, scale: float) -> None:
        super().__init__()
        gain = scale * nn.init.calculate_gain("leaky_relu", 0.2)
        last = nn.Conv2d(inside, channels, 1, bias=False)
        nn.init.zeros_(last.weight)
        self.branch = nn.Sequential(
            _drawn(nn.Conv2d(channels, inside, 1), gain),
            nn.LeakyReLU(0.2),
            _drawn(nn.Conv2d(inside, inside, 3, padding=1, groups=groups), gain),
            nn.LeakyReLU(0.2),
            last,
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.branch(features)


def _transition(before: int, after: int) -> nn.Module:
    same = before == after
    return nn.Identity() if same else _drawn(nn.Conv2d(before, after, 1, bias=False))


def _drawn(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> nn.Module:
    """Draw normal weights that keep the variance of what goes through, but for a gain."""
    nn.init.normal_(layer.weight, 0.0, gain * layer.weight[0].numel() ** -0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
