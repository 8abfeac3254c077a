"""Loss scaling for fp16, in which small gradients would become zero."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class LossScale(nn.Module):
    """The factor for the losses of one network, by which its gradients are divided again.

    It doubles after 2,000 updates without an overflow. A gradient that is not finite halves it,
    and the update is skipped: Micikevicius et al. 2018, arXiv:1710.03740, section 3.2, with the
    adaptive scale of :class:`torch.amp.GradScaler`. The host never reads the scale, so the
    optimiser itself must be able to skip an update, as torch's fused ones are.

    It is a module because its state is part of a checkpoint.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self._scaler = torch.amp.GradScaler(device.type)

    def forward(self, loss: Tensor) -> Tensor:
        """Return the scaled loss."""
        return self._scaler.scale(loss)

    def step(self, optimizer: Optimizer) -> None:
        """Divide the gradients by the scale, and update the parameters unless one overflowed."""
        self._scaler.unscale_(optimizer)
        self._scaler.step(optimizer)
        self._scaler.update()

    def get_extra_state(self) -> Tensor:
        """Return the scale, and the number of updates since it last changed."""
        state = self._scaler.state_dict()
        return torch.tensor([state["scale"], state["_growth_tracker"]], dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Restore what :meth:`get_extra_state` returned."""
        scale, updates = state.tolist()
        current = {"scale": scale, "_growth_tracker": int(updates)}
        self._scaler.load_state_dict({**self._scaler.state_dict(), **current})
