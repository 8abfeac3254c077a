"""LeCam: logits are kept near running means of the other side's (Tseng et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import DataSpec, Discriminator, Penalty

if TYPE_CHECKING:
    from torch import Tensor, nn


class LeCam(Penalty):
    r"""Keeps the logits of reals near the usual ones of fakes, and the other way round.

    .. math::
        \lambda \left( E[\max(0, D(x) - \alpha_F)^2] + E[\max(0, \alpha_R - D(G(z)))^2] \right)

    where :math:`\alpha_R` and :math:`\alpha_F` are moving averages of the mean logits of reals and
    of fakes up to the update before. For small data, and losses that are bounded from below, such
    as ``hinge`` and ``non-saturating``. Tseng et al. 2021, equation 4; that only these sides count
    is in the authors' code alone. As there, the averages follow the last logits until the penalty
    begins, which is by default at once; for BigGAN it begins after 1000 steps. A discriminator with
    large logits needs a weight of 1e-6 or less, as the authors' StyleGAN2 does.
    """

    paper = "Tseng et al. 2021, arXiv:2104.03310"

    weight: float = Field(default=0.3, ge=0, description="Weight of the penalty, lambda.")
    decay: float = Field(
        default=0.99, ge=0, lt=1, description="Share of an average that stays in an update."
    )
    start_images: int = Field(
        default=0, ge=0, description="Images that the discriminator sees before the penalty begins."
    )

    def state(self, data: DataSpec) -> nn.Module:
        """Build the averages of the logits of reals and of fakes."""
        import torch
        from torch import nn

        averages = nn.Module()
        averages.register_buffer("real", torch.zeros(()))
        averages.register_buffer("fake", torch.zeros(()))
        return averages

    def remember(self, state: nn.Module, observed: Mapping[str, Tensor]) -> None:
        """Move the averages towards the logits of the update."""
        for name in ("real", "fake"):
            state.get_buffer(name).lerp_(observed[name], 1 - observed["kept"])

    def discriminator_terms(
        self, D: Discriminator, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Return the weighted mean squares of how far logits lie on their own side."""
        assert D.state is not None, "state() builds it"
        averages, real_logits, fake_logits = D.state, D.recall(real), D.recall(fake)
        has_begun = D.progress.images > self.start_images
        D.observe(
            real=real_logits.mean(),
            fake=fake_logits.mean(),
            kept=real_logits.new_full((), self.decay if has_begun else 0.0),
        )
        above = (real_logits - averages.get_buffer("fake")).relu()
        below = (averages.get_buffer("real") - fake_logits).relu()
        weight = self.weight if has_begun else 0.0
        return {"lecam": weight * (above.square().mean() + below.square().mean())}
