"""LeCam's regularisation, which remembers the mean logits of reals and of fakes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from ganzoo import DataSpec, Discriminator, Penalty


class TinyLeCam(Penalty):
    """Keeps logits of reals near the mean of fakes, and those of fakes near that of reals."""

    paper = "Tseng et al. 2021, arXiv:2104.03310"

    weight: float = Field(default=0.3, gt=0, description="Weight.")
    decay: float = Field(default=0.99, ge=0, lt=1, description="Decay of the means in an update.")

    def state(self, data: DataSpec) -> nn.Module:
        """Remember two means."""
        state = nn.Module()
        for name in ("real", "fake"):
            state.register_buffer(name, torch.zeros(()))
        return state

    def discriminator_terms(
        self, D: Discriminator, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Penalise logits beyond the means."""
        of_real, of_fake = D.recall(real), D.recall(fake)
        D.observe(real=of_real.mean(), fake=of_fake.mean())
        beyond = (of_real - D.state.fake).relu().square(), (D.state.real - of_fake).relu().square()
        return {"lecam": self.weight * (beyond[0].mean() + beyond[1].mean())}

    def remember(self, state: nn.Module, observed: Mapping[str, Tensor]) -> None:
        """Move both means."""
        for name, mean in observed.items():
            state.get_buffer(name).lerp_(mean, 1 - self.decay)
