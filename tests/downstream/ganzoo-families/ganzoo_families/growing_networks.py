"""ProGAN's networks in small: three resolutions, each faded into the next."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 2
"""Doublings of the first resolution."""


class Growing(nn.Module):
    """A network that makes or judges images of a level of detail, from 0 to ``LEVELS``."""

    detail = float(LEVELS)

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.start = width, shape[1] >> LEVELS, shape[2] >> LEVELS
        self.blocks = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(LEVELS))


class GrowingGenerator(Growing):
    """Latents ``(N, z_dim)`` -> images ``(N, *shape)``, coarse ones enlarged."""

    def __init__(self, shape: tuple[int, ...], width: int, z_dim: int) -> None:
        super().__init__(shape, width)
        self.stem = nn.Linear(z_dim, math.prod(self.start))
        self.to_image = nn.ModuleList(nn.Conv2d(width, shape[0], 1) for _ in range(LEVELS + 1))

    def forward(self, latents: Tensor) -> Tensor:
        top, x = math.ceil(self.detail), F.leaky_relu(self.stem(latents).view(-1, *self.start), 0.2)
        for block in self.blocks[:top]:
            before, x = x, F.leaky_relu(block(F.interpolate(x, scale_factor=2.0)), 0.2)
        image = self.to_image[top](x)
        if top:
            below = self.to_image[top - 1](F.interpolate(before, scale_factor=2.0))
            image = below.lerp(image, self.detail - top + 1)
        return F.interpolate(image, scale_factor=2.0 ** (LEVELS - top)).tanh()


class GrowingDiscriminator(Growing):
    """Images ``(N, *shape)`` -> logits ``(N,)``, of coarse ones by fewer layers."""

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__(shape, width)
        self.judge = nn.Linear(math.prod(self.start), 1)
        self.from_image = nn.ModuleList(nn.Conv2d(shape[0], width, 1) for _ in range(LEVELS + 1))

    def forward(self, samples: Tensor) -> Tensor:
        top = math.ceil(self.detail)
        image = F.avg_pool2d(samples, 2 ** (LEVELS - top))
        x = F.leaky_relu(self.from_image[top](image), 0.2)
        for level in range(top, 0, -1):
            x = F.avg_pool2d(F.leaky_relu(self.blocks[level - 1](x), 0.2), 2)
            if level == top:
                below = F.leaky_relu(self.from_image[level - 1](F.avg_pool2d(image, 2)), 0.2)
                x = below.lerp(x, self.detail - top + 1)
        return self.judge(x.flatten(1)).flatten()
