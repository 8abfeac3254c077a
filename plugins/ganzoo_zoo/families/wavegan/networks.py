"""The generator and the discriminator of WaveGAN."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from ganzoo import DataSpec
from ganzoo.errors import InputError
from ganzoo.nn import FeatureSequential

SHORTEST, LONGEST = 8, 31
"""Numbers of a signal that are left after all strides."""


def find_strides(data: DataSpec) -> tuple[list[int], int]:
    """Return the strides from a signal to its shortest form, and the length of that.

    Raises:
        InputError: the samples are no signals, or their length cannot be divided so often.
    """
    if not data.is_signal:
        raise InputError(f"WaveGAN makes signals, and these samples are {data.in_words}")
    length = data.shape[1]
    strides: list[int] = []
    while length > LONGEST or (not strides and length >= 2 * SHORTEST):
        stride = next((s for s in (4, 2) if length % s == 0 and length // s >= SHORTEST), None)
        if stride is None:
            break
        length, strides = length // stride, [*strides, stride]
    if not strides or length > LONGEST:
        raise InputError(
            f"a signal is cut to a quarter or to a half until {SHORTEST} to {LONGEST} numbers are "
            f"left, and {data.shape[1]:,} stop at {length:,}; choose another length with "
            "--set data.length=N, such as 1024 or 16384"
        )
    return strides, length


def generator(data: DataSpec, z_dim: int, base_channels: int, kernel_size: int) -> nn.Module:
    """Build the generator: latents ``(N, z_dim)`` -> signals ``(N, C, T)`` in ``[-1, 1]``."""
    strides, length = find_strides(data)
    widths = [*(base_channels * 2**i for i in reversed(range(len(strides)))), data.shape[0]]
    layers: list[nn.Module] = [
        nn.Linear(z_dim, widths[0] * length),
        nn.Unflatten(1, (widths[0], length)),
    ]
    for stride, (before, after) in zip(reversed(strides), itertools.pairwise(widths), strict=True):
        layers += [
            nn.ReLU(inplace=True),
            nn.ConvTranspose1d(
                before,
                after,
                kernel_size,
                stride,
                padding=(kernel_size - stride + 1) // 2,
                output_padding=1,
            ),
        ]
    return nn.Sequential(*layers, nn.Tanh())


def discriminator(
    data: DataSpec, base_channels: int, kernel_size: int, phase_shuffle: int
) -> nn.Module:
    """Build the discriminator: signals ``(N, C, T)`` -> ``logits`` and ``features``."""
    strides, length = find_strides(data)
    widths = [data.shape[0], *(base_channels * 2**i for i in range(len(strides)))]
    layers: list[nn.Module] = []
    for stride, (before, after) in zip(strides, itertools.pairwise(widths), strict=True):
        if layers and phase_shuffle:
            layers.append(PhaseShuffle(phase_shuffle))
        layers += [
            nn.Conv1d(before, after, kernel_size, stride, padding=(kernel_size - stride + 1) // 2),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    ending = [nn.Flatten(), nn.Linear(widths[-1] * length, 1), nn.Flatten(0)]
    return FeatureSequential(layers, ending)


class PhaseShuffle(nn.Module):
    """Shifts the features of each sample along time by a random number of places, in training.

    Donahue et al. 2018, section 3.3: what leaves at one end is filled by reflection at the other.

    Args:
        most: The most places.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, features: Tensor) -> Tensor:
        """Return features ``(N, C, T)``, shifted."""
        if not self.training:
            return features
        count, channels, length = features.shape
        shift = torch.randint(-self.most, self.most + 1, (count, 1), device=features.device)
        places = (torch.arange(length, device=features.device) + shift).abs()
        places = length - 1 - (length - 1 - places).abs()
        return features.gather(2, places[:, None].expand(-1, channels, -1))
