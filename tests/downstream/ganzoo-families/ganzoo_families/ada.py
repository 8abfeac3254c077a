"""ADA: how often samples are augmented follows how sure the discriminator is of its reals."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from ganzoo import AdaptiveAugmentation, DataSpec, Progress


class TinyADA(AdaptiveAugmentation):
    """Mirrors and brightens images, each with a probability that adapts."""

    paper = "Karras et al. 2020, arXiv:2006.06676"

    target: float = Field(default=0.6, gt=-1, lt=1, description="Wanted mean sign of real logits.")
    speed: float = Field(default=500_000, gt=0, description="Images for a probability of 0 to 1.")

    def state(self, data: DataSpec) -> nn.Module:
        """Remember the probability."""
        state = nn.Module()
        state.register_buffer("p", torch.zeros(()))
        return state

    def augment(self, samples: Tensor, state: nn.Module) -> Tensor:
        """Change each image, or not."""
        chance = torch.rand(2, len(samples), 1, 1, 1, device=samples.device)
        bright = torch.randn(len(samples), 1, 1, 1, device=samples.device)
        samples = torch.where(chance[0] < state.p / 2, samples.flip(3), samples)
        return torch.where(chance[1] < state.p, samples + 0.2 * bright, samples)

    def observe(self, state: nn.Module, logits: Tensor, progress: Progress) -> None:
        """Raise the probability if the discriminator is too sure, or lower it."""
        towards = (logits.sign().mean() - self.target).sign()
        state.p.add_(towards * len(logits) / self.speed).clamp_(0, 1)
