"""Binary cross-entropy from logits, which stays finite where a probability's logarithm does not.

With ``softplus(x) = log(1 + exp(x))``, ``-log(sigmoid(x)) = softplus(-x)`` and
``-log(1 - sigmoid(x)) = softplus(x)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def softplus(x: Tensor) -> Tensor:
    """Return ``log(1 + exp(x))``, which is finite wherever ``x`` is."""
    import torch.nn.functional as F

    return F.softplus(x)


def cross_entropy(D, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """Return the loss of a discriminator for which reals are 1 and fakes 0, by class."""
    return {"real": softplus(-D(real)).mean(), "fake": softplus(D(fake)).mean()}
