"""StyleGAN2's discriminator in small, which sees how much the samples of its batch differ."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganzoo import DataSpec


class MinibatchDeviation(nn.Module):
    """Adds a channel: how much the samples of the batch differ."""

    def forward(self, x: Tensor) -> Tensor:
        """Append the mean deviation to features ``(N, C, H, W)``."""
        spread = (x.var(0, correction=0) + 1e-8).sqrt().mean()
        return torch.cat([x, spread.expand(len(x), 1, *x.shape[2:])], 1)


def build_discriminator(data: DataSpec, channels: int, independent_samples: bool) -> nn.Module:
    """Build images ``(N, *data.shape)`` -> logits ``(N,)``."""
    look = [] if independent_samples else [MinibatchDeviation()]
    return nn.Sequential(
        nn.Conv2d(data.shape[0], channels, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(channels, channels, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        *look,
        nn.Flatten(),
        nn.Linear((channels + len(look)) * (data.size // data.shape[0] // 16), 1),
        nn.Flatten(0),
    )
