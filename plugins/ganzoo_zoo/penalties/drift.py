"""A penalty that keeps logits near 0 (Karras et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Discriminator, Penalty

if TYPE_CHECKING:
    from torch import Tensor


class Drift(Penalty):
    r"""Logits of the reals should stay near 0.

    .. math::
        \epsilon E_x[D(x)^2]

    Karras et al. 2018, appendix A.1. Losses that see differences of logits alone, as Wasserstein's
    does, leave it open where logits are, and they may wander off.
    """

    paper = "Karras et al. 2018, arXiv:1710.10196"

    weight: float = Field(default=0.001, ge=0, description="Weight of the penalty, epsilon.")

    def discriminator_terms(
        self, D: Discriminator, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Return the weighted mean square of the logits of the reals."""
        return {"drift": self.weight * D.recall(real).square().mean()}
