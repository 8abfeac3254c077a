"""Losses scaled for fp16, whose smallest gradients would else be zero."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class LossScale(nn.Module):
    """What the losses of one network are multiplied by, and its gradients divided by.

    It doubles after 2,000 updates without an overflow. A gradient that is not finite halves it and
    leaves the update out: Micikevicius et al. 2018, arXiv:1710.03740, section 3.2, with a scale
    that adapts as torch's own :class:`torch.amp.GradScaler` does. The host never looks at it, so
    that the optimiser must be one that can leave an update out by itself, as torch's fused ones.

    It is a module for the sake of its state, which is part of a checkpoint.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self._scaler = torch.amp.GradScaler(device.type)

    def forward(self, loss: Tensor) -> Tensor:
        """Return a scaled loss."""
        return self._scaler.scale(loss)

    def step(self, optimizer: Optimizer) -> None:
        """Update parameters by scaled gradients, which are then divided by the scale."""
        self._scaler.unscale_(optimizer)
        self._scaler.step(optimizer)
        self._scaler.update()

    def get_extra_state(self) -> Tensor:
        """Return the scale, and the updates since it was last changed."""
        state = self._scaler.state_dict()
        return torch.tensor([state["scale"], state["_growth_tracker"]], dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Take over what :meth:`get_extra_state` gave."""
        scale, updates = state.tolist()
        current = {"scale": scale, "_growth_tracker": int(updates)}
        self._scaler.load_state_dict({**self._scaler.state_dict(), **current})
