"""The Wasserstein loss with a gradient penalty (Gulrajani et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Discriminator, Loss, Recipe

if TYPE_CHECKING:
    from torch import Tensor


class WGANGP(Loss):
    r"""Wasserstein GAN with gradient penalty.

    .. math::
        L_D = E[D(G(z))] - E[D(x)] + \lambda E[(\|\nabla_{\hat x} D(\hat x)\|_2 - 1)^2], \quad
        L_G = -E[D(G(z))]

    where each :math:`\hat x = \epsilon x + (1 - \epsilon) G(z)` has its own
    :math:`\epsilon \sim U[0, 1]`, and the norm is taken over each sample. Gulrajani et al. 2017,
    equation 3 and algorithm 1.
    """

    paper = "Gulrajani et al. 2017, arXiv:1704.00028"
    recipe = Recipe(
        generator_lr=1e-4,
        discriminator_lr=1e-4,
        betas=(0.0, 0.9),
        n_critic=5,
        batch_size=64,
        source="Gulrajani et al. 2017, arXiv:1704.00028, algorithm 1",
    )
    independent_samples = True
    second_order = True
    bounds_slope = True

    gp_weight: float = Field(
        default=10.0, ge=0, description="Weight of the gradient penalty, lambda."
    )

    def discriminator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return minus the estimate of the Wasserstein distance, and the gradient penalty."""
        from ganzoo.nn import draw_between, slope_deviation

        return {
            "wasserstein": D(fake).mean() - D(real).mean(),
            "gradient_penalty": self.gp_weight * slope_deviation(D, draw_between(real, fake)),
        }

    def generator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return minus the mean logit of the fakes."""
        return {"adversarial": -D(fake).mean()}
