"""What lies between latents."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

STRAIGHT = 1e-6
"""Sine of the angle between two points below which the way between them is straight."""


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
    straight = sine < STRAIGHT
    left = torch.where(straight, 1 - share, ((1 - share) * angle).sin() / sine)
    done = torch.where(straight, share, (share * angle).sin() / sine)
    return (left * one + done * other).to(start)
