"""The gradient penalty between reals and fakes (Gulrajani et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Discriminator, Penalty

if TYPE_CHECKING:
    from torch import Tensor


class GradientPenalty(Penalty):
    r"""Gradient penalty between reals and fakes, for any loss.

    .. math::
        \lambda E[(\|\nabla_{\hat x} D(\hat x)\|_2 - k)^2], \quad
        \hat x = \epsilon x + (1 - \epsilon) G(z)

    where each pair of a real and a fake has its own :math:`\epsilon \sim U[0, 1]`, the norm is
    taken over each sample, and k is the target. One-sided, only norms above the target count. The
    loss ``wgan-gp`` contains it. Gulrajani et al. 2017, equation 3 and section 4.
    """

    paper = "Gulrajani et al. 2017, arXiv:1704.00028"
    independent_samples = True
    second_order = True
    bounds_slope = True

    weight: float = Field(default=10.0, ge=0, description="Weight of the penalty, lambda.")
    target: float = Field(default=1.0, ge=0, description="Norm of the gradient that is wanted.")
    one_sided: bool = Field(
        default=False, description="Whether to penalise only norms above the target."
    )

    def discriminator_terms(
        self, D: Discriminator, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Return the weighted mean squared deviation of the slope's norm from its target."""
        from ganzoo.nn import draw_between, slope_deviation

        between = draw_between(real, fake)
        deviation = slope_deviation(D, between, self.target, one_sided=self.one_sided)
        return {"gradient_penalty": self.weight * deviation}
