"""The losses of the classic papers, computed from logits.

Everything is written with softplus, ``softplus(x) = log(1 + exp(x))``, because
``-log(sigmoid(x)) = softplus(-x)`` and ``-log(1 - sigmoid(x)) = softplus(x)`` stay finite where
the logarithm of a probability does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Loss, Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn


def softplus(x: Tensor) -> Tensor:
    """Return ``log(1 + exp(x))``, which is finite wherever ``x`` is."""
    import torch.nn.functional as F

    return F.softplus(x)


class NonSaturating(Loss):
    r"""Train the generator on ``-log D(G(z))``, the alternative of Goodfellow et al. 2014.

    .. math::
        L_D = -E[\log D(x)] - E[\log(1 - D(G(z)))], \quad L_G = -E[\log D(G(z))]

    with :math:`D = \mathrm{sigmoid}(logit)` (section 3). The paper gives no learning rates; the
    recipe is that of Radford et al. 2016 (section 4).
    """

    paper = "Goodfellow et al. 2014, arXiv:1406.2661"
    recipe = Recipe(generator_lr=2e-4, discriminator_lr=2e-4, betas=(0.5, 0.999), n_critic=1)

    def discriminator_loss(self, D, real, fake):
        """Binary cross-entropy of both classes."""
        return _cross_entropy(D, real, fake)

    def generator_loss(self, D, real, fake):
        """``softplus(-D(fake))``: its gradient is strongest where fakes are told apart."""
        return {"adversarial": softplus(-D(fake)).mean()}


class Minimax(Loss):
    r"""Train the generator on ``log(1 - D(G(z)))``, the minimax game of Goodfellow et al. 2014.

    .. math::
        \min_G \max_D E[\log D(x)] + E[\log(1 - D(G(z)))]

    (equation 1). It saturates: where the discriminator is sure of a fake, the generator's
    gradient vanishes. The paper gives no learning rates; the recipe is that of Radford et al.
    2016 (section 4).
    """

    paper = "Goodfellow et al. 2014, arXiv:1406.2661"
    recipe = Recipe(generator_lr=2e-4, discriminator_lr=2e-4, betas=(0.5, 0.999), n_critic=1)

    def discriminator_loss(self, D, real, fake):
        """Binary cross-entropy of both classes."""
        return _cross_entropy(D, real, fake)

    def generator_loss(self, D, real, fake):
        """``-softplus(D(fake))``, which is ``log(1 - sigmoid(D(fake)))``."""
        return {"adversarial": -softplus(D(fake)).mean()}


class LSGAN(Loss):
    r"""Least squares in place of cross-entropy, on the logits themselves.

    .. math::
        L_D = \tfrac12 E[(D(x) - b)^2] + \tfrac12 E[(D(G(z)) - a)^2], \quad
        L_G = \tfrac12 E[(D(G(z)) - c)^2]

    Mao et al. 2017, equation 2, with the 0-1 coding of equation 9 as the default. Recipe of its
    section 4 for handwritten characters.
    """

    paper = "Mao et al. 2017, arXiv:1611.04076"
    recipe = Recipe(generator_lr=2e-4, discriminator_lr=2e-4, betas=(0.5, 0.999), n_critic=1)

    fake_label: float = Field(0.0, description="Label a of fakes, for the discriminator.")
    real_label: float = Field(1.0, description="Label b of reals, for the discriminator.")
    generator_label: float = Field(1.0, description="Label c that the generator wants for fakes.")

    def discriminator_loss(self, D, real, fake):
        """Half the squared distance of each class to its label."""
        return {
            "real": 0.5 * (D(real) - self.real_label).square().mean(),
            "fake": 0.5 * (D(fake) - self.fake_label).square().mean(),
        }

    def generator_loss(self, D, real, fake):
        """Half the squared distance of the fakes to the generator's label."""
        return {"adversarial": 0.5 * (D(fake) - self.generator_label).square().mean()}


