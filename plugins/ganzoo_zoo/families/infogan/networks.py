"""The generator and the discriminator of InfoGAN: appendix C.1 of its paper."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo.nn import draw_normal

SLOPE = 0.1
"""Slope of leaky ReLU below 0."""
GUESSING_UNITS = 128
"""Units of the layer that codes are guessed from."""


def generator(data: DataSpec, length: int, dense: int, base_channels: int) -> nn.Module:
    """Build the generator: latents ``(N, length)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
    halvings, height, width = data.count_halvings()
    channels = [base_channels * 2**i for i in reversed(range(halvings))]
    size = channels[0] * height * width
    layers: list[nn.Module] = [
        # Normalisation takes the mean away, and a bias with it.
        nn.Linear(length, dense, bias=False),
        nn.BatchNorm1d(dense),
        nn.ReLU(inplace=True),
        nn.Linear(dense, size, bias=False),
        nn.BatchNorm1d(size),
        nn.ReLU(inplace=True),
        nn.Unflatten(1, (channels[0], height, width)),
    ]
    for before, after in itertools.pairwise(channels):
        layers += [
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]
    layers += [
        nn.ConvTranspose2d(channels[-1], data.image_channels, 4, stride=2, padding=1),
        nn.Tanh(),
    ]
    return nn.Sequential(*layers).apply(draw_normal)


def discriminator(
    data: DataSpec, guessed: int, dense: int, base_channels: int, *, by_layer: bool
) -> nn.Module:
    """Build the discriminator: images ``(N, C, H, W)`` -> logits ``(N,)`` and ``codes``.

    Args:
        data: Shape of the images.
        guessed: Numbers of ``codes``.
        dense: Units of the dense layer.
        base_channels: Channels at the highest resolution.
        by_layer: Whether to normalise by layer, and not by batch.
    """
    halvings, height, width = data.count_halvings()
    channels = [base_channels * 2**i for i in range(halvings)]
    trunk: list[nn.Module] = [
        nn.Conv2d(data.image_channels, channels[0], 4, stride=2, padding=1),
        nn.LeakyReLU(SLOPE, inplace=True),
    ]
    for before, after in itertools.pairwise(channels):
        trunk += [
            nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False),
            # One group is layer normalisation over channels and pixels.
            nn.GroupNorm(1, after) if by_layer else nn.BatchNorm2d(after),
            nn.LeakyReLU(SLOPE, inplace=True),
        ]
    trunk += [nn.Flatten(), *_dense(channels[-1] * height * width, dense, by_layer)]
    judge = nn.Sequential(nn.Linear(dense, 1), nn.Flatten(0))
    guess = nn.Sequential(
        *_dense(dense, GUESSING_UNITS, by_layer), nn.Linear(GUESSING_UNITS, guessed)
    )
    return GuessingDiscriminator(nn.Sequential(*trunk), judge, guess).apply(draw_normal)


class GuessingDiscriminator(nn.Module):
    """A discriminator that also guesses the codes of a sample, by what it sees.

    Args:
        trunk: Images ``(N, C, H, W)`` -> features.
        judge: Features -> logits ``(N,)``.
        guess: Features -> codes ``(N, K)``, the paper's Q.
    """

    def __init__(self, trunk: nn.Module, judge: nn.Module, guess: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.judge = judge
        self.guess = guess

    def forward(self, samples: Tensor) -> dict[str, Tensor]:
        """Return ``logits`` and ``codes`` of samples."""
        features = self.trunk(samples)
        return {"logits": self.judge(features), "codes": self.guess(features)}


def _dense(before: int, after: int, by_layer: bool) -> list[nn.Module]:
    norm = nn.LayerNorm(after) if by_layer else nn.BatchNorm1d(after)
    return [nn.Linear(before, after, bias=False), norm, nn.LeakyReLU(SLOPE, inplace=True)]
