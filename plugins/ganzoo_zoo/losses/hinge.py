"""The hinge loss (Lim and Ye 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Discriminator, Loss, Recipe

if TYPE_CHECKING:
    from torch import Tensor


class Hinge(Loss):
    r"""The hinge version of the adversarial loss.

    .. math::
        L_D = E[\max(0, 1 - D(x))] + E[\max(0, 1 + D(G(z)))], \quad L_G = -E[D(G(z))]

    Lim and Ye 2017 (arXiv:1705.02894); Miyato et al. 2018, equations 16 and 17. With ``jitter`` the
    discriminator's margins are random, so that it is less sure of few reals.
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

    jitter: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="How far the margin of a logit, which is 1, may fall: it is drawn for each "
        "logit anew, from 1 - jitter to 1. Liu et al. 2021 (arXiv:2101.04775) have 0.2.",
    )

    def discriminator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return the mean hinge loss of the reals, and that of the fakes."""
        real_logits, fake_logits = D(real), D(fake)
        return {
            "real": (self._draw_margins(real_logits) - real_logits).relu().mean(),
            "fake": (self._draw_margins(fake_logits) + fake_logits).relu().mean(),
        }

    def _draw_margins(self, logits: Tensor) -> Tensor | float:
        import torch

        return 1 - self.jitter * torch.rand_like(logits) if self.jitter else 1

    def generator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return minus the mean logit of the fakes."""
        return {"adversarial": -D(fake).mean()}
