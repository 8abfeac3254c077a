"""Several processes, as one of them sees them: what they do together, and how they part."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ganzoo.distributed import Found, Item, Processes, State, local_rank, shutdown
from ganzoo.distributed.collectives import Collectives
from ganzoo.distributed.failures import (
    Failure,
    PeerFailed,
    error_from_json,
    error_to_json,
    is_consequence,
    message_of,
)
from ganzoo.distributed.gradients import GradientAverager
from ganzoo.distributed.heartbeat import BEAT, Heartbeat, exchange_timeout
from ganzoo.distributed.messages import MessageBoard
from ganzoo.distributed.rendezvous import PATIENCE, PeersUnreachable, Rendezvous, machine_name
from ganzoo.errors import Diverged, InputError, Interrupted

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class Team(Processes):
    """Several processes, as one of them sees them."""

    def __init__(self, rank: int, world: int) -> None:
        self.rank = rank
        self.world = world
        shutdown.reset()
        self._timeout = exchange_timeout()
        try:
            self._rendezvous = Rendezvous.hold(rank, world)
        except PeersUnreachable:
            shutdown.set_verdict(lambda message: message)  # nobody else can say it
            raise
        store, self._collectives = self._rendezvous.store, Collectives(rank, world)
        self._heartbeat = Heartbeat(self, store, lambda: self._collectives.calls, self._timeout)
        self._board = MessageBoard(store, lambda: self._heartbeat.failure is not None)
        self._averager = GradientAverager(self._collectives, world)
        self._questions = 0
        self._turns = 0
        self._shared_error: BaseException | None = None
        """What all of them have raised alike."""
        self._heartbeat.start()

    def connect(self, device: torch.device) -> None:
        """Open the exchange of tensors, once, on devices of one kind."""
        if self._collectives.backend is not None:
            return
        if device.type not in ("cpu", "cuda"):
            raise InputError(f"several processes cannot work on {device.type}; choose --device cpu")
        self._wait_for_all()
        theirs = self.run_on_first(lambda: device.type)
        if theirs != device.type:
            raise InputError(f"this process has {device.type}, and the first one {theirs}")
        own = device.index == local_rank()
        # Torch's own timeout, which knows of no culprit, comes after that of the watch.
        timeout = timedelta(seconds=self._timeout) + PATIENCE
        self._collectives.open(device, own, self._rendezvous.tensor_store, timeout)

    def _wait_for_all(self) -> None:
        """Wait for the last one: what each did before, as reading the data, has no timeout."""
        if not self.is_first:
            self._board.put(f"here/{self.rank}", True)
            return
        for rank in range(1, self.world):
            self._board.wait_for(f"here/{rank}")

    # Tensors

    def take_share(self, whole: Tensor) -> Tensor:
        """Return every ``world``-th one, so that a batch with classes in turn stays balanced."""
        return whole[self.rank :: self.world].contiguous()

    def gather_shares(self, share: Tensor) -> Tensor:
        """Gather the shares, and put each where it was."""
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
        """Broadcast: so that what is kept does not depend on when this is done."""
        for network in networks:
            for buffer in network.buffers():
                self._collectives.broadcast(buffer)

    def sync_state(self, state: State) -> None:
        """Broadcast every tensor, those of the optimisers too, and what is counted."""
        import torch

        files = state.tensors() if self.is_first else {}
        outlines = self.run_on_first(
            lambda: {
                file: {
                    name: [str(each.dtype).removeprefix("torch."), list(each.shape)]
                    for name, each in tensors.items()
                }
                for file, tensors in files.items()
            }
        )
        counts = self.run_on_first(state.counts)
        device = self._collectives.device
        found: dict[str, dict[str, Tensor]] = {}
        for file, outline in outlines.items():
            found[file] = {}
            for name, (kind, shape) in outline.items():
                mine = files[file][name] if self.is_first else None
                on_device = (
                    torch.empty(shape, dtype=getattr(torch, kind), device=device)
                    if mine is None
                    else mine.to(device).contiguous()
                )
                self._collectives.broadcast(on_device)
                found[file][name] = on_device
        if not self.is_first:
            state.restore(counts, found)

    # Agreement

    def run_on_first(self, make: Callable[[], Found]) -> Found:
        """Ask the first process, whose answer goes over the board."""
        self._questions += 1
        name = f"agreed/{self._questions}"
        if self.is_first:
            answer: dict[str, Any] = {}
            before, self.is_sharing = self.is_sharing, False  # it is done by this one alone
            try:
                answer["found"] = found = make()
            except Exception as error:
                self._shared_error = error
                self._board.put(name, error_to_json(error))
                raise
            finally:
                self.is_sharing = before
            self._board.put(name, answer)
            return found
        return self._raise_shared(self._board.wait_for(name))["found"]

    @contextmanager
    def one_first(self) -> Iterator[bool]:
        """Wait for the one that torchrun counts as the first of this machine."""
        self._turns += 1
        name = f"turn/{machine_name()}/{self._turns}"
        if led := bool(local_rank()):
            self._board.wait_for(name)
        yield led
        if not led:
            self._board.put(name, True)

    def require_same(self, mine: str, what: str) -> None:
        """Compare with the first one."""
        if self.run_on_first(lambda: mine) != mine:
            raise InputError(f"{what} here are not those of the first process: give each the same")

    def map_items(self, items: Iterable[Item], work: Callable[[Item], Tensor]) -> list[Tensor]:
        """Do every ``world``-th item, and tell each other what was found."""
        if not self.is_sharing:
            return super().map_items(items, work)
        parts: list[Tensor] = []
        try:
            parts = [
                work(item).contiguous()
                for number, item in enumerate(items)
                if number % self.world == self.rank
            ]
            about = _describe_parts(parts)
        except Exception as error:
            about = error_to_json(error)
        self._questions += 1
        name = f"part/{self._questions}"
        self._board.put(f"{name}/{self.rank}", about)
        everyone = [self._board.wait_for(f"{name}/{rank}") for rank in range(self.world)]
        found = self._exchange_parts(parts, [self._raise_shared(each) for each in everyone])
        count = sum(map(len, found))
        return [found[number % self.world][number // self.world] for number in range(count)]

    def _raise_shared(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Return an answer, unless it is an error: then all processes raise it."""
        if "kind" in answer:
            self._shared_error = error_from_json(answer)
            raise self._shared_error
        return answer

    def _exchange_parts(
        self, parts: list[Tensor], outlines: list[dict[str, Any]]
    ) -> list[list[Tensor]]:
        """Return the parts of each process."""
        import torch

        found: list[list[Tensor]] = []
        for rank, each in enumerate(outlines):
            if not each["lengths"]:
                found.append([])
                continue
            if rank == self.rank:
                whole = torch.cat(parts)
            else:
                shape = (sum(each["lengths"]), *each["shape"])
                whole = torch.empty(shape, dtype=getattr(torch, each["type"]))
            moved = whole.to(self._collectives.device)
            self._collectives.broadcast(moved, rank)
            found.append(list(moved.to(whole.device).split(each["lengths"])))
        return found

    # Parting

    def leave(self) -> None:
        """Leave the others, with nothing left to do."""
        self._heartbeat.leave(PATIENCE.total_seconds())
        self._collectives.close()

    def leave_with_error(self, error: BaseException) -> BaseException:
        """Leave the others by an error, tell them, and return what to raise.

        One process of each machine is to say what happened, if it can be the first one.
        """
        if error is self._shared_error or isinstance(error, (Diverged, Interrupted, SystemExit)):
            # All processes have come to the same end.
            shutdown.set_verdict(lambda message: message if self.is_first else None)
            self.leave()
            if not self.is_first:
                time.sleep(BEAT)  # one that is gone has torchrun end the first, which is to speak
            return error
        if threading.current_thread() is threading.main_thread():
            # torchrun is about to ask for what happens here anyway.
            for signum in (signal.SIGTERM, signal.SIGINT):
                signal.signal(signum, signal.SIG_IGN)
        shutdown.mark_failed()
        if not is_consequence(error):
            self._heartbeat.announce(Failure.of(error, self.rank))
        failure = self._heartbeat.find_failure() or Failure.of(error, self.rank)
        if not self.is_first:
            self._heartbeat.wait_for_speaker()
        mine = failure.rank == self.rank or failure.message == message_of(error)
        speaks = self._heartbeat.claim_speaker()
        named = f"rank {self.rank}: "
        if mine and self.is_first and isinstance(error, InputError):
            named = ""
        self._heartbeat.leave_or_exit(self._collectives.backend)
        if self._collectives.backend == "gloo":  # NCCL would wait for the others
            self._collectives.close()
        if mine:
            shutdown.set_verdict(lambda message: f"{named}{message}" if speaks else None)
            return error
        shutdown.set_verdict(lambda message: message if speaks else None)
        return PeerFailed(failure.describe(self.advice), failure.exit_code)


def _describe_parts(parts: list[Tensor]) -> dict[str, Any]:
    """Describe tensors that differ in their first dimension at most."""
    return {
        "lengths": [len(part) for part in parts],
        "shape": list(parts[0].shape[1:]) if parts else [],
        "type": str(parts[0].dtype).removeprefix("torch.") if parts else "uint8",
    }
