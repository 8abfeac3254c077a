"""The hinge loss (Lim and Ye 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganzoo import Discriminator, Loss, Recipe

if TYPE_CHECKING:
    from torch import Tensor


class Hinge(Loss):
    r"""The hinge version of the adversarial loss.

    .. math::
        L_D = E[\max(0, 1 - D(x))] + E[\max(0, 1 + D(G(z)))], \quad L_G = -E[D(G(z))]

    Lim and Ye 2017 (arXiv:1705.02894); Miyato et al. 2018, equations 16 and 17.
    """

    paper = "Lim and Ye 2017, arXiv:1705.02894"
    recipe = Recipe(
        generator_lr=2e-4,
        discriminator_lr=2e-4,
        betas=(0.5, 0.999),
        n_critic=1,
        batch_size=64,
        source="Miyato et al. 2018, arXiv:1802.05957, table 1, setting C",
    )

    def discriminator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return the mean hinge loss of the reals, and that of the fakes."""
        return {"real": (1 - D(real)).relu().mean(), "fake": (1 + D(fake)).relu().mean()}

    def generator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return minus the mean logit of the fakes."""
        return {"adversarial": -D(fake).mean()}
