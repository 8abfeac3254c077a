"""ProGAN when it has grown: Karras et al. 2018, table 2."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plain import halvings


class Scaled(nn.Module):
    """A layer of normal weights that are scaled as it runs: a convolution, or a dense layer."""

    def __init__(self, before: int, after: int, *kernel: int, gain: float = 2**0.5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, *kernel))
        self.bias = nn.Parameter(torch.zeros(after))
        self.scale = gain / math.sqrt(self.weight[0].numel())

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same size."""
        weight = self.weight * self.scale
        if weight.dim() == 2:
            return F.linear(x, weight, self.bias)
        return F.conv2d(x, weight, self.bias, padding=weight.shape[-1] // 2)


class Start(nn.Module):
    """Features of 4 x 4 pixels from a latent; all pixels of a channel have one bias."""

    def __init__(self, z_dim: int, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))
        self.weight = nn.Parameter(torch.randn(16 * channels, z_dim))

    def forward(self, z: Tensor) -> Tensor:
        """Return features ``(N, C, 4, 4)``."""
        scale = math.sqrt(2) / 4 / math.sqrt(z.shape[1])
        return F.linear(z, self.weight * scale).view(len(z), -1, 4, 4) + self.bias


def normalised(x: Tensor) -> Tensor:
    """Divide each pixel by its length."""
    return x / torch.sqrt(torch.mean(x**2, dim=1, keepdim=True) + 1e-8)


class Normalise(nn.Module):
    """Each pixel divided by its length."""

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        return normalised(x)


LEAKY = nn.LeakyReLU(0.2)
ACT = (LEAKY, Normalise())


class Deviation(nn.Module):
    """The mean deviation of a group as one more channel."""

    def __init__(self, group_size: int) -> None:
        super().__init__()
        self.group_size = group_size
        # Of no use here: the network beside it has an average, for when it does not train.
        self.register_buffer("average", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return features with a channel more."""
        _, channels, height, width = x.shape
        groups = x.view(self.group_size, -1, channels, height, width)
        deviation = torch.sqrt(groups.var(dim=0, unbiased=False) + 1e-8).mean(dim=(1, 2, 3))
        deviation = deviation.view(-1, 1, 1, 1).repeat(self.group_size, 1, height, width)
        return torch.cat([x, deviation], dim=1)


class Generator(nn.Module):
    """From a latent to an image, by two convolutions at each size."""

    def __init__(self, z_dim: int, channels: int, widths: list[int]) -> None:
        super().__init__()
        lowest = widths[0]
        stages = [nn.Sequential(Start(z_dim, lowest), *ACT, Scaled(lowest, lowest, 3, 3), *ACT)]
        for before, after in itertools.pairwise(widths):
            convolutions = Scaled(before, after, 3, 3), Scaled(after, after, 3, 3)
            layers = itertools.chain(*((each, *ACT) for each in convolutions))
            stages.append(nn.Sequential(nn.Upsample(scale_factor=2), *layers))
        self.stages = nn.ModuleList(stages)
        self.to_rgb = nn.ModuleList(Scaled(width, channels, 1, 1, gain=1) for width in widths)

    def forward(self, z: Tensor) -> Tensor:
        """Return images; only the last size is read."""
        x = normalised(z)
        for stage in self.stages:
            x = stage(x)
        return self.to_rgb[-1](x)


class Discriminator(nn.Module):
    """From an image to a logit, by two convolutions at each size."""

    def __init__(self, channels: int, widths: list[int], hidden: int, group_size: int) -> None:
        super().__init__()
        lowest = widths[0]
        self.from_rgb = nn.ModuleList(Scaled(channels, width, 1, 1) for width in widths)
        end = [Scaled(lowest + 1, lowest, 3, 3), LEAKY, nn.Flatten(), Scaled(lowest * 16, hidden)]
        stages = [nn.Sequential(Deviation(group_size), *end, LEAKY)]
        for after, before in itertools.pairwise(widths):
            layers = Scaled(before, before, 3, 3), LEAKY, Scaled(before, after, 3, 3), LEAKY
            stages.append(nn.Sequential(*layers, nn.AvgPool2d(2)))
        self.stages = nn.ModuleList(stages)
        self.judge = Scaled(hidden, 1, gain=1)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits ``(N,)``."""
        x = LEAKY(self.from_rgb[-1](image))
        for stage in reversed(self.stages):
            x = stage(x)
        return self.judge(x).flatten()


def networks(
    shape: tuple[int, int, int],
    *,
    z_dim: int,
    channel_base: int,
    channel_max: int,
    group_size: int,
    **_: Any,
) -> tuple[nn.Module, nn.Module]:
    """Build both."""
    channels, size, _ = shape
    stages = range(halvings(size) + 2)
    hidden, *widths = [min(channel_base // 2**stage, channel_max) for stage in stages]
    generator = Generator(z_dim, channels, widths)
    return generator, Discriminator(channels, widths, hidden, group_size)
