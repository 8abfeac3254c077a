"""The generator and the discriminator of ACGAN: table 2 of its paper."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo.nn import draw_normal

GENERATOR_GROWTH = 8
DISCRIMINATOR_GROWTH = 32
"""Most channels, as a multiple of those at the highest resolution."""


def generator(data: DataSpec, classes: int, z_dim: int, base_channels: int) -> nn.Module:
    """Build the generator: latents and labels ``(N,)`` -> images ``(N, C, H, W)``."""
    halvings, height, width = data.count_halvings()
    first, *channels = (
        base_channels * min(2**i, GENERATOR_GROWTH) for i in reversed(range(halvings))
    )
    layers: list[nn.Module] = [
        nn.Linear(z_dim + classes, first * height * width),
        nn.ReLU(inplace=True),
        nn.Unflatten(1, (first, height, width)),
    ]
    for before, after in itertools.pairwise([first, *channels]):
        layers += [
            # Normalisation takes the mean away, and a bias with it.
            nn.ConvTranspose2d(before, after, 5, 2, padding=2, output_padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]
    last = [first, *channels][-1]
    layers += [
        nn.ConvTranspose2d(last, data.image_channels, 5, 2, padding=2, output_padding=1),
        nn.Tanh(),
    ]
    return LabelledGenerator(classes, nn.Sequential(*layers)).apply(draw_normal)


def discriminator(
    data: DataSpec, classes: int, base_channels: int, dropout: float, *, by_layer: bool
) -> nn.Module:
    """Build the discriminator: images ``(N, C, H, W)`` -> logits ``(N,)`` and ``classes``.

    Args:
        data: Shape of the images.
        classes: Number of classes.
        base_channels: Channels of the first layer.
        dropout: Share of features that are dropped.
        by_layer: Whether to normalise by layer, and not by batch.
    """
    halvings, height, width = data.count_halvings()
    channels = [base_channels * min(2**i, DISCRIMINATOR_GROWTH) for i in range(2 * halvings)]
    trunk: list[nn.Module] = [
        nn.Conv2d(data.image_channels, channels[0], 3, 2, padding=1),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Dropout(dropout),
    ]
    for number, (before, after) in enumerate(itertools.pairwise(channels)):
        trunk += [
            nn.Conv2d(before, after, 3, 1 + number % 2, padding=1, bias=False),
            # One group is layer normalisation over channels and pixels.
            nn.GroupNorm(1, after) if by_layer else nn.BatchNorm2d(after),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Dropout(dropout),
        ]
    trunk.append(nn.Flatten())
    size = channels[-1] * height * width
    return ClassifyingDiscriminator(nn.Sequential(*trunk), size, classes).apply(draw_normal)


class LabelledGenerator(nn.Module):
    """A generator that gets the class as a one-hot vector beside the latent.

    Args:
        classes: Number of classes.
        network: Latents ``(N, z_dim + classes)`` -> images.
    """

    def __init__(self, classes: int, network: nn.Module) -> None:
        super().__init__()
        self.classes = classes
        self.network = network

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Generate images of the classes ``labels`` ``(N,)``."""
        told = F.one_hot(labels, self.classes).to(latents)
        return self.network(torch.cat([latents, told], dim=1))


class ClassifyingDiscriminator(nn.Module):
    """A discriminator that names classes, and is not told them.

    Args:
        trunk: Images ``(N, C, H, W)`` -> features ``(N, size)``.
        size: Numbers of the features.
        classes: Number of classes.
    """

    def __init__(self, trunk: nn.Module, size: int, classes: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.judge = nn.Linear(size, 1)
        self.classify = nn.Linear(size, classes)

    def forward(self, samples: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return ``logits`` and ``classes``; the labels are not looked at."""
        features = self.trunk(samples)
        return {"logits": self.judge(features).flatten(), "classes": self.classify(features)}
