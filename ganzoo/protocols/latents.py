"""Samples of less variety and more quality, from latents that lie nearer to the middle."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

MIN_SINE = 1e-6
"""Sine of the angle between two points below which the way between them is straight."""


class TruncatedNormal(nn.Module):
    """A generator whose standard-normal latents are moved into ``[-truncation, truncation]``.

    They come to follow the truncated normal distribution, as by the truncation trick of Brock et
    al. 2019, arXiv:1809.11096, section 3.1, which draws anew what falls outside. Each number is
    moved on its own, to where as much of the truncated distribution lies below it as of the whole
    one lay before: the same latents give a sample that can be recognised at any truncation.

    Args:
        generator: From latents ``(N, z_dim)``, and what else it takes, to samples.
        truncation: The bound, a number above 0.
    """

    def __init__(self, generator: nn.Module, truncation: float) -> None:
        super().__init__()
        self.generator = generator
        self.truncation = truncation

    def forward(self, latents: Tensor, *labels: Tensor) -> Tensor:
        """Return the generator's samples of truncated latents."""
        return self.generator(self.truncate(latents), *labels)

    def truncate(self, latents: Tensor) -> Tensor:
        """Return latents of the same shape in ``[-truncation, truncation]``."""
        # On the CPU, as some devices have no float64.
        sizes = latents.to("cpu", torch.float64).abs()
        cut = _share_above(torch.tensor(self.truncation, dtype=torch.float64))
        shares = cut + _share_above(sizes) * (1 - 2 * cut)
        # Of a share that is too small for a number no latent can be told.
        moved = -torch.special.ndtri(shares)
        moved = moved.clamp(min=0).minimum(sizes.clamp(max=self.truncation))
        return moved.to(latents).copysign(latents)


def _share_above(numbers: Tensor) -> Tensor:
    # torch.special.ndtr is wrong from 8 on, where it takes a difference to 1.
    return torch.special.erfc(numbers / math.sqrt(2)) / 2


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Return points on the way from some to others round the sphere, row by row.

    Spherical linear interpolation (Shoemake 1985, doi:10.1145/325334.325242) for latents (White
    2016, arXiv:1609.04468): of standard-normal ones of many dimensions, each lies about as far from
    0 as they do, where a straight way would lead through a middle in which no latent is drawn.
    Where two rows point the same way, or opposite ones, the way is straight.

    Args:
        start: Points ``(N, D)``.
        end: As many others.
        share: How much of the way lies behind, from 0, which gives ``start``, to 1.
    """
    one, other = start.double(), end.double()
    ahead, aside = (normalize(points, dim=1) for points in (one, other))
    near = torch.linalg.vector_norm(ahead - aside, dim=1, keepdim=True)
    far = torch.linalg.vector_norm(ahead + aside, dim=1, keepdim=True)
    angle = 2 * torch.atan2(near, far)  # the arc cosine loses digits where it is small
    sine = angle.sin()
    straight = sine < MIN_SINE
    left = torch.where(straight, 1 - share, ((1 - share) * angle).sin() / sine)
    done = torch.where(straight, share, (share * angle).sin() / sine)
    return (left * one + done * other).to(start)
