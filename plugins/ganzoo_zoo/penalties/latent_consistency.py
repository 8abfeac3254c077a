"""Latent consistency regularisation, zCR (Zhao et al. 2020)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Discriminator, Penalty

if TYPE_CHECKING:
    from torch import Tensor


class LatentConsistency(Penalty):
    r"""A small change of a latent must change the fake, and not its logit (zCR).

    .. math::
        R_D = \lambda_{dis} E[(D(G(z)) - D(G(z + \Delta)))^2], \quad
        R_G = -\lambda_{gen} E[(G(z) - G(z + \Delta))^2], \quad \Delta \sim N(0, \sigma^2 I)

    with the mean over all numbers of a sample, as in the code of Karras et al. 2020
    (arXiv:2006.06676). Zhao et al. 2020, algorithm 2, for generators that start from noise. It
    takes a pass of the generator more in each update.
    """

    paper = "Zhao et al. 2020, arXiv:2002.04724"

    sigma: float = Field(
        default=0.03, gt=0, description="Standard deviation of a latent's change, sigma."
    )
    discriminator_weight: float = Field(
        default=5.0, ge=0, description="Weight of the change of logits, lambda_dis."
    )
    generator_weight: float = Field(
        default=0.5, ge=0, description="Weight of the change of fakes, lambda_gen."
    )

    def discriminator_terms(
        self, D: Discriminator, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Return the weighted mean squared change of the fakes' logits."""
        change = D.recall(fake) - D(self._generate_near(D))
        return {"latent_consistency": self.discriminator_weight * change.square().mean()}

    def generator_terms(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return minus the weighted mean squared change of the fakes."""
        change = fake - self._generate_near(D)
        return {"latent_diversity": -self.generator_weight * change.square().mean()}

    def _generate_near(self, D: Discriminator) -> Tensor:
        """Return the fakes of latents near those of the batch."""
        import torch

        given = D.inputs.given
        near = given + self.sigma * torch.randn_like(given)
        return D.pack(D.generate(replace(D.inputs, given=near)))
