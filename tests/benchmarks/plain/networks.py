"""The networks of the papers, for square images whose sides are powers of two."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from plain import (
    biggan,
    codes,
    cyclegan,
    fastgan,
    halvings,
    pix2pix,
    progan,
    r3gan,
    sagan,
    srgan,
    stylegan2,
)
from plain.loops import Enlarging, Loop, Translation
from plain.residual import resnet, sngan_resnet
from plain.spectral import normalised

Shape = tuple[int, int, int]
Pair = tuple[nn.Module, nn.Module]


def mlp(shape: Shape, *, z_dim: int, hidden: Sequence[int], **_: Any) -> Pair:
    """Goodfellow et al. 2014, with leaky ReLU in place of maxout."""
    size = math.prod(shape)
    generator: list[nn.Module] = []
    for before, after in itertools.pairwise([z_dim, *hidden]):
        generator += [nn.Linear(before, after), nn.ReLU(inplace=True)]
    generator += [nn.Linear(hidden[-1], size), nn.Tanh(), nn.Unflatten(1, shape)]
    discriminator: list[nn.Module] = [nn.Flatten()]
    for before, after in itertools.pairwise([size, *reversed(hidden)]):
        discriminator += [nn.Linear(before, after), nn.LeakyReLU(0.2, inplace=True)]
    discriminator += [nn.Linear(hidden[0], 1), nn.Flatten(0)]
    return nn.Sequential(*generator), nn.Sequential(*discriminator)


def dcgan(shape: Shape, *, z_dim: int, base_channels: int, **_: Any) -> Pair:
    """Radford et al. 2016, with kernels of 4 x 4 as the scripts have them."""
    channels, size, _ = shape
    widths = [channels, *(base_channels * 2**i for i in range(halvings(size)))]
    generator: list[nn.Module] = [
        nn.Unflatten(1, (z_dim, 1, 1)),
        nn.ConvTranspose2d(z_dim, widths[-1], 4, 1, 0, bias=False),
    ]
    for before, after in itertools.pairwise(widths[::-1]):
        generator += [
            nn.BatchNorm2d(before),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(before, after, 4, 2, 1, bias=after == channels),
        ]
    discriminator: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        first = before == channels
        discriminator += [
            nn.Conv2d(before, after, 4, 2, 1, bias=first),
            nn.Identity() if first else nn.BatchNorm2d(after),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    discriminator += [nn.Conv2d(widths[-1], 1, 4, 1, 0), nn.Flatten(0)]
    return nn.Sequential(*generator, nn.Tanh()), nn.Sequential(*discriminator)


def sngan(shape: Shape, *, z_dim: int, base_channels: int, **_: Any) -> Pair:
    """Miyato et al. 2018, table 3."""
    channels, size, _ = shape
    widths = [base_channels * min(2**i, 8) for i in range(halvings(size) + 1)]
    generator: list[nn.Module] = [
        nn.Linear(z_dim, widths[-1] * 16),
        nn.Unflatten(1, (widths[-1], 4, 4)),
    ]
    for before, after in itertools.pairwise(widths[::-1]):
        generator += [
            nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]
    generator += [nn.Conv2d(widths[0], channels, 3, 1, 1), nn.Tanh()]
    discriminator: list[nn.Module] = []
    for before, after in itertools.pairwise([channels, *widths[:-1]]):
        discriminator += [
            nn.Conv2d(before, after, 3, 1, 1),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(after, after, 4, 2, 1),
            nn.LeakyReLU(0.1, inplace=True),
        ]
    discriminator += [
        nn.Conv2d(widths[-2], widths[-1], 3, 1, 1),
        nn.LeakyReLU(0.1, inplace=True),
        nn.Flatten(),
        nn.Linear(widths[-1] * 16, 1),
        nn.Flatten(0),
    ]
    return nn.Sequential(*generator), normalised(nn.Sequential(*discriminator))


NETWORKS: dict[str, Callable[..., Pair]] = {
    "mlp": mlp,
    "dcgan": dcgan,
    "sngan": sngan,
    "sngan-resnet": sngan_resnet,
    "resnet": resnet,
    "acgan": codes.acgan,
    "infogan": codes.infogan,
    "r3gan": r3gan.networks,
    "progan": progan.networks,
    "sagan": sagan.networks,
    "biggan": biggan.networks,
    "cyclegan": cyclegan.networks,
    "pix2pix": pix2pix.networks,
    "stylegan2": stylegan2.networks,
    "srgan": srgan.srgan,
    "esrgan": srgan.esrgan,
    "fastgan": fastgan.networks,
}
"""From the shape of an image and an architecture's options to a generator and a discriminator.

Of networks that take classes, ``classes`` is their number."""
LOOPS: dict[str, type[Loop]] = {
    "cyclegan": Translation,
    "infogan": codes.Coded,
    "pix2pix": pix2pix.Pairs,
    "srgan": Enlarging,
    "esrgan": Enlarging,
}
"""Loops of the architectures that have one of their own; others have :class:`Loop`."""
