"""Isola et al. 2017: the U-Net and the patches of appendix 6.1, which colour grey images."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plain.loops import Loop
from plain.penalties import Given


class Colouring(nn.Module):
    """A U-Net of one channel to all, whose halvings stand before its doublings."""

    def __init__(self, channels: int, width: int, size: int) -> None:
        super().__init__()
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        depth = size.bit_length() - 1
        widths = [1, *(min(width << i, 8 * width) for i in range(depth))]
        for i in range(depth):
            normed = 0 < i < depth - 1
            self.down.append(nn.Conv2d(widths[i], widths[i + 1], 4, 2, 1, bias=False))
            self.down.append(normal(widths[i + 1]) if normed else nn.Identity())
        for i in reversed(range(depth)):
            given = widths[i + 1] * (1 if i == depth - 1 else 2)
            made = widths[i] if i else channels
            self.up.append(nn.ConvTranspose2d(given, made, 4, 2, 1, bias=not i))
            self.up.append(normal(made) if i else nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        """Return images in colour of the same size and the same grey levels."""
        grey = x
        kept: list[Tensor] = []
        for i in range(0, len(self.down), 2):
            x = self.down[i + 1](self.down[i](F.leaky_relu(x, 0.2) if i else x))
            kept.append(x)
        for i in range(0, len(self.up), 2):
            beside = kept.pop()
            x = self.up[i + 1](self.up[i](F.relu(torch.cat([beside, x], 1) if i else beside)))
        red, green, blue = x.tanh().unbind(1)
        made = (0.299 * red + 0.587 * green + 0.114 * blue)[:, None]
        return (torch.stack([red, green, blue], 1) + grey - made).clamp(-1, 1)


class Patches(nn.Module):
    """A discriminator of patches of grey images and what was made of them."""

    def __init__(self, channels: int, width: int, halvings: int) -> None:
        super().__init__()
        widths = [width << i for i in range(halvings + 1)]
        layers: list[nn.Module] = [nn.Conv2d(1 + channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for i in range(halvings):
            stride = 2 if i < halvings - 1 else 1
            layers += [
                nn.Conv2d(widths[i], widths[i + 1], 4, stride, 1, bias=False),
                normal(widths[i + 1]),
                nn.LeakyReLU(0.2),
            ]
        self.main = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 1))

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        """Return a logit of each patch."""
        return self.main(torch.cat([source, x], 1)).flatten(1)


def normal(channels: int) -> nn.Module:
    """Return instance normalisation as batch normalisation of single images is."""
    return nn.InstanceNorm2d(channels, affine=True)


def networks(
    shape: tuple[int, int, int], *, base_channels: int, **_: Any
) -> tuple[nn.Module, nn.Module]:
    """Build both, for sides that are powers of two; 70 pixels a patch, or fewer on small images."""
    channels, size, _ = shape
    halvings = max(n for n in (1, 2, 3) if size // 2**n >= 6 or n == 1)
    return Colouring(channels, base_channels, size), Patches(channels, base_channels, halvings)


class Pairs(Loop):
    """Fakes are made of what is left of the reals without their colours, and judged beside it."""

    def made(self, real: Tensor, labels: Tensor | None, draws: torch.Generator | None) -> Given:
        """Colour the reals anew."""
        weights = real.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
        grey = (weights * real).sum(1, keepdim=True)
        fake = self.G(grey)
        return Given(self.G, self.judge(grey), real, fake, grey, grey, {"samples": fake})

    def loss_of_G(self, given: Given) -> Tensor:
        """Return the adversarial term, and how far fakes are from reals."""
        distance = (given.fake - given.real).abs().mean()
        return super().loss_of_G(given) + self.options["l1_weight"] * distance
