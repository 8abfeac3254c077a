"""Averaging of gradients over the processes, and of two signs that travel with them."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ganzoo.errors import GanzooError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ganzoo.distributed.collectives import Collectives

LAG = 2
"""Steps after which the signs are read from a GPU: by then they are there, and nobody waits."""
HASH_PRIMES = 4093, 4091
"""Small primes: sums of remainders stay exact in float32."""


class GradientAverager:
    """Averages gradients by one exchange, which carries two signs as well.

    One is whether a process was asked to stop. It travels with the gradients because all processes
    must stop after the same step, and on GPUs nobody may wait to agree on one. The other is a hash
    of which parameters have gradients: processes that differ in these would average gradients of
    different parameters, and no library would tell. The length of the exchange depends on neither,
    so that a difference cannot hang it.
    """

    def __init__(self, collectives: Collectives, world: int) -> None:
        self._collectives = collectives
        self._world = world
        self._signs: dict[tuple[float, ...], Tensor] = {}
        self._steps: deque[list[tuple[Tensor, torch.cuda.Event, tuple[float, ...]]]] = deque([[]])
        """What was sent in this step, the last one, and in earlier ones; on a GPU alone."""
        self._stop = False

    def average(self, parameters: Iterable[nn.Parameter], asked_to_stop: bool) -> None:
        """Replace gradients by their means over the processes.

        Raises:
            GanzooError: the processes have gradients of different parameters.
        """
        import torch

        learning = [each for each in parameters if each.requires_grad]
        present = tuple(each.grad is not None for each in learning)
        parts = [
            each.new_zeros(each.numel()) if each.grad is None else each.grad.reshape(-1)
            for each in learning
        ]
        known = zlib.crc32(bytes(present))
        hashes = tuple(float(known % prime) for prime in HASH_PRIMES)
        signs = self._build_signs((float(asked_to_stop), *hashes))
        flat = torch.cat([*parts, signs])
        self._collectives.all_reduce(flat)
        *means, signs = flat.div_(self._world).split([*map(len, parts), len(signs)])
        for each, mean in zip(learning, means, strict=True):
            if each.grad is not None:
                each.grad.copy_(mean.view_as(each.grad))
        if signs.is_cuda:
            self._fetch_signs(signs, hashes)
        else:
            self._read_signs(signs, hashes)

    def should_stop(self) -> bool:
        """Tell whether a process was asked to stop in this step, or on a GPU in an earlier one."""
        if self._collectives.device.type == "cuda":
            self._steps.append([])
            if len(self._steps) > LAG + 1:
                for signs, event, hashes in self._steps.popleft():
                    event.synchronize()
                    self._read_signs(signs, hashes)
        return self._stop

    def _build_signs(self, signs: tuple[float, ...]) -> Tensor:
        """Return signs on the device, where they are kept: copying them there would wait for it."""
        import torch

        if signs not in self._signs:
            device = self._collectives.device
            self._signs[signs] = torch.tensor(signs, dtype=torch.float32, device=device)
        return self._signs[signs]

    def _fetch_signs(self, signs: Tensor, hashes: tuple[float, ...]) -> None:
        """Have signs copied from a GPU, to be read when they have arrived."""
        import torch

        host = torch.empty(len(signs), dtype=signs.dtype, pin_memory=True)
        host.copy_(signs, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self._steps[-1].append((host, event, hashes))

    def _read_signs(self, signs: Tensor, hashes: tuple[float, ...]) -> None:
        stop, *theirs = signs.tolist()
        if tuple(theirs) != hashes:
            raise GanzooError(
                "the processes have gradients of different parameters: a network that does not "
                "use all of its parameters in every batch cannot be trained by several processes"
            )
        self._stop = self._stop or stop > 0
