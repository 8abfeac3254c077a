"""The end of a generator whose samples have no bound of their own."""

from __future__ import annotations

from torch import Tensor, nn


class EvaluationClamp(nn.Module):
    """Clamps samples to [-1, 1] in evaluation mode; in training they pass as they are.

    For generators that end in a linear layer, as those of Karras et al. 2018 (arXiv:1710.10196) and
    2020 (arXiv:1912.04958) do: a clamp in training would take the gradient away where it counts.
    """

    def forward(self, samples: Tensor) -> Tensor:
        """Return samples ``(N, *shape)``, clamped unless the network is in training mode."""
        return samples if self.training else samples.clamp(-1, 1)
