"""Several processes that train one run, or judge one model: ``torchrun`` starts them.

Tensors go from process to process by torch.distributed, gloo on a CPU and NCCL on GPUs. All else,
what is agreed on, who has failed and who still lives, goes through the store by which they found
each other, so that no process waits for a device to learn it. What is computed by one process
alone is a :class:`Ranks` too, of one, which does nothing.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ganzoo.errors import Diverged, GanzooError, InputError, Interrupted, first_line

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ganzoo.checkpoint import TrainState

Item = TypeVar("Item")
Found = TypeVar("Found")

MEETING = timedelta(minutes=5)
"""How long processes wait for each other at the start."""
EXCHANGE = timedelta(minutes=30)
"""How long an exchange of tensors may take; who waits that long waits for a process that hangs."""
BEAT = 1.0
"""Seconds between two signs of life."""
SILENCE = 15.0
"""Seconds without one after which a process is taken for dead."""
BROKEN_SILENCE = 4.0
"""The same where a connection broke."""
LEAVE = 5.0
"""Seconds that a process has to end by itself once another has failed."""
LAG = 2
"""Steps after which a GPU's word on stopping is read: by then it is there, and nobody waits."""
HASHES = 4093, 4091
"""Small primes: sums of their remainders stay exact in float32."""


class PeerFailed(GanzooError):
    """Another process of the run has failed, or is gone."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Ranks:
    """The processes that work together, as one of them sees them; here it is the only one."""

    rank: int = 0
    """Which of them this is."""
    world: int = 1
    """How many there are."""
    shares: bool = False
    """Whether they share out what they do alike."""
    advice: str = ""
    """What to do when one of them is lost."""
    _requests: Sequence[int] = ()

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def connect(self, device: torch.device) -> None:
        """Prepare the exchange of tensors on a device.

        Raises:
            InputError: processes cannot work together there.
        """

    def watch(self, requests: Sequence[int]) -> None:
        """Take note of the list into which the signals go that ask this process to stop."""
        self._requests = requests

    def stops(self) -> bool:
        """Tell, once after each step, whether to stop; all processes say so after the same one."""
        return bool(self._requests)

    def share_of(self, whole: Tensor) -> Tensor:
        """Return this process's share of what is drawn for a whole batch ``(N, ...)``."""
        return whole

    def whole_of(self, share: Tensor) -> Tensor:
        """Put the shares of all processes together again: ``(N, ...)``, on each of them."""
        return share

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their means over the processes."""

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of numbers over the processes."""
        return values

    def equalise(self, networks: Iterable[nn.Module]) -> None:
        """Give every process the buffers that the first one's networks have."""

    def equalise_state(self, state: TrainState) -> None:
        """Give every process the state of the first one."""

    def agreed(self, make: Callable[[], Found]) -> Found:
        """Do something in the first process alone, and return what it found in each.

        What it raises is raised in each as well.

        Args:
            make: Returns what JSON can hold.
        """
        return make()

    @contextmanager
    def one_first(self) -> Iterator[bool]:
        """Have one process of each machine go through a block before the others of it.

        Yields:
            Whether another one has been through it: what it has kept on the disk is there.
        """
        yield False

    def require_same(self, mine: str, what: str) -> None:
        """Refuse to go on where processes have read different things.

        Args:
            mine: Says what this process has read.
            what: What it is, for the message.

        Raises:
            InputError: it is not what the first one has.
        """

    def in_turn(self, items: Iterable[Item], work: Callable[[Item], Tensor]) -> list[Tensor]:
        """Do some work on every item, and return what was found, in order.

        Within :func:`sharing` each process does its part of it, and has all that was found; else
        it does the whole. The tensors are on the CPU, all of one type, and differ in their first
        dimension at most.
        """
        return [work(item) for item in items]


ALONE = Ranks()


def current() -> Ranks:
    """Return the processes that work together at present."""
    return _joined[-1] if _joined else Ranks()


def is_first() -> bool:
    """Tell whether this process is the one that prints; it always is where it is the only one."""
    return _started_with()[0] == 0


def local_rank() -> int | None:
    """Return which of the processes of this machine this is; None where it is the only one."""
    return _number("LOCAL_RANK", 0) if _started_with()[1] > 1 else None


