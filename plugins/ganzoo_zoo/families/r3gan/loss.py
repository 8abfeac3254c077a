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

    The paper's recipe has schedules for CIFAR-10, in batches of 512: the learning rate falls from
    2e-4 to 5e-5 and gamma from 0.05 to 0.005, beta 2 rises from 0.9 to 0.99, and the strength of an
    augmentation rises from 0. Here everything is constant and there is no augmentation. Gamma is 1,
    to restrain a discriminator that sees fewer samples.
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
        real, fake = real.detach().requires_grad_(), fake.detach().requires_grad_()
        real_logits, fake_logits = D(real), D(fake)
        return {
            "relativistic": _softplus(fake_logits - real_logits).mean(),
            "r1": self.gamma / 2 * _squared_slope(real_logits, real),
            "r2": self.gamma / 2 * _squared_slope(fake_logits, fake),
        }

    def generator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return the relativistic loss with the roles of reals and fakes exchanged."""
        return {"relativistic": _softplus(D(real) - D(fake)).mean()}


def _softplus(x: Tensor) -> Tensor:
    import torch.nn.functional as F

    return F.softplus(x)


def _squared_slope(logits: Tensor, samples: Tensor) -> Tensor:
    """Return the mean over samples of the squared norm of the logits' gradient."""
    import torch

    each = logits.reshape(len(samples), -1).mean(1)
    (gradient,) = torch.autograd.grad(each.sum(), samples, create_graph=True)
    return gradient.flatten(1).square().sum(1).mean()
