"""Binary cross-entropy from logits; finite even where a probability's logarithm is not.

With ``softplus(x) = log(1 + exp(x))``, ``-log(sigmoid(x)) = softplus(-x)`` and
``-log(1 - sigmoid(x)) = softplus(x)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo import Discriminator


def softplus(x: Tensor) -> Tensor:
    """Return ``log(1 + exp(x))``, computed without overflow."""
    import torch.nn.functional as F

    return F.softplus(x)


def cross_entropy(D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """Return the cross-entropy of reals, whose label is 1, and of fakes, whose label is 0."""
    return {"real": softplus(-D(real)).mean(), "fake": softplus(D(fake)).mean()}
