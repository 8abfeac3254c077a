"""The least-squares loss (Mao et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Discriminator, Loss, Recipe

if TYPE_CHECKING:
    from torch import Tensor


class LSGAN(Loss):
    r"""Least squares of the logits, instead of cross-entropy.

    .. math::
        L_D = \tfrac12 E[(D(x) - b)^2] + \tfrac12 E[(D(G(z)) - a)^2], \quad
        L_G = \tfrac12 E[(D(G(z)) - c)^2]

    Mao et al. 2017, equation 2; the default is the 0-1 coding of equation 9.
    """

    paper = "Mao et al. 2017, arXiv:1611.04076"
    recipe = Recipe(
        generator_lr=2e-4,
        discriminator_lr=2e-4,
        betas=(0.5, 0.999),
        n_critic=1,
        batch_size=64,
        source="Mao et al. 2017, arXiv:1611.04076, section 4, handwritten characters",
    )

    fake_label: float = Field(default=0.0, description="Label a of fakes, for the discriminator.")
    real_label: float = Field(default=1.0, description="Label b of reals, for the discriminator.")
    generator_label: float = Field(
        default=1.0, description="Label c that the generator wants for fakes."
    )

    def discriminator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return half the mean squared distances of reals and fakes to their labels."""
        return {
            "real": 0.5 * (D(real) - self.real_label).square().mean(),
            "fake": 0.5 * (D(fake) - self.fake_label).square().mean(),
        }

    def generator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return half the mean squared distance of the fakes to the generator's label."""
        return {"adversarial": 0.5 * (D(fake) - self.generator_label).square().mean()}
