"""The hinge loss (Lim and Ye 2017)."""

from __future__ import annotations

from ganzoo import Loss, Recipe


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
