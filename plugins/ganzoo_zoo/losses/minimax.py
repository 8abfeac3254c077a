"""The minimax loss (Goodfellow et al. 2014)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganzoo import Discriminator, Loss, Recipe
from ganzoo_zoo.losses.cross_entropy import cross_entropy, softplus

if TYPE_CHECKING:
    from torch import Tensor


class Minimax(Loss):
    r"""Train the generator on ``log(1 - D(G(z)))``, the minimax game of Goodfellow et al. 2014.

    .. math::
        \min_G \max_D E[\log D(x)] + E[\log(1 - D(G(z)))]

    (equation 1). It saturates: where the discriminator recognises a fake, the generator's gradient
    vanishes. The paper gives no learning rates, so the recipe is that of DCGAN.
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
        """Return the mean of ``log(1 - sigmoid(D(fake)))``, which is ``-softplus(D(fake))``."""
        return {"adversarial": -softplus(D(fake)).mean()}
