"""The interface to the processes of a run, and a run of one process, which has no others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

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
    """The processes that work together, as one of them sees them; here it is the only one.

    Code calls these methods without asking how many processes there are. A single process has
    nobody to exchange anything with, so each method returns at once.
    """

    rank: int = 0
    """Number of this process."""
    world: int = 1
    """Number of processes."""
    is_sharing: bool = False
    """Whether they split the work that all of them do; see :func:`ganzoo.distributed.sharing`."""
    advice: str = ""
    """What to do when one of them is lost."""
    _requests: Sequence[int] = ()

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def connect(self, device: torch.device) -> None:
        """Prepare the exchange of tensors on a device.

        Raises:
            InputError: several processes cannot work together there.
        """

    def set_stop_requests(self, requests: Sequence[int]) -> None:
        """Set the list that collects the signals asking this process to stop."""
        self._requests = requests

    def should_stop(self) -> bool:
        """Tell whether to stop; called once after each step, it stops all after the same one."""
        return bool(self._requests)

    def take_share(self, whole: Tensor) -> Tensor:
        """Return this process's share of a whole batch ``(N, ...)``."""
        return whole

    def gather_shares(self, share: Tensor) -> Tensor:
        """Return the whole batch ``(N, ...)`` from the shares of all processes, on each of them."""
        return share

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their means over the processes."""

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of numbers over the processes."""
        return values

    def sync_buffers(self, networks: Iterable[nn.Module]) -> None:
        """Copy the buffers of the first process's networks to all processes, after each step."""

    def sync_state(self, state: State) -> None:
        """Copy the state of the first process to all processes."""

    def run_on_first(self, make: Callable[[], Found]) -> Found:
        """Call a function in the first process alone, and return its result in all.

        An error that it raises is raised in all as well.

        Args:
            make: Returns what JSON can hold.
        """
        return make()

    @contextmanager
    def local_process_first(self) -> Iterator[bool]:
        """Let one process of each machine go through a block before the others of that machine.

        Yields:
            Whether another process has been through it, so that its files are on the disk.
        """
        yield False

    def require_same(self, mine: str, what: str) -> None:
        """Refuse to go on if processes have read different things.

        Args:
            mine: What this process has read, such as a fingerprint.
            what: Its name in the message.

        Raises:
            InputError: it differs from what the first process has read.
        """

    def map_items(self, items: Iterable[Item], work: Callable[[Item], Tensor]) -> Iterator[Tensor]:
        """Apply a function to every item, and yield the results in order.

        Several processes split the items, and each of them gets all results.

        Args:
            items: The same in all processes.
            work: Returns a tensor on the CPU.
        """
        return map(work, items)


ALONE = Processes()
