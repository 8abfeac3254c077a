"""R3GAN's loss: relativistic pairing with the gradient penalties R1 and R2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Discriminator, Loss, Recipe

if TYPE_CHECKING:
    from torch import Tensor


class R3GANLoss(Loss):
    r"""Relativistic pairing with zero-centred gradient penalties on reals and fakes.

    .. math::
        L_D = E[f(D(x) - D(G(z)))] + \tfrac{\gamma}{2} E[\|\nabla D(x)\|^2]
        + \tfrac{\gamma}{2} E[\|\nabla D(G(z))\|^2], \quad L_G = E[f(D(G(z)) - D(x))]

    with :math:`f(t) = \log(1 + e^{-t})`, each real paired with a fake, and the norm taken over
    each sample. Huang et al. 2024, section 2 (RpGAN + R1 + R2). The pairing is from
    Jolicoeur-Martineau 2018 (arXiv:1807.00734), and the penalties, here in every step, from
    Mescheder et al. 2018 (arXiv:1801.04406).

    The loss's recipe is constant, and gamma is 1, to restrain a discriminator that sees fewer
    samples than the paper's batches of 512. The paper's schedules for CIFAR-10 are in the recipe of
    the architecture ``r3gan``.
    """

    paper = "Huang et al. 2024, arXiv:2501.05441"
    recipe = Recipe(
        generator_lr=2e-4,
        discriminator_lr=2e-4,
        betas=(0.0, 0.99),
        n_critic=1,
        batch_size=64,
        source="Huang et al. 2024, arXiv:2501.05441, CIFAR-10, without its schedules",
    )
    independent_samples = True
    second_order = True
    bounds_slope = True

    gamma: float = Field(
        default=1.0, ge=0, description="Weight of both penalties; the paper has 0.05 for CIFAR-10."
    )

    def discriminator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return the relativistic loss of paired logits, and both gradient penalties."""
        from ganzoo.nn import mean_squared_slope, track_samples

        real, fake = track_samples(real), track_samples(fake)
        real_logits, fake_logits = D(real), D(fake)
        return {
            "relativistic": _softplus(fake_logits - real_logits).mean(),
            "r1": self.gamma / 2 * mean_squared_slope(real_logits, real),
            "r2": self.gamma / 2 * mean_squared_slope(fake_logits, fake),
        }

    def generator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return the relativistic loss with the roles of reals and fakes exchanged."""
        return {"relativistic": _softplus(D(real) - D(fake)).mean()}


def _softplus(x: Tensor) -> Tensor:
    import torch.nn.functional as F

    return F.softplus(x)
