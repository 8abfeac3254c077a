"""Odena et al. 2017, table 2, and Chen et al. 2016, appendix C.1: heads beside the logits."""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plain import halvings
from plain.loops import Loop

Shape = tuple[int, int, int]
Pair = tuple[nn.Module, nn.Module]


class Told(nn.Module):
    """A generator that gets the class as one of so many beside z."""

    def __init__(self, layers: list[nn.Module], classes: int) -> None:
        super().__init__()
        self.main, self.classes = nn.Sequential(*layers), classes

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return images of the classes."""
        return self.main(torch.cat((z, F.one_hot(labels, self.classes).to(z.dtype)), 1))


class Heads(nn.Module):
    """A discriminator with a second head, which does not look at labels."""

    def __init__(self, main: list[nn.Module], first: nn.Module, second: nn.Module, name: str):
        super().__init__()
        self.main, self.first, self.second = nn.Sequential(*main), first, second
        self.name = name

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Return what both heads say."""
        h = self.main(x)
        return {"logits": self.first(h).view(-1), self.name: self.second(h)}


def acgan(
    shape: Shape,
    *,
    z_dim: int,
    base_channels: int,
    discriminator_channels: int,
    dropout: float,
    classes: int,
    **_: Any,
) -> Pair:
    """Odena et al. 2017, table 2."""
    channels, size, _ = shape
    times = halvings(size)
    widths = [base_channels * min(2**i, 8) for i in range(times)][::-1]
    up: list[nn.Module] = [
        nn.Linear(z_dim + classes, widths[0] * 16),
        nn.ReLU(True),
        nn.Unflatten(1, (widths[0], 4, 4)),
    ]
    for before, after in itertools.pairwise(widths):
        up += [
            nn.ConvTranspose2d(before, after, 5, 2, 2, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(True),
        ]
    up += [nn.ConvTranspose2d(widths[-1], channels, 5, 2, 2, 1), nn.Tanh()]
    depths = [discriminator_channels * min(2**i, 32) for i in range(2 * times)]
    down: list[nn.Module] = []
    for i, (before, after) in enumerate(itertools.pairwise([channels, *depths])):
        down += [
            nn.Conv2d(before, after, 3, 1 if i % 2 else 2, 1, bias=i == 0),
            nn.BatchNorm2d(after) if i else nn.Identity(),
            nn.LeakyReLU(0.2, True),
            nn.Dropout(dropout),
        ]
    last = depths[-1] * 16
    heads = nn.Linear(last, 1), nn.Linear(last, classes)
    return Told(up, classes), Heads([*down, nn.Flatten()], *heads, "classes")


def infogan(
    shape: Shape,
    *,
    z_dim: int,
    categories: int,
    codes: int,
    base_channels: int,
    dense: int,
    **_: Any,
) -> Pair:
    """Chen et al. 2016, appendix C.1."""
    channels, size, _ = shape
    widths = [base_channels * 2**i for i in range(halvings(size))]
    last = widths[-1] * 16

    def full(before: int, after: int, act: nn.Module) -> list[nn.Module]:
        return [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), act]

    up = [
        *full(z_dim + categories + codes, dense, nn.ReLU(True)),
        *full(dense, last, nn.ReLU(True)),
        nn.Unflatten(1, (widths[-1], 4, 4)),
    ]
    for before, after in itertools.pairwise(widths[::-1]):
        up += [
            nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(True),
        ]
    up += [nn.ConvTranspose2d(widths[0], channels, 4, 2, 1), nn.Tanh()]
    down: list[nn.Module] = [nn.Conv2d(channels, widths[0], 4, 2, 1), nn.LeakyReLU(0.1, True)]
    for before, after in itertools.pairwise(widths):
        down += [
            nn.Conv2d(before, after, 4, 2, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.LeakyReLU(0.1, True),
        ]
    down += [nn.Flatten(), *full(last, dense, nn.LeakyReLU(0.1, True))]
    q = [*full(dense, 128, nn.LeakyReLU(0.1, True)), nn.Linear(128, categories + codes)]
    return nn.Sequential(*up), Heads(down, nn.Linear(dense, 1), nn.Sequential(*q), "codes")


class Coded(Loop):
    """Chen et al. 2016: latents of noise, a category and numbers."""

    def latents(self, count: int, draws: torch.Generator | None) -> Tensor:
        """Draw latents: z, one of the categories, and each number from -1 to 1."""
        given = {"generator": draws, "device": self.device}
        z = torch.randn(count, self.options["z_dim"], **given)
        kinds = self.options["categories"]
        kind = F.one_hot(torch.randint(kinds, (count,), **given), kinds).to(z.dtype)
        numbers = [2 * torch.rand(count, 1, **given) - 1 for _ in range(self.options["codes"])]
        return torch.cat([z, kind, *numbers], 1)
