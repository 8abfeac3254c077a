"""zCR: latents near to each other, told apart by the generator and not by the discriminator."""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor

from ganzoo import Discriminator, Penalty


class TinyZCR(Penalty):
    """Latent consistency of both networks."""

    paper = "Zhao et al. 2021, arXiv:2002.04724"

    spread: float = Field(default=0.1, gt=0, description="Deviation of the noise on latents.")
    discriminator_weight: float = Field(default=5.0, ge=0, description="Weight of equal logits.")
    generator_weight: float = Field(default=0.5, ge=0, description="Weight of different samples.")

    def discriminator_terms(
        self, D: Discriminator, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Penalise a difference of logits."""
        apart = D.recall(fake) - D(self.make_near(D))
        return {"zcr": self.discriminator_weight * apart.square().mean()}

    def generator_terms(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Reward a difference of samples."""
        apart = fake - self.make_near(D)
        return {"zcr": -self.generator_weight * apart.square().mean()}

    def make_near(self, D: Discriminator) -> Tensor:
        """Generate samples of latents near those of the fakes."""
        given = D.inputs.given
        near = given + self.spread * torch.randn_like(given)
        return D.generate(replace(D.inputs, given=near))["samples"]