def local_world() -> int:
    """Return how many processes work together on this machine, as far as torchrun says."""
    return max(1, _number("LOCAL_WORLD_SIZE", 1)) if _started_with()[1] > 1 else 1


@contextmanager
def joined() -> Iterator[Ranks]:
    """Work together with the other processes that ``torchrun`` has started, if it has.

    Within such a block another one changes nothing. A process that leaves it by an error tells the
    others, which then end as well.

    Raises:
        PeerFailed: another process has failed, or is gone.
        InputError: how the processes were started does not tell how they find each other.
    """
    if _joined or _started_with()[1] == 1:
        yield current()
        return
    team = _Team(*_started_with())
    _joined.append(team)
    try:
        yield team
    except BaseException as error:
        _joined.clear()
        ended = team.end(error)
        if ended is error:
            raise
        raise ended from error
    _joined.clear()
    team.leave()


@contextmanager
def sharing() -> Iterator[None]:
    """Share out, within the block, what all processes do alike; see :meth:`Ranks.in_turn`."""
    team = current()
    before, team.shares = team.shares, True
    try:
        yield
    finally:
        team.shares = before


def spoken(message: str) -> str | None:
    """Return what this process should say of how it ended: None if another one speaks.

    Args:
        message: What a process that is alone would say.
    """
    if _Team.verdict is not None:
        return _Team.verdict(message)
    return message if is_first() else None


def quieten() -> None:
    """Keep torch, before it is imported, from printing stack traces of connections that break."""
    if _started_with()[1] > 1:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def end_process(code: int) -> None:
    """End this process at once if another one it worked with has failed.

    What torch still has open to that one may hang or abort the interpreter when it closes.
    """
    if _Team.failed:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


_joined: list[_Team] = []


def _started_with() -> tuple[int, int]:
    """Return which process this is, and of how many."""
    world = _number("WORLD_SIZE", 1)
    if world < 2:
        return 0, 1
    rank = _number("RANK", None)
    if not 0 <= rank < world:
        raise InputError(f"RANK is {rank} and WORLD_SIZE {world}: start with torchrun")
    return rank, world


def _number(name: str, default: int | None) -> int:
    text = os.environ.get(name, "").strip()
    if not text and default is not None:
        return default
    if not text.isdecimal():
        raise InputError(
            f"WORLD_SIZE says that there are several processes, and {name} is "
            f"{f'{text!r}' if text else 'not set'}: start them with torchrun"
        )
    return int(text)


class _Broken(GanzooError):
    """An exchange failed, as happens when another process has gone."""


