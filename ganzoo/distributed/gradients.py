"""Gradients that are averaged over the processes, and the two words that travel with them."""

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
"""Steps after which a GPU's word on stopping is read: by then it is there, and nobody waits."""
HASH_PRIMES = 4093, 4091
"""Small primes: sums of their remainders stay exact in float32."""

Hashes = tuple[float, float]


class GradientAverager:
    """Averages gradients by one exchange, which carries two words more.

    These are whether a process was asked to stop, and which parameters it has gradients of: the
    exchange has the same length whatever they are, so that a difference hangs nobody.
    """

    def __init__(self, exchange: Collectives, world: int) -> None:
        self._collectives = exchange
        self._world = world
        self._signs: dict[tuple[bool, float, float], Tensor] = {}
        self._sent: list[tuple[Tensor, torch.cuda.Event, Hashes]] = []
        self._steps: deque[list[tuple[Tensor, torch.cuda.Event, Hashes]]] = deque()
        self._stop = False

    def average(self, parameters: Iterable[nn.Parameter], asked_to_stop: bool) -> None:
        """Replace gradients by their means over the processes.

        Raises:
            GanzooError: they are not gradients of the same parameters.
        """
        import torch

        learning = [each for each in parameters if each.requires_grad]
        present = tuple(each.grad is not None for each in learning)
        parts = [
            each.new_zeros(each.numel()) if each.grad is None else each.grad.reshape(-1)
            for each in learning
        ]
        signs, hashes = self._build_signs(present, asked_to_stop)
        flat = torch.cat([*parts, signs])
        self._collectives.all_reduce(flat)
        *means, signs = flat.div_(self._world).split([*map(len, parts), len(signs)])
        for each, mean in zip(learning, means, strict=True):
            if each.grad is not None:
                each.grad.copy_(mean.view_as(each.grad))
        self._queue_signs(signs, hashes)

    def should_stop(self) -> bool:
        """Tell what the exchanges of a step said: of this one, or on a GPU of an earlier one."""
        if self._collectives.device.type == "cuda":
            self._steps.append(self._sent)
            self._sent = []
            if len(self._steps) > LAG:
                for host, event, hashes in self._steps.popleft():
                    event.synchronize()
                    self._read_signs(host, hashes)
        return self._stop

    def _build_signs(self, present: tuple[bool, ...], asked_to_stop: bool) -> tuple[Tensor, Hashes]:
        import torch

        known = zlib.crc32(bytes(present))
        hashes = tuple(float(known % prime) for prime in HASH_PRIMES)
        key = (asked_to_stop, *hashes)
        if key not in self._signs:
            device = self._collectives.device
            self._signs[key] = torch.tensor(key, dtype=torch.float32, device=device)
        return self._signs[key], hashes

    def _queue_signs(self, signs: Tensor, hashes: Hashes) -> None:
        import torch

        if signs.device.type != "cuda":
            self._read_signs(signs, hashes)
            return
        host = torch.empty(len(signs), dtype=signs.dtype, pin_memory=True)
        host.copy_(signs, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self._sent.append((host, event, hashes))

    def _read_signs(self, signs: Tensor, hashes: Hashes) -> None:
        wish, *theirs = signs.tolist()
        if tuple(theirs) != hashes:
            raise GanzooError(
                "the processes have gradients of other parameters: a network that leaves some of "
                "its parameters out for some batches cannot be trained by several processes"
            )
        self._stop = self._stop or wish > 0
