"""Where generated points are pulled: the gradient of the generator's loss at each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor


def find_pull(
    generator_loss: Callable[[Tensor, Tensor], Mapping[str, Tensor]], real: Tensor, fake: Tensor
) -> Tensor | None:
    """Return the negated gradient of the generator's loss at each fake: where the loss falls.

    The loss is a mean over the fakes. The gradient is multiplied by their number, so that it is
    that of a fake's own share and does not depend on how many are looked at.

    Args:
        generator_loss: From reals and fakes ``(N, *shape)`` to the terms of the loss.
        real: Reals ``(N, *shape)``; some losses compare each fake with one.
        fake: Fakes of the same shape, on the same device.

    Returns:
        Gradients of the shape of the fakes, on the CPU; None if the loss does not see these fakes,
        or a gradient is not finite.
    """
    with torch.enable_grad():
        leaf = fake.detach().clone().requires_grad_()
        try:
            terms = list(generator_loss(real, leaf).values())
        except Exception:  # a loss may need a whole batch, and an arrow is not worth a run
            return None
        total = torch.stack(terms).sum() if terms else leaf.new_zeros(())
        if not total.requires_grad:
            return None
        (found,) = torch.autograd.grad(total, leaf, allow_unused=True)
    if found is None or not found.isfinite().all():
        return None
    return -found.cpu() * len(fake)
