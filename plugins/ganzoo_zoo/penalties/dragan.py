"""DRAGAN: a gradient penalty around the reals (Kodali et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Discriminator, Penalty

if TYPE_CHECKING:
    from torch import Tensor


class DRAGAN(Penalty):
    r"""Gradient penalty around the reals, where fakes play no part.

    .. math::
        \lambda E[(\|\nabla D(x + \delta)\|_2 - k)^2], \quad \delta \sim N(0, c^2 I)

    with the norm taken over each sample. Kodali et al. 2017, equation 1. Its c is 10 of 255 grey
    levels, which is 0.08 for images in [-1, 1].
    """

    paper = "Kodali et al. 2017, arXiv:1705.07215"
    independent_samples = True
    second_order = True
    bounds_slope = True

    weight: float = Field(default=10.0, ge=0, description="Weight of the penalty, lambda.")
    target: float = Field(default=1.0, ge=0, description="Norm of the gradient that is wanted, k.")
    noise_std: float = Field(
        default=0.08, ge=0, description="Standard deviation of the noise on the reals, c."
    )

    def discriminator_terms(
        self, D: Discriminator, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Return the weighted mean squared deviation of the slope's norm from its target."""
        import torch

        from ganzoo.nn import slope_deviation

        around = real + self.noise_std * torch.randn_like(real)
        return {"dragan": self.weight * slope_deviation(D, around, self.target)}