class Hinge(Loss):
    r"""The hinge version of the adversarial loss.

    .. math::
        L_D = E[\max(0, 1 - D(x))] + E[\max(0, 1 + D(G(z)))], \quad L_G = -E[D(G(z))]

    Lim and Ye 2017 (arXiv:1705.02894); Miyato et al. 2018, equations 16 and 17, whose setting C
    (table 1) is the recipe.
    """

    paper = "Lim and Ye 2017, arXiv:1705.02894"
    recipe = Recipe(generator_lr=2e-4, discriminator_lr=2e-4, betas=(0.5, 0.999), n_critic=1)

    def discriminator_loss(self, D, real, fake):
        """Margins of both classes."""
        return {"real": (1 - D(real)).relu().mean(), "fake": (1 + D(fake)).relu().mean()}

    def generator_loss(self, D, real, fake):
        """Minus the mean logit of the fakes."""
        return {"adversarial": -D(fake).mean()}


class WGAN(Loss):
    r"""Wasserstein GAN with weight clipping.

    .. math::
        L_D = E[D(G(z))] - E[D(x)], \quad L_G = -E[D(G(z))]

    with each of the critic's parameters clipped to ``[-clip, clip]`` after each of its updates.
    Arjovsky et al. 2017, algorithm 1, and its recipe: RMSProp, learning rate 5e-5, 5 critic steps.
    """

    paper = "Arjovsky et al. 2017, arXiv:1701.07875"
    recipe = Recipe(optimizer="rmsprop", generator_lr=5e-5, discriminator_lr=5e-5, n_critic=5)
    bounds_slope = True

    clip: float = Field(0.01, gt=0, le=1e6, description="Bound on each of the critic's parameters.")

    def discriminator_loss(self, D, real, fake):
        """Minus the estimate of the Wasserstein distance."""
        return {"wasserstein": D(fake).mean() - D(real).mean()}

    def generator_loss(self, D, real, fake):
        """Minus the mean logit of the fakes."""
        return {"adversarial": -D(fake).mean()}

    def constrain(self, discriminator: nn.Module) -> None:
        """Clip every parameter of the critic."""
        for parameter in discriminator.parameters():
            parameter.detach().clamp_(-self.clip, self.clip)


class WGANGP(Loss):
    r"""Wasserstein GAN with gradient penalty.

    .. math::
        L_D = E[D(G(z))] - E[D(x)] + \lambda E[(\|\nabla_{\hat x} D(\hat x)\|_2 - 1)^2], \quad
        L_G = -E[D(G(z))]

    where each :math:`\hat x = \epsilon x + (1 - \epsilon) G(z)` has its own
    :math:`\epsilon \sim U[0, 1]`, and the norm is taken over each sample. Gulrajani et al. 2017,
    equation 3 and algorithm 1, and its recipe: Adam, learning rate 1e-4, betas 0 and 0.9, 5 critic
    steps.
    """

    paper = "Gulrajani et al. 2017, arXiv:1704.00028"
    recipe = Recipe(generator_lr=1e-4, discriminator_lr=1e-4, betas=(0.0, 0.9), n_critic=5)
    independent_samples = True
    second_order = True
    bounds_slope = True

    gp_weight: float = Field(10.0, ge=0, description="Weight of the gradient penalty, lambda.")

    def discriminator_loss(self, D, real, fake):
        """Minus the estimate of the Wasserstein distance, and the penalty."""
        return {
            "wasserstein": D(fake).mean() - D(real).mean(),
            "gradient_penalty": self.gp_weight * _gradient_penalty(D, real, fake),
        }

    def generator_loss(self, D, real, fake):
        """Minus the mean logit of the fakes."""
        return {"adversarial": -D(fake).mean()}


def _cross_entropy(D, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    return {"real": softplus(-D(real)).mean(), "fake": softplus(D(fake)).mean()}


def _gradient_penalty(D, real: Tensor, fake: Tensor) -> Tensor:
    import torch

    weight = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device, dtype=real.dtype)
    between = torch.lerp(fake.detach(), real.detach(), weight).requires_grad_()
    each = D(between).reshape(len(between), -1).mean(1)
    (gradient,) = torch.autograd.grad(each.sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()
