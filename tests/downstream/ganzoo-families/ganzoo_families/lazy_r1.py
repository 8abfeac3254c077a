"""StyleGAN2's R1, which has an update of its own every 16 updates."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from ganzoo import Discriminator, Penalty


class LazyR1(Penalty):
    """Half of gamma times the squared slope of the discriminator at the reals."""

    paper = "Mescheder et al. 2018, arXiv:1801.04406"
    second_order = True

    interval: int = Field(default=16, ge=1, description="Updates from one to the next.")
    gamma: float = Field(default=10.0, gt=0, description="Weight, gamma.")

    def discriminator_terms(
        self, D: Discriminator, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Penalise the slope of each sample's mean logit."""
        real = real.detach().requires_grad_()
        logits = D(real).reshape(len(real), -1).mean(1)
        (slope,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
        return {"r1": self.gamma / 2 * slope.square().flatten(1).sum(1).mean()}
