"""Truncation of latents, and interpolation between them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

if TYPE_CHECKING:
    from ganzoo.protocols.latent_parts import LatentPart
    from ganzoo.protocols.outputs import NetworkOutput

MIN_SINE = 1e-6
"""Below this sine of the angle between two points, interpolation is linear."""


class TruncatedLatents(nn.Module):
    """A generator with the truncation trick: latents are moved towards the middle.

    Normal numbers move as :func:`truncate_normal` says, uniform ones as :func:`truncate_uniform`
    says, and categories stay.

    Args:
        generator: Maps latents ``(N, D)``, and labels if any, to samples.
        parts: The parts of a latent.
        truncation: The bound, above 0.
    """

    def __init__(
        self, generator: nn.Module, parts: Sequence[LatentPart], truncation: float
    ) -> None:
        super().__init__()
        self.generator = generator
        self.parts = tuple(parts)
        self.truncation = truncation

    def forward(self, latents: Tensor, *labels: Tensor) -> NetworkOutput:
        """Generate samples from truncated latents."""
        return self.generator(self.truncate(latents), *labels)

    def truncate(self, latents: Tensor) -> Tensor:
        """Return latents of the same shape, moved towards the middle."""
        return _join(
            TRUNCATE[part.distribution](piece, self.truncation)
            for part, piece in _split(self.parts, latents)
        )


def truncate_normal(latents: Tensor, truncation: float) -> Tensor:
    """Move standard-normal latents into ``[-truncation, truncation]``.

    They then follow a truncated normal distribution, as in Brock et al. 2019, arXiv:1809.11096,
    section 3.1, who resample values outside the bound. Here each value moves to the same quantile
    of the truncated distribution instead, so that the same latents give a similar sample at any
    truncation.

    Args:
        latents: Standard-normal numbers of any shape.
        truncation: The bound, above 0.
    """
    # On the CPU, as some devices have no float64.
    sizes = latents.to("cpu", torch.float64).abs()
    cut = _share_above(torch.tensor(truncation, dtype=torch.float64))
    shares = cut + _share_above(sizes) * (1 - 2 * cut)
    # A share that underflows to 0 has no finite quantile; the bounds below replace it.
    moved = -torch.special.ndtri(shares)
    moved = moved.clamp(min=0).minimum(sizes.clamp(max=truncation))
    return moved.to(latents).copysign(latents)


def truncate_uniform(latents: Tensor, truncation: float) -> Tensor:
    """Move latents that are uniform from -1 to 1 into ``[-truncation, truncation]``.

    Each value moves to the same quantile of a uniform distribution there; from 1 on, nothing
    changes.

    Args:
        latents: Numbers of any shape, from -1 to 1.
        truncation: The bound, above 0.
    """
    return latents * min(truncation, 1.0)


def _share_above(numbers: Tensor) -> Tensor:
    # torch.special.ndtr is wrong from 8 on, where it takes a difference to 1.
    return torch.special.erfc(numbers / math.sqrt(2)) / 2


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Interpolate between points on the sphere, row by row.

    Spherical linear interpolation (Shoemake 1985, doi:10.1145/325334.325242) suits latents (White
    2016, arXiv:1609.04468): standard-normal vectors of many dimensions have about the same norm,
    and so do the results, whereas linear interpolation passes through norms that hardly occur.
    Rows that point in the same or in opposite directions are interpolated linearly.

    Args:
        start: Points ``(N, D)``.
        end: Points of the same shape.
        share: From 0, which returns ``start``, to 1, which returns ``end``.

    Returns:
        Points of the same shape, type and device as ``start``.
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


def slerp_uniform(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Interpolate between latents that are uniform from -1 to 1; what lies between is so, too.

    Each value moves to the same quantile of the standard normal distribution, where the points are
    interpolated on the sphere, and back (Agustsson et al. 2019, arXiv:1711.01970).

    Args:
        start: Points ``(N, D)`` in [-1, 1].
        end: Points of the same shape.
        share: From 0, which returns ``start``, to 1, which returns ``end``.

    Returns:
        Points of the same shape, type and device as ``start``.
    """
    if share in (0, 1):
        return end if share else start
    below_one = 1 - 2**-25  # 1 and -1 have no finite quantile
    one, other = (
        torch.special.ndtri((points.double().clamp(-below_one, below_one) + 1) / 2)
        for points in (start, end)
    )
    return torch.special.erf(slerp(one, other, share) / math.sqrt(2)).to(start)


def interpolate_parts(
    parts: Sequence[LatentPart], start: Tensor, end: Tensor, share: float
) -> Tensor:
    """Interpolate between latents, each part in its own way, so that each follows its distribution.

    Normal numbers move as :func:`slerp` says and uniform ones as :func:`slerp_uniform` says. A
    category changes half-way, at once: what lies between two is none.

    Args:
        parts: The parts of a latent.
        start: Latents ``(N, D)``.
        end: Latents of the same shape.
        share: From 0, which returns ``start``, to 1, which returns ``end``.
    """
    pairs = zip(_split(parts, start), _split(parts, end), strict=True)
    return _join(
        INTERPOLATE[part.distribution](one, other, share) for (part, one), (_, other) in pairs
    )


def _step(start: Tensor, end: Tensor, share: float) -> Tensor:
    return start if share < 0.5 else end


def _keep(latents: Tensor, truncation: float) -> Tensor:
    return latents


def _split(parts: Sequence[LatentPart], latents: Tensor) -> Iterator[tuple[LatentPart, Tensor]]:
    pieces = latents.split([part.size for part in parts], dim=1)
    return zip(parts, pieces, strict=True)


def _join(pieces: Iterable[Tensor]) -> Tensor:
    found = list(pieces)
    return found[0] if len(found) == 1 else torch.cat(found, dim=1)


TRUNCATE = {"normal": truncate_normal, "uniform": truncate_uniform, "category": _keep}
"""How latents of a distribution are truncated."""
INTERPOLATE = {"normal": slerp, "uniform": slerp_uniform, "category": _step}
"""What lies between two latents of a distribution."""
