"""Karras et al. 2020: the plain path of StyleGAN2's layers, as its authors have it without CUDA.

In training their modulated convolutions scale activations, and find what to divide by from the
weights of each sample. ``GROUPED`` takes the form of their first code: a group for each sample.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plain import halvings

GROUPED = False
GAIN = 2**0.5
LINE = [1.0, 3.0, 3.0, 1.0]


def biased(x: Tensor, bias: Tensor | None, gain: float, activated: bool = True) -> Tensor:
    """Add a bias, and pass leaky ReLU and a gain."""
    if bias is not None:
        x = x + bias.view([1, -1] + [1] * (x.dim() - 2))
    if activated:
        x = F.leaky_relu(x, 0.2)
    return x if gain == 1 else x * gain


def filtered(x: Tensor, kernel: Tensor, up: int, down: int, padding: tuple[int, int]) -> Tensor:
    """Insert zeros, pad, filter and leave pixels out."""
    n, c, h, w = x.shape
    x = F.pad(x.reshape(n, c, h, 1, w, 1), [0, up - 1, 0, 0, 0, up - 1])
    x = F.pad(x.reshape(n, c, h * up, w * up), [*padding, *padding])
    kernel = (kernel * up**2).to(x.dtype).flip([0, 1])
    x = F.conv2d(x, kernel[None, None].repeat(c, 1, 1, 1), groups=c)
    return x[:, :, ::down, ::down]


def modulated(x: Tensor, weight: Tensor, s: Tensor, demodulate: bool, up: int = 1) -> Tensor:
    """Convolve with weights that are scaled for each sample."""
    n, (after, before, size, _) = len(x), weight.shape
    weights = weight[None] * s.view(n, 1, -1, 1, 1)
    factors = torch.rsqrt(weights.square().sum([2, 3, 4]) + 1e-8) if demodulate else None
    if not GROUPED:
        x = convolved(x * s.view(n, -1, 1, 1), weight, up)
        return x if factors is None else x * factors.view(n, -1, 1, 1)
    if factors is not None:
        weights = weights * factors.view(n, -1, 1, 1, 1)
    x = x.reshape(1, n * before, *x.shape[2:])
    x = convolved(x, weights.reshape(n * after, before, size, size), up, groups=n)
    return x.reshape(n, after, *x.shape[2:])


def convolved(x: Tensor, weight: Tensor, up: int, groups: int = 1) -> Tensor:
    """Convolve, transposed where the size doubles."""
    if up == 1:
        return F.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=groups)
    after, before, size, _ = weight.shape
    weight = weight.reshape(groups, after // groups, before, size, size).transpose(1, 2)
    weight = weight.reshape(groups * before, after // groups, size, size)
    return F.conv_transpose2d(x, weight, stride=up, groups=groups)


class FullyConnected(nn.Module):
    """A linear layer with an equalised rate."""

    def __init__(
        self,
        before: int,
        after: int,
        activated: bool = False,
        rate: float = 1.0,
        start: float = 0.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before) / rate)
        self.bias = nn.Parameter(torch.full([after], start))
        self.weight_gain, self.bias_gain = rate / before**0.5, rate
        self.activated = activated

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, after)``."""
        x = x.matmul((self.weight * self.weight_gain).t())
        return biased(x, self.bias * self.bias_gain, GAIN if self.activated else 1, self.activated)


class Mapping(nn.Module):
    """Latents to styles."""

    def __init__(self, z_dim: int, w_dim: int, layers: int, count: int, mixing: float) -> None:
        super().__init__()
        self.register_buffer("w_avg", torch.zeros(w_dim))
        widths = [z_dim, *[w_dim] * layers]
        self.layers = nn.Sequential(
            *(FullyConnected(a, b, True, 0.01) for a, b in itertools.pairwise(widths))
        )
        self.count, self.mixing = count, mixing

    def forward(self, z: Tensor) -> Tensor:
        """Return ``(N, L, w_dim)``."""
        w = self.mapped(z)
        self.w_avg.copy_(w.detach().mean(0).lerp(self.w_avg, 0.995))
        ws = w[:, None].repeat(1, self.count, 1)
        if self.mixing > 0:
            others = self.mapped(torch.randn_like(z))[:, None].repeat(1, self.count, 1)
            cut = torch.randint(1, self.count, [], device=z.device)
            cut = torch.where(torch.rand([], device=z.device) < self.mixing, cut, self.count)
            ws[:, cut:] = others[:, cut:]
        return ws

    def mapped(self, z: Tensor) -> Tensor:
        """Return ``(N, w_dim)``."""
        return self.layers(z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt())


class Layer(nn.Module):
    """A modulated convolution with noise and an activation."""

    def __init__(self, before: int, after: int, w_dim: int, size: int, up: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, 3, 3))
        self.bias = nn.Parameter(torch.zeros(after))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("noise_const", torch.randn(1, 1, size, size))
        self.affine = FullyConnected(w_dim, before, start=1.0)
        self.up, self.size = up, size

    def forward(self, x: Tensor, w: Tensor, kernel: Tensor) -> Tensor:
        """Return features."""
        noise = torch.randn(len(x), 1, self.size, self.size, device=x.device) * self.noise_strength
        # The factor is the code's of half precision; demodulation divides by it again.
        weight = self.weight / self.weight[0].numel() ** 0.5
        x = modulated(x, weight, self.affine(w), True, self.up)
        if self.up > 1:
            x = filtered(x * 4, kernel, 1, 1, (1, 1))
        return biased(x + noise, self.bias, GAIN)


