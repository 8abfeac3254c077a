"""Several processes that train one run, or judge one model: ``torchrun`` starts them.

Tensors go from process to process by torch.distributed, gloo on a CPU and NCCL on GPUs
(``exchange``, ``averaging``). All else, what is agreed on (``board``), who has failed and who still
lives (``watch``), goes through the store by which they found each other (``meeting``), so that no
process waits for a device to learn it. What is computed by one process alone is a :class:`Processes`
too, of one, which does nothing; several are a ``team``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from ganzoo.distributed.rendezvous import rank_and_world, read_number

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Item = TypeVar("Item")
Found = TypeVar("Found")


class State(Protocol):
    """What all processes must hold alike: named tensors, by file, and counts."""

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Return every tensor, by file and name."""

    def counts(self) -> dict[str, int]:
        """Return the counts, by name."""

    def restore(self, counts: dict[str, int], files: dict[str, dict[str, Tensor]]) -> None:
        """Take over counts and tensors of the same names and shapes."""


class Processes:
    """The processes that work together, as one of them sees them; here it is the only one."""

    rank: int = 0
    """Which of them this is."""
    world: int = 1
    """How many there are."""
    is_sharing: bool = False
    """Whether they share out what they do alike."""
    advice: str = ""
    """What to do when one of them is lost."""
    _requests: Sequence[int] = ()

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def connect(self, device: torch.device) -> None:
        """Prepare the exchange of tensors on a device.

        Raises:
            InputError: processes cannot work together there.
        """

    def set_stop_requests(self, requests: Sequence[int]) -> None:
        """Take note of the list into which the signals go that ask this process to stop."""
        self._requests = requests

    def should_stop(self) -> bool:
        """Tell, once after each step, whether to stop; all processes say so after the same one."""
        return bool(self._requests)

    def take_share(self, whole: Tensor) -> Tensor:
        """Return this process's share of what is drawn for a whole batch ``(N, ...)``."""
        return whole

    def gather_shares(self, share: Tensor) -> Tensor:
        """Put the shares of all processes together again: ``(N, ...)``, on each of them."""
        return share

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their means over the processes."""

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of numbers over the processes."""
        return values

    def sync_buffers(self, networks: Iterable[nn.Module]) -> None:
        """Give every process the buffers that the first one's networks have."""

    def sync_state(self, state: State) -> None:
        """Give every process the state of the first one."""

    def run_on_first(self, make: Callable[[], Found]) -> Found:
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

    def map_items(self, items: Iterable[Item], work: Callable[[Item], Tensor]) -> list[Tensor]:
        """Do some work on every item, and return what was found, in order.

        Within :func:`sharing` each process does its part of it, and has all that was found; else
        it does the whole. The tensors are on the CPU, all of one type, and differ in their first
        dimension at most.
        """
        return [work(item) for item in items]


ALONE = Processes()

_teams: list[Processes] = []


def current() -> Processes:
    """Return the processes that work together at present."""
    return _teams[-1] if _teams else Processes()


def is_first() -> bool:
    """Tell whether this process is the one that prints; it always is where it is the only one."""
    return rank_and_world()[0] == 0


def local_rank() -> int | None:
    """Return which of the processes of this machine this is; None where it is the only one."""
    return read_number("LOCAL_RANK", 0) if rank_and_world()[1] > 1 else None


def local_world() -> int:
    """Return how many processes work together on this machine, as far as torchrun says."""
    return max(1, read_number("LOCAL_WORLD_SIZE", 1)) if rank_and_world()[1] > 1 else 1


@contextmanager
def join_team() -> Iterator[Processes]:
    """Work together with the other processes that ``torchrun`` has started, if it has.

    Within such a block another one changes nothing. A process that leaves it by an error tells the
    others, which then end as well.

    Raises:
        ganzoo.distributed.failures.PeerFailed: another process has failed, or is gone.
        InputError: how the processes were started does not tell how they find each other.
    """
    if _teams or rank_and_world()[1] == 1:
        yield current()
        return
    from ganzoo.distributed.team import Team

    team = Team(*rank_and_world())
    _teams.append(team)
    try:
        yield team
    except BaseException as error:
        _teams.clear()
        ended = team.leave_with_error(error)
        if ended is error:
            raise
        raise ended from error
    _teams.clear()
    team.leave()


@contextmanager
def sharing() -> Iterator[None]:
    """Share out, within the block, what all processes do alike; see :meth:`Ranks.in_turn`."""
    team = current()
    before, team.is_sharing = team.is_sharing, True
    try:
        yield
    finally:
        team.is_sharing = before
