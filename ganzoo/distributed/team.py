"""Several processes, as one of them sees them: their common work, and how they part."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ganzoo.distributed import shutdown
from ganzoo.distributed.collectives import Collectives
from ganzoo.distributed.environment import local_rank, machine_name
from ganzoo.distributed.failures import (
    Failure,
    PeerFailed,
    error_from_json,
    error_to_json,
    is_consequence,
    message_of,
)
from ganzoo.distributed.gradients import GradientAverager
from ganzoo.distributed.heartbeat import BEAT, EXIT_GRACE, Heartbeat, exchange_timeout
from ganzoo.distributed.messages import MessageBoard
from ganzoo.distributed.processes import Found, Item, Processes, State
from ganzoo.distributed.rendezvous import PATIENCE, PeersUnreachable, meet
from ganzoo.errors import Diverged, InputError, Interrupted
from ganzoo.signals import stop_signals

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Outline = tuple[str, list[int]]
"""Type and shape of a tensor, as JSON has them."""


class Team(Processes):
    """Several processes, as one of them sees them."""

    def __init__(self, rank: int, world: int) -> None:
        self.rank = rank
        self.world = world
        shutdown.reset()
        self._timeout = exchange_timeout()
        try:
            store, self._group_store = meet(rank, world)
        except PeersUnreachable:
            shutdown.decide("")  # nobody else can say it
            raise
        self._collectives = Collectives(rank, world)
        self._heartbeat = Heartbeat(self, store, lambda: self._collectives.calls, self._timeout)
        self._board = MessageBoard(store, lambda: self._heartbeat.failure is not None)
        self._averager = GradientAverager(self._collectives, world)
        self._questions = itertools.count()
        self._turns = itertools.count()
        self._shared_error: BaseException | None = None
        """The error that all processes have raised alike."""
        self._heartbeat.start()

    def connect(self, device: torch.device) -> None:
        """Open the exchange of tensors, once, on devices of one kind."""
        if self._collectives.backend is not None:
            return
        if device.type not in ("cpu", "cuda"):
            raise InputError(f"several processes cannot work on {device.type}; choose --device cpu")
        # This waits for the last process; what each did before, as reading data, has no timeout.
        kinds = sorted(set(self._gather_messages(device.type)))
        if len(kinds) > 1:
            self._shared_error = InputError(
                f"the processes have devices of several kinds, {' and '.join(kinds)}; "
                "choose --device cpu"
            )
            raise self._shared_error
        own = device.index == local_rank()
        # Torch's own timeout, which cannot name a culprit, comes after that of the heartbeat.
        timeout = timedelta(seconds=self._timeout) + PATIENCE
        self._collectives.open(device, own, self._group_store, timeout)

    # Tensors

    def take_share(self, whole: Tensor) -> Tensor:
        """Return every ``world``-th sample, so that a batch with classes in turn stays balanced."""
        return whole[self.rank :: self.world].contiguous()

    def gather_shares(self, share: Tensor) -> Tensor:
        """Gather the shares, and put each sample back in its place."""
        import torch

        return torch.stack(self._collectives.all_gather(share), dim=1).flatten(0, 1)

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Average by one exchange, which also tells whether a process was asked to stop."""
        self._averager.average(parameters, bool(self._requests))

    def should_stop(self) -> bool:
        """Tell what travelled with the gradients."""
        return self._averager.should_stop()

    def mean(self, values: Tensor) -> Tensor:
        """Average by an exchange."""
        values = values.clone()
        self._collectives.all_reduce(values)
        return values / self.world

    def sync_buffers(self, networks: Iterable[nn.Module]) -> None:
        """Broadcast the buffers by one exchange for each type."""
        import torch

        by_type: dict[torch.dtype, list[Tensor]] = {}
        for network in networks:
            for buffer in network.buffers():
                by_type.setdefault(buffer.dtype, []).append(buffer.detach())
        for buffers in by_type.values():
            flat = torch.cat([buffer.reshape(-1) for buffer in buffers])
            self._collectives.broadcast(flat)
            if self.is_first:
                continue
            parts = flat.split([buffer.numel() for buffer in buffers])
            for buffer, part in zip(buffers, parts, strict=True):
                buffer.copy_(part.view_as(buffer))

    def sync_state(self, state: State) -> None:
        """Broadcast every tensor, those of the optimisers too, and the counts."""
        mine = state.tensors() if self.is_first else {}
        outlines = self.run_on_first(
            lambda: {
                file: {name: _outline(tensor) for name, tensor in tensors.items()}
                for file, tensors in mine.items()
            }
        )
        counts = self.run_on_first(state.counts)
        found = {
            file: {
                name: self._broadcast(0, outline, mine[file][name] if self.is_first else None)
                for name, outline in tensors.items()
            }
            for file, tensors in outlines.items()
        }
        if not self.is_first:
            state.restore(counts, found)

    # Agreement

    def run_on_first(self, make: Callable[[], Found]) -> Found:
        """Call the function in the first process, which leaves its result on the board."""
        name = f"agreed/{next(self._questions)}"
        if not self.is_first:
            return self._raise_shared(self._board.wait_for(name))["found"]
        before, self.is_sharing = self.is_sharing, False  # this process works alone
        try:
            found = make()
        except Exception as error:
            self._shared_error = error
            self._board.put(name, error_to_json(error))
            raise
        finally:
            self.is_sharing = before
        self._board.put(name, {"found": found})
        return found

    @contextmanager
    def local_process_first(self) -> Iterator[bool]:
        """Wait for the process that torchrun counts as the first of this machine."""
        name = f"turn/{machine_name()}/{next(self._turns)}"
        if follows := bool(local_rank()):
            self._board.wait_for(name)
        yield follows
        if not follows:
            self._board.put(name, True)

    def require_same(self, mine: str, what: str) -> None:
        """Compare with the first process."""
        if self.run_on_first(lambda: mine) != mine:
            raise InputError(f"{what} here are not those of the first process: give each the same")

    def map_items(self, items: Iterable[Item], work: Callable[[Item], Tensor]) -> Iterator[Tensor]:
        """Work on every ``world``-th item, and broadcast the results."""
        mine: list[Tensor] = []
        try:
            for number, item in enumerate(items):
                if number % self.world == self.rank:
                    mine.append(work(item))
            message: dict[str, Any] = {"outlines": [_outline(each) for each in mine]}
        except Exception as error:
            message = error_to_json(error)
        everyone = [self._raise_shared(each) for each in self._gather_messages(message)]
        found = [
            [
                self._broadcast(rank, outline, mine[i] if rank == self.rank else None).cpu()
                for i, outline in enumerate(each["outlines"])
            ]
            for rank, each in enumerate(everyone)
        ]
        count = sum(map(len, found))
        return (found[number % self.world][number // self.world] for number in range(count))

    def _gather_messages(self, message: Any) -> list[Any]:
        """Return the messages of all processes, in order of their ranks."""
        name = f"gathered/{next(self._questions)}"
        self._board.put(f"{name}/{self.rank}", message)
        return [self._board.wait_for(f"{name}/{rank}") for rank in range(self.world)]

    def _raise_shared(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return a message, unless it is an error: then all processes raise it."""
        if "kind" in message:
            self._shared_error = error_from_json(message)
            raise self._shared_error
        return message

    def _broadcast(self, source: int, outline: Outline, mine: Tensor | None) -> Tensor:
        """Return a tensor of one process, on the device, in all of them."""
        import torch

        kind, shape = outline
        device = self._collectives.device
        if mine is None:
            tensor = torch.empty(shape, dtype=getattr(torch, kind), device=device)
        else:
            tensor = mine.to(device).contiguous()
        self._collectives.broadcast(tensor, source)
        return tensor

    # Parting

    def leave(self) -> None:
        """Leave the others once the work is done."""
        self._heartbeat.leave(PATIENCE.total_seconds())
        self._collectives.close()

    def leave_with_error(self, error: BaseException) -> BaseException:
        """Leave the others by an error, tell them, and return the error to raise.

        One process of each machine reports what happened: the first one, if it can.
        """
        if error is self._shared_error or isinstance(error, (Diverged, Interrupted, SystemExit)):
            # All processes have come to the same end.
            shutdown.decide("" if self.is_first else None)
            self.leave()
            if not self.is_first:
                time.sleep(BEAT)  # torchrun ends the others after one exits; the first must report
            return error
        if threading.current_thread() is threading.main_thread():
            # torchrun is about to send these, and they must not disturb what follows.
            for signum in stop_signals():
                signal.signal(signum, signal.SIG_IGN)
        if not is_consequence(error):
            self._heartbeat.announce(Failure.of(error, self.rank))
        failure = self._heartbeat.find_failure() or Failure.of(error, self.rank)
        speaks = self._heartbeat.claim_speaker()
        self._disconnect()
        if failure.rank != self.rank and failure.message != message_of(error):
            shutdown.decide("" if speaks else None, failed=True)
            return PeerFailed(failure.describe(self.advice), failure.exit_code)
        prefix = "" if self.is_first and isinstance(error, InputError) else f"rank {self.rank}: "
        shutdown.decide(prefix if speaks else None, failed=True)
        return error

    def _disconnect(self) -> None:
        """Leave without the others; NCCL would wait for them, on a GPU that may wait as well."""
        self._heartbeat.stop()
        if self._collectives.backend == "nccl":
            timer = threading.Timer(2 * EXIT_GRACE, os._exit, [1])
            timer.daemon = True
            timer.start()
        else:
            self._collectives.close()


def _outline(tensor: Tensor) -> Outline:
    return str(tensor.dtype).removeprefix("torch."), list(tensor.shape)