class ToRGB(nn.Module):
    """A modulated convolution to an image."""

    def __init__(self, before: int, channels: int, w_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, before, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.affine = FullyConnected(w_dim, before, start=1.0)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Return an image."""
        s = self.affine(w) / self.weight.shape[1] ** 0.5
        return biased(modulated(x, self.weight, s, False), self.bias, 1, False)


class Synthesis(nn.Module):
    """Styles to images."""

    def __init__(self, channels: int, widths: list[int], w_dim: int) -> None:
        super().__init__()
        self.const = nn.Parameter(torch.randn(1, widths[0], 4, 4))
        self.layers = nn.ModuleList([nn.ModuleList([Layer(widths[0], widths[0], w_dim, 4)])])
        self.to_rgb = nn.ModuleList([ToRGB(widths[0], channels, w_dim)])
        for i, (before, after) in enumerate(itertools.pairwise(widths)):
            size = 8 * 2**i
            up = Layer(before, after, w_dim, size, up=2)
            self.layers.append(nn.ModuleList([up, Layer(after, after, w_dim, size)]))
            self.to_rgb.append(ToRGB(after, channels, w_dim))
        line = torch.tensor(LINE)
        self.register_buffer("kernel", line.outer(line) / 64, persistent=False)

    def forward(self, ws: Tensor) -> Tensor:
        """Return images."""
        x, image, at = self.const.repeat(len(ws), 1, 1, 1), None, 0
        for layers, to_rgb in zip(self.layers, self.to_rgb, strict=True):
            for layer in layers:
                x = layer(x, ws[:, at], self.kernel)
                at += 1
            added = to_rgb(x, ws[:, at])
            if image is not None:
                added = filtered(image, self.kernel, 2, 1, (2, 1)) + added
            image = added
        return image


class Convolution(nn.Module):
    """A convolution with an equalised rate, that may halve the size."""

    def __init__(
        self,
        before: int,
        after: int,
        size: int,
        down: int = 1,
        gain: float = 1.0,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, size, size))
        self.bias = None if linear else nn.Parameter(torch.zeros(after))
        self.down, self.gain = down, gain
        line = torch.tensor(LINE)
        self.register_buffer("kernel", line.outer(line) / 64, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return features."""
        weight = self.weight / self.weight[0].numel() ** 0.5
        size = weight.shape[-1]
        if self.down == 1:
            x = F.conv2d(x, weight, padding=size // 2)
        elif size == 1:
            x = F.conv2d(filtered(x, self.kernel, 1, 2, (1, 1)), weight)
        else:
            x = F.conv2d(filtered(x, self.kernel, 1, 1, (2, 2)), weight, stride=2)
        if self.bias is None:
            return x * self.gain
        return biased(x, self.bias, GAIN * self.gain)


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv0 = Convolution(before, before, 3)
        self.conv1 = Convolution(before, after, 3, down=2, gain=0.5**0.5)
        self.skip = Convolution(before, after, 1, down=2, gain=0.5**0.5, linear=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of half the size."""
        return self.skip(x) + self.conv1(self.conv0(x))


class Deviation(nn.Module):
    """The standard deviation over groups as a channel."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("average", torch.zeros([]))

    def forward(self, x: Tensor) -> Tensor:
        """Return features with one more channel."""
        n, c, h, w = x.shape
        size = min(self.size, n)
        y = x.reshape(size, -1, c, h, w)
        y = (y - y.mean(0)).square().mean(0)
        y = (y + 1e-8).sqrt().mean([1, 2, 3])
        return torch.cat([x, y.view(-1, 1, 1, 1).repeat(size, 1, h, w)], 1)


class Generator(nn.Module):
    """Latents to images and their styles."""

    def __init__(self, mapping: nn.Module, synthesis: nn.Module) -> None:
        super().__init__()
        self.mapping, self.synthesis = mapping, synthesis

    def forward(self, z: Tensor) -> dict[str, Tensor]:
        """Return both by name."""
        ws = self.mapping(z)
        return {"samples": self.synthesis(ws), "w": ws}


def networks(
    shape: tuple[int, int, int],
    *,
    z_dim: int,
    w_dim: int,
    channel_base: int,
    channel_max: int,
    mapping_layers: int,
    group_size: int,
    mixing: float,
    **_: Any,
) -> tuple[nn.Module, nn.Module]:
    """Build both."""
    channels, size, _ = shape
    levels = halvings(size) + 1
    widths = [min(channel_base // (4 * 2**i), channel_max) for i in range(levels)]
    generator = Generator(
        Mapping(z_dim, w_dim, mapping_layers, 2 * levels, mixing),
        Synthesis(channels, widths, w_dim),
    )
    lowest = widths[0]
    discriminator = nn.Sequential(
        Convolution(channels, widths[-1], 1),
        *(Block(before, after) for before, after in itertools.pairwise(widths[::-1])),
        Deviation(group_size),
        Convolution(lowest + 1, lowest, 3),
        nn.Flatten(),
        FullyConnected(lowest * 16, lowest, True),
        FullyConnected(lowest, 1),
        nn.Flatten(0),
    )
    return generator, discriminator