class _Team(Ranks):
    """Several processes, as one of them sees them."""

    meetings: ClassVar[int] = 0
    verdict: ClassVar[Callable[[str], str | None] | None] = None
    """What the last of these says of an error."""
    failed: ClassVar[bool] = False
    """Whether the last of these was left while its processes had not come to an end together."""

    def __init__(self, rank: int, world: int) -> None:
        self.rank = rank
        self.world = world
        self._backend: str | None = None
        self._questions = 0
        self._turns = 0
        self._agreed: BaseException | None = None
        self._signs: dict[tuple[Any, ...], Tensor] = {}
        self._sent: list[tuple[Tensor, torch.cuda.Event, tuple[float, float]]] = []
        self._steps: deque[list[tuple[Tensor, torch.cuda.Event, tuple[float, float]]]] = deque()
        self._stop = False
        type(self).verdict, type(self).failed = None, False
        type(self).meetings += 1
        self._meet()
        self._watch = _Watch(self, self._store)
        self._watch.start()

    def _meet(self) -> None:
        import torch.distributed as dist

        for name in ("MASTER_ADDR", "MASTER_PORT"):
            if not os.environ.get(name):
                raise InputError(f"{name} is not set: start several processes with torchrun")
        try:
            self._rendezvous, _, _ = next(dist.rendezvous("env://", timeout=MEETING))
            # A connection of its own: on the other one an exchange may wait.
            plain = dist.TCPStore(
                os.environ["MASTER_ADDR"],
                int(os.environ["MASTER_PORT"]),
                is_master=False,
                wait_for_workers=False,
                timeout=MEETING,
            )
        except (RuntimeError, ValueError) as error:
            type(self).verdict = lambda message: message  # nobody else can say it
            raise GanzooError(
                f"rank {self.rank} of {self.world} cannot reach the others: {first_line(error)}"
            ) from error
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self._place = f"ganzoo/{attempt}/{self.meetings}"
        self._store = dist.PrefixStore(self._place, plain)

    def connect(self, device: torch.device) -> None:
        """Open the process group."""
        import torch
        import torch.distributed as dist

        if self._backend is not None:
            return
        if device.type not in ("cpu", "cuda"):
            raise InputError(f"several processes cannot work on {device.type}; choose --device cpu")
        theirs = self.agreed(lambda: device.type)
        if theirs != device.type:
            raise InputError(f"this process has {device.type}, and the first one {theirs}")
        # Two processes on one GPU, which only a device named by number gives, NCCL refuses.
        own = device.type == "cuda" and device.index == local_rank()
        self._backend = "nccl" if own else "gloo"
        if device.type == "cuda":
            torch.cuda.set_device(device)
        self._device = device
        self._exchanged(
            lambda: dist.init_process_group(
                self._backend,
                store=dist.PrefixStore(f"{self._place}/group", self._rendezvous),
                rank=self.rank,
                world_size=self.world,
                timeout=EXCHANGE,
                device_id=device if own else None,
            )
        )

    def share_of(self, whole: Tensor) -> Tensor:
        """Return every ``world``-th one, so that a batch with classes in turn stays balanced."""
        return whole[self.rank :: self.world].contiguous()

    def whole_of(self, share: Tensor) -> Tensor:
        """Gather the shares, and put each where it was."""
        import torch
        import torch.distributed as dist

        share = share.contiguous()
        parts = [torch.empty_like(share) for _ in range(self.world)]
        self._exchanged(lambda: dist.all_gather(parts, share))
        return torch.stack(parts, dim=1).flatten(0, 1)

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Average by one exchange, which carries two words more.

        These are whether a process was asked to stop, and which parameters it has gradients of:
        the exchange has the same length whatever they are, so that a difference hangs nobody.
        """
        import torch

        learning = [each for each in parameters if each.requires_grad]
        present = tuple(each.grad is not None for each in learning)
        parts = [
            each.new_zeros(each.numel()) if each.grad is None else each.grad.reshape(-1)
            for each in learning
        ]
        signs, hashes = self._signs_of(present)
        flat = torch.cat([*parts, signs])
        self._sum(flat)
        *means, signs = flat.div_(self.world).split([*map(len, parts), len(signs)])
        for each, mean in zip(learning, means, strict=True):
            if each.grad is not None:
                each.grad.copy_(mean.view_as(each.grad))
        self._note(signs, hashes)

    def _signs_of(self, present: tuple[bool, ...]) -> tuple[Tensor, tuple[float, float]]:
        import torch

        known = zlib.crc32(bytes(present))
        hashes = tuple(float(known % prime) for prime in HASHES)
        key = (bool(self._requests), *hashes)
        if key not in self._signs:
            self._signs[key] = torch.tensor(key, dtype=torch.float32, device=self._device)
        return self._signs[key], hashes

    def _note(self, signs: Tensor, hashes: tuple[float, float]) -> None:
        import torch

        if signs.device.type != "cuda":
            self._take(signs, hashes)
            return
        host = torch.empty(len(signs), dtype=signs.dtype, pin_memory=True)
        host.copy_(signs, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self._sent.append((host, event, hashes))

    def _take(self, signs: Tensor, hashes: tuple[float, float]) -> None:
        wish, *theirs = signs.tolist()
        if tuple(theirs) != hashes:
            raise GanzooError(
                "the processes have gradients of other parameters: a network that leaves some of "
                "its parameters out for some batches cannot be trained by several processes"
            )
        self._stop = self._stop or wish > 0

    def stops(self) -> bool:
        """Tell what the exchanges of a step said: of this one, or on a GPU of an earlier one."""
        if self._device.type == "cuda":
            self._steps.append(self._sent)
            self._sent = []
            if len(self._steps) > LAG:
                for host, event, hashes in self._steps.popleft():
                    event.synchronize()
                    self._take(host, hashes)
        return self._stop

    def mean(self, values: Tensor) -> Tensor:
        """Average by an exchange."""
        values = values.clone()
        self._sum(values)
        return values / self.world

    def _sum(self, flat: Tensor) -> None:
        import torch.distributed as dist

        self._exchanged(lambda: dist.all_reduce(flat))

    def equalise(self, networks: Iterable[nn.Module]) -> None:
        """Broadcast: so that what is kept does not depend on when this is done."""
        for network in networks:
            for buffer in network.buffers():
                self._broadcast(buffer)

    def equalise_state(self, state: TrainState) -> None:
        """Broadcast every tensor, those of the optimisers too, and what is counted."""
        import torch

        files = state.tensors() if self.first else {}
        outlines = self.agreed(
            lambda: {
                file: {
                    name: [str(each.dtype).removeprefix("torch."), list(each.shape)]
                    for name, each in tensors.items()
                }
                for file, tensors in files.items()
            }
        )
        counts = self.agreed(state.counts)
        found: dict[str, dict[str, Tensor]] = {}
        for file, outline in outlines.items():
            found[file] = {}
            for name, (kind, shape) in outline.items():
                mine = files[file][name] if self.first else None
                on_device = (
                    torch.empty(shape, dtype=getattr(torch, kind), device=self._device)
                    if mine is None
                    else mine.to(self._device).contiguous()
                )
                self._broadcast(on_device)
                found[file][name] = on_device
        if not self.first:
            state.restore(counts, found)

    def _broadcast(self, tensor: Tensor, source: int = 0) -> None:
        import torch.distributed as dist

        whole = tensor.detach().contiguous()
        self._exchanged(lambda: dist.broadcast(whole, source))
        if whole.data_ptr() != tensor.data_ptr():
            tensor.detach().copy_(whole)

    def _exchanged(self, exchange: Callable[[], object]) -> None:
        try:
            exchange()
        except (RuntimeError, ValueError) as error:
            raise _Broken(f"the exchange with the others broke: {first_line(error)}") from error

    def agreed(self, make: Callable[[], Found]) -> Found:
        """Ask the first process, whose answer goes through the store."""
        self._questions += 1
        key = f"agreed/{self._questions}"
        if self.first:
            answer: dict[str, Any] = {}
            before, self.shares = self.shares, False  # it is done by this one alone
            try:
                answer["found"] = found = make()
            except Exception as error:
                self._agreed = error
                self._put(key, _described(error))
                raise
            finally:
                self.shares = before
            self._put(key, answer)
            return found
        answer = self._awaited(key)
        if "kind" in answer:
            self._agreed = _KINDS[answer["kind"]](answer["message"])
            raise self._agreed
        return answer["found"]

    @contextmanager
    def one_first(self) -> Iterator[bool]:
        """Wait for the one that torchrun counts as the first of this machine."""
        self._turns += 1
        key = f"turn/{_machine()}/{self._turns}"
        if led := bool(local_rank()):
            self._awaited(key)
        yield led
        if not led:
            self._put(key, True)

    def require_same(self, mine: str, what: str) -> None:
        """Compare with the first one."""
        if self.agreed(lambda: mine) != mine:
            raise InputError(f"{what} here are not those of the first process: give each the same")

    def in_turn(self, items: Iterable[Item], work: Callable[[Item], Tensor]) -> list[Tensor]:
        """Do every ``world``-th item, and tell each other what was found."""
        if not self.shares:
            return super().in_turn(items, work)
        import torch

        parts: list[Tensor] = []
        about: dict[str, Any] = {}
        try:
            parts = [
                work(item).contiguous()
                for number, item in enumerate(items)
                if number % self.world == self.rank
            ]
            about = {
                "lengths": [len(part) for part in parts],
                "shape": list(parts[0].shape[1:]) if parts else [],
                "type": str(parts[0].dtype).removeprefix("torch.") if parts else "uint8",
            }
        except Exception as error:
            about = _described(error)
        self._questions += 1
        self._put(f"part/{self._questions}/{self.rank}", about)
        everyone = [self._awaited(f"part/{self._questions}/{rank}") for rank in range(self.world)]
        for each in everyone:
            if "kind" in each:
                self._agreed = _KINDS[each["kind"]](each["message"])
                raise self._agreed
        found: list[list[Tensor]] = []
        for rank, each in enumerate(everyone):
            if not each["lengths"]:
                found.append([])
                continue
            if rank == self.rank:
                whole = torch.cat(parts)
            else:
                shape = (sum(each["lengths"]), *each["shape"])
                whole = torch.empty(shape, dtype=getattr(torch, each["type"]))
            moved = whole.to(self._device)
            self._broadcast(moved, rank)
            found.append(list(moved.to(whole.device).split(each["lengths"])))
        count = sum(map(len, found))
        return [found[number % self.world][number // self.world] for number in range(count)]

    def _put(self, key: str, value: Any) -> None:
        with self._reaching():
            self._store.set(key, json.dumps(value))

    def _awaited(self, key: str) -> Any:
        """Wait for what another process puts into the store, for as long as it lives."""
        pause = 0.001
        while True:
            with self._reaching():
                if self._store.check([key]):
                    return json.loads(self._store.get(key))
            if self._watch.failure is not None:
                raise _Broken("another process has failed")
            time.sleep(pause)
            pause = min(2 * pause, 0.05)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise _Broken(f"the others cannot be reached: {first_line(error)}") from error

    def leave(self) -> None:
        """Leave the others, with nothing left to do."""
        with suppress(RuntimeError):
            self._store.set(f"left/{self.rank}", "")
            if self.first:  # which may be the one that keeps the store
                keys = [f"left/{rank}" for rank in range(self.world)]
                until = time.monotonic() + MEETING.total_seconds()
                while not self._store.check(keys) and self._watch.failure is None:
                    if time.monotonic() > until:
                        break
                    time.sleep(0.02)
        self._watch.stop()
        if self._backend is not None:
            self._close()

    def _close(self) -> None:
        import torch.distributed as dist

        with suppress(RuntimeError):
            dist.destroy_process_group()

    def end(self, error: BaseException) -> BaseException:
        """Leave the others by an error, tell them, and return what to raise.

        One process of each machine is to say what happened, if it can be the first one.
        """
        if error is self._agreed or isinstance(error, (Diverged, Interrupted, SystemExit)):
            # All processes have come to the same end.
            type(self).verdict = lambda message: message if self.first else None
            self.leave()
            if not self.first:
                time.sleep(BEAT)  # one that is gone has torchrun end the first, which is to speak
            return error
        if threading.current_thread() is threading.main_thread():
            # torchrun is about to ask for what happens here anyway.
            for signum in (signal.SIGTERM, signal.SIGINT):
                signal.signal(signum, signal.SIG_IGN)
        type(self).failed = True
        if not _is_consequence(error):
            self._watch.tell(_Failure.of(error, self.rank))
        failure = self._watch.known() or _Failure.of(error, self.rank)
        if not self.first:
            self._watch.wait_for_speaker()
        mine = failure.rank == self.rank or failure.message == _message(error)
        speaks = self._watch.speaks()
        named = f"rank {self.rank}: "
        if mine and self.first and isinstance(error, InputError):
            named = ""
        self._watch.leave_soon(self._backend)
        if self._backend == "gloo":  # NCCL would wait for the others
            self._close()
        if mine:
            type(self).verdict = lambda message: f"{named}{message}" if speaks else None
            return error
        type(self).verdict = lambda message: message if speaks else None
        return PeerFailed(failure.in_words(self.advice), failure.exit_code)


class _Failure:
    """What is known of the process that failed first."""

    def __init__(self, rank: int | None, message: str, exit_code: int = 1) -> None:
        self.rank = rank
        self.message = message
        self.exit_code = exit_code

    @classmethod
    def of(cls, error: BaseException, rank: int) -> _Failure:
        return cls(rank, _message(error), getattr(error, "exit_code", 1))

    def in_words(self, advice: str) -> str:
        said = self.message if self.rank is None else f"rank {self.rank}: {self.message}"
        return f"{said}; {advice}" if advice and advice not in said else said


class _Watch(threading.Thread):
    """Gives signs of life, looks for those of the next process, and for failures.

    A process that does not end by itself once another has failed, as it waits for it on a device,
    is ended from here.
    """

    def __init__(self, team: Ranks, store: Any) -> None:
        super().__init__(daemon=True, name="ganzoo-ranks")
        self.failure: _Failure | None = None
        self._team = team
        self._store = store
        self._rank = team.rank
        self._world = team.world
        self._ended = threading.Event()
        self._beats = 0
        self._heard: dict[int, tuple[bytes, float]] = {}

    def run(self) -> None:
        """Look around until the process leaves."""
        following = (self._rank + 1) % self._world
        while self.failure is None:
            try:
                self._look([following], SILENCE)
            except RuntimeError:
                self.failure = _lost_store()
            if self._ended.wait(BEAT):
                return
        if not self._ended.wait(LEAVE):
            self._end_process()

    def _look(self, ranks: Iterable[int], silence: float) -> None:
        self._beats += 1
        self._store.set(f"beat/{self._rank}", str(self._beats))
        for rank in ranks:
            if self._silent_for(rank) > silence:
                self.tell(_Failure(rank, "ended without a word (killed, or its machine is lost)"))
        if self._store.check(["failed"]):
            found = json.loads(self._store.get("failed"))
            self.failure = _Failure(found["rank"], found["message"], found["exit_code"])

    def _silent_for(self, rank: int) -> float:
        now = time.monotonic()
        if self._store.check([f"left/{rank}"]) or not self._store.check([f"beat/{rank}"]):
            return 0.0  # it has nothing to do any more, or is not there yet
        beat = self._store.get(f"beat/{rank}")
        before, since = self._heard.get(rank, (None, now))
        if beat != before:
            self._heard[rank] = beat, now
            return 0.0
        return now - since

    def tell(self, failure: _Failure) -> None:
        """Tell the others of a failure, unless they know of an earlier one."""
        with suppress(RuntimeError):
            self._store.compare_set("failed", "", json.dumps(vars(failure)))

    def known(self) -> _Failure | None:
        """Find out who failed: by what the others say, or by who has fallen silent."""
        until = time.monotonic() + BROKEN_SILENCE + 2 * BEAT
        while self.failure is None and time.monotonic() < until:
            try:
                self._look(set(range(self._world)) - {self._rank}, BROKEN_SILENCE)
            except RuntimeError:
                self.failure = _lost_store()
            if self.failure is None:
                time.sleep(0.1)
        return self.failure

    def speaks(self) -> bool:
        """Tell whether this process is the one of its machine that says what happened."""
        try:
            claimed = self._store.compare_set(_said_here(), "", str(self._rank))
        except RuntimeError:
            return True
        return int(claimed) == self._rank

    def wait_for_speaker(self) -> None:
        """Let the first process speak, if it is about to."""
        until = time.monotonic() + 1.5 * BEAT
        with suppress(RuntimeError):
            while time.monotonic() < until and not self._store.check([_said_here()]):
                time.sleep(0.05)

    def stop(self) -> None:
        """Look no longer."""
        self._ended.set()
        self.join(2 * BEAT)

    def leave_soon(self, backend: str | None) -> None:
        """Look no longer; where a GPU may be waiting for another, end the process if it stays."""
        self.stop()
        if backend == "nccl":
            timer = threading.Timer(2 * LEAVE, os._exit, [1])
            timer.daemon = True
            timer.start()

    def _end_process(self) -> None:
        if self.speaks():
            print(f"Error: {self.failure.in_words(self._team.advice)}", file=sys.stderr, flush=True)
        os._exit(self.failure.exit_code)


def _said_here() -> str:
    return f"said/{_machine()}"


def _machine() -> str:
    return os.environ.get("GROUP_RANK") or os.uname().nodename


def _lost_store() -> _Failure:
    return _Failure(None, "the process, or the machine, by which the others are reached is gone")


_KINDS = {kind.__name__: kind for kind in (GanzooError, InputError, Diverged)}


def _described(error: Exception) -> dict[str, str]:
    if not isinstance(error, GanzooError):
        return {"kind": GanzooError.__name__, "message": _message(error)}
    kind = next(kind for kind in (Diverged, InputError, GanzooError) if isinstance(error, kind))
    return {"kind": kind.__name__, "message": str(error)}


def _message(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, GanzooError):
        return first_line(error)
    return f"{type(error).__name__}: {first_line(error)}"


def _is_consequence(error: BaseException) -> bool:
    """Tell whether an error is that of an exchange, some of which torch itself makes."""
    if isinstance(error, _Broken):
        return True
    words = str(error)
    return isinstance(error, RuntimeError) and any(word in words for word in ("gloo", "NCCL"))
