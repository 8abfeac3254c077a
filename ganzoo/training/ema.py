"""The exponential moving average of the generator's weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

if TYPE_CHECKING:
    pass


class MovingAverage(AveragedModel):
    """A generator whose weights follow another's by a decay that is known on the host.

    torch's own update sends its counter to the device, for which the host would wait.

    Args:
        generator: What it begins as a copy of.
        decay: Gives the share that is kept at an update; the first takes all over.
    """

    def __init__(self, generator: nn.Module, decay: Callable[[], float]) -> None:
        super().__init__(generator)
        self._decay = decay
        # Listed once: to walk through the modules takes as long as some small updates.
        self._mine, self._theirs = (
            (list(each.parameters()), list(each.buffers())) for each in (self.module, generator)
        )

    @torch.no_grad()
    def update(self) -> None:
        """Move the weights towards the generator's, and copy its buffers."""
        (mine, my_buffers), (theirs, their_buffers) = self._mine, self._theirs
        if self.n_averaged:
            get_ema_multi_avg_fn(self._decay())(mine, theirs, self.n_averaged)
            mine, theirs = [], []
        for kept, given in zip([*mine, *my_buffers], [*theirs, *their_buffers], strict=True):
            kept.copy_(given)
        self.n_averaged += 1
