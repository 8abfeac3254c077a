"""The relativistic average loss (Jolicoeur-Martineau 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganzoo import Discriminator, Loss, Recipe
from ganzoo_zoo.losses.cross_entropy import softplus

if TYPE_CHECKING:
    from torch import Tensor


class RelativisticAverage(Loss):
    r"""The discriminator judges how much more real a sample is than the others on average (RaSGAN).

    .. math::
        L_D = E[f(D(x) - E[D(G(z))])] + E[f(E[D(x)] - D(G(z)))], \quad
        L_G = E[f(D(G(z)) - E[D(x)])] + E[f(E[D(G(z))] - D(x))]

    with :math:`f(t) = \log(1 + e^{-t})`. Jolicoeur-Martineau 2018; ESRGAN is trained with it
    (Wang et al. 2018, arXiv:1809.00219, equations 1 and 2). The means are those of a batch, or of a
    process's share of it, and over all patches. ``r3gan`` pairs each real with a fake
    instead.

    The recipe is that of the paper's experiments on CIFAR-10 with equally many updates.
    """

    paper = "Jolicoeur-Martineau 2018, arXiv:1807.00734"
    needs_whole_batch = True
    recipe = Recipe(
        generator_lr=2e-4,
        discriminator_lr=2e-4,
        betas=(0.5, 0.999),
        n_critic=1,
        batch_size=32,
        source="Jolicoeur-Martineau 2018, arXiv:1807.00734, CIFAR-10",
    )

    def discriminator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return the cross-entropies of reals and of fakes, each beside the others' mean."""
        return dict(zip(("real", "fake"), _compare(D(real), D(fake)), strict=True))

    def generator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return the loss with the roles of reals and fakes exchanged."""
        above, below = _compare(D(fake), D(real))
        return {"adversarial": above + below}


def _compare(high: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
    """Return the losses of logits that are to lie above, and below, the mean of the others."""
    return softplus(low.mean() - high).mean(), softplus(low - high.mean()).mean()
