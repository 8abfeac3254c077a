"""StyleGAN2's path length, which has an update of its own every 4 updates and remembers a mean."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from ganzoo import DataSpec, Discriminator, Penalty


class TinyPathLength(Penalty):
    """Pulls the lengths of the gradients of w towards their running mean."""

    paper = "Karras et al. 2020, arXiv:1912.04958"
    second_order = True
    needs_generator_parts = ("w",)

    interval: int = Field(default=4, ge=1, description="Updates from one to the next.")
    weight: float = Field(default=2.0, gt=0, description="Weight.")
    decay: float = Field(default=0.01, gt=0, le=1, description="Share of new lengths in the mean.")

    def state(self, data: DataSpec) -> nn.Module:
        """Remember the mean length."""
        state = nn.Module()
        state.register_buffer("mean", torch.zeros(()))
        return state

    def generator_terms(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Measure lengths along random images."""
        noise = torch.randn_like(fake) / fake[0, 0].numel() ** 0.5
        (slope,) = torch.autograd.grad((fake * noise).sum(), D.generated["w"], create_graph=True)
        lengths = slope.flatten(1).norm(dim=1)
        D.observe(length=lengths.mean())
        return {"path": self.weight * (lengths - D.state.mean).square().mean()}

    def remember(self, state: nn.Module, observed: Mapping[str, Tensor]) -> None:
        """Move the mean."""
        state.mean.lerp_(observed["length"], self.decay)

    def fits(self, data: DataSpec) -> bool:
        """Serve images."""
        return data.is_image
