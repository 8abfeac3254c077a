"""The non-saturating loss (Goodfellow et al. 2014)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganzoo import Discriminator, Loss, Recipe
from ganzoo_zoo.losses.cross_entropy import cross_entropy, softplus

if TYPE_CHECKING:
    from torch import Tensor


class NonSaturating(Loss):
    r"""Train the generator on ``-log D(G(z))``, the alternative of Goodfellow et al. 2014.

    .. math::
        L_D = -E[\log D(x)] - E[\log(1 - D(G(z)))], \quad L_G = -E[\log D(G(z))]

    with :math:`D = \mathrm{sigmoid}(logit)` (section 3). The paper gives no learning rates, so
    the recipe is that of DCGAN.
    """

    paper = "Goodfellow et al. 2014, arXiv:1406.2661"
    recipe = Recipe(
        generator_lr=2e-4,
        discriminator_lr=2e-4,
        betas=(0.5, 0.999),
        n_critic=1,
        batch_size=128,
        source="Radford et al. 2016, arXiv:1511.06434, section 4",
    )

    def discriminator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return the binary cross-entropy of reals and of fakes."""
        return cross_entropy(D, real, fake)

    def generator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return the mean of ``softplus(-D(fake))``; recognised fakes have the largest gradient."""
        return {"adversarial": softplus(-D(fake)).mean()}
