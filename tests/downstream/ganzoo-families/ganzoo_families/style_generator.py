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
        """Map features ``(N, C, H, W)`` to others of the same shape."""
        style = 1 + self.style(w)
        squares = style.square() @ self.weight.square().sum((2, 3)).T
        found = F.conv2d(x * style[:, :, None, None], self.weight, padding=1)
        return found * (squares + 1e-8).rsqrt()[:, :, None, None]


class StyleGenerator(nn.Module):
    """Latents ``(N, C)`` -> images of any range, which are clamped where nothing is trained."""

    def __init__(self, data: DataSpec, channels: int) -> None:
        super().__init__()
        height, width = (side // 4 for side in data.shape[1:])
        self.mapping = nn.Sequential(nn.Linear(channels, channels), nn.LeakyReLU(0.2))
        self.constant = nn.Parameter(torch.randn(1, channels, height, width))
        self.layers = nn.ModuleList(ModulatedConv(channels) for _ in range(2))
        self.to_image = nn.Conv2d(channels, data.shape[0], 1)

    def forward(self, latents: Tensor) -> dict[str, Tensor]:
        """Return images, and the w that they are made from."""
        w = self.mapping(F.normalize(latents) * latents.shape[1] ** 0.5)
        x = self.constant.expand(len(w), -1, -1, -1)
        for layer in self.layers:
            x = F.leaky_relu(layer(F.interpolate(x, scale_factor=2.0), w), 0.2)
        images = self.to_image(x)
        return {"samples": images if self.training else images.clamp(-1, 1), "w": w}
