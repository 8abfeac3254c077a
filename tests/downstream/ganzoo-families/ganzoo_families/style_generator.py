"""StyleGAN2's generator in small: a mapping to w, and convolutions that w modulates."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo import DataSpec


class ModulatedConv(nn.Module):
    """A convolution whose weights are scaled by w and normalised, for each sample."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.style = nn.Linear(channels, channels)
        self.weight = nn.Parameter(torch.randn(channels, channels, 3, 3))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = 1 + self.style(w)
        scale = (style.square() @ self.weight.square().sum((2, 3)).T + 1e-8).rsqrt()
        x = x * style[:, :, None, None]
        return F.conv2d(x, self.weight, padding=1) * scale[:, :, None, None]


class Mapping(nn.Sequential):
    """Latents ``(N, C)`` -> styles ``(N, L, C)``."""

    def forward(self, latents: Tensor) -> Tensor:
        w = super().forward(F.normalize(latents) * latents.shape[1] ** 0.5)
        return w[:, None].expand(-1, 2, -1)


class Synthesis(nn.Module):
    """Styles -> images of any range, which are clamped where nothing is trained, and w."""

    def __init__(self, data: DataSpec, channels: int) -> None:
        super().__init__()
        start = (side // 4 for side in data.shape[1:])
        self.constant = nn.Parameter(torch.randn(1, channels, *start))
        self.layers = nn.ModuleList(ModulatedConv(channels) for _ in range(2))
        self.to_image = nn.Conv2d(channels, data.shape[0], 1)

    def forward(self, styles: Tensor) -> dict[str, Tensor]:
        x = self.constant.expand(len(styles), -1, -1, -1)
        for layer, w in zip(self.layers, styles.unbind(1), strict=True):
            x = F.leaky_relu(layer(F.interpolate(x, scale_factor=2.0), w), 0.2)
        x = self.to_image(x)
        return {"samples": x if self.training else x.clamp(-1, 1), "w": styles}


class StyleGenerator(nn.Sequential):
    """Latents -> images and w."""

    def __init__(self, data: DataSpec, channels: int) -> None:
        super().__init__()
        self.mapping = Mapping(nn.Linear(channels, channels), nn.LeakyReLU(0.2))
        self.synthesis = Synthesis(data, channels)
