"""What a run may take of this machine, and how its process is held to that."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.errors import GanzooError, InputError

if TYPE_CHECKING:
    from ganzoo.training.trainer import Trainer

NICENESS = 5
"""Processes that train make way for the server, whose pages must not freeze."""
MIB = 1 << 20
MEMORY_VARIABLE = "GANZOO_MEMORY"


@dataclass(frozen=True)
class RunLimits:
    """What a run may take."""

    seconds: float = math.inf
    """Seconds in a process, without pauses in which nobody waits for it."""
    memory: float = math.inf
    """Bytes of memory of its process."""
    bounds: Mapping[str, int] | None = None
    """What its process holds it to: those of :class:`ganzoo_zoo.apps.watch.web.bounds.Bounds`."""


# The side of the server.


def read_memory(pid: int) -> int | None:
    """Return the bytes of memory that a process has in use (RSS); None if nothing tells."""
    with suppress(OSError, ValueError, IndexError, AttributeError):
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError, subprocess.SubprocessError):  # not Linux
        told = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, timeout=2
        )
        return int(told.stdout) << 10
    return None


def lower_priority(pid: int) -> None:
    """Let other processes go before one, where the system knows of such a thing."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, pid, NICENESS)


# The side of the process that trains.

_offline = False


@contextmanager
def hold_to(bounds: Mapping[str, int] | None) -> Iterator[None]:
    """Within the block, refuse what would take more memory than the bounds, and all downloads.

    Args:
        bounds: The bounds of a run; None for a run without any.
    """
    global _offline
    if bounds is None:
        yield
        return
    _install_guard()
    before = os.environ.get(MEMORY_VARIABLE)
    os.environ[MEMORY_VARIABLE] = str(bounds["memory"] / 1024)
    _offline = True
    try:
        yield
    finally:
        _offline = False
        if before is None:
            del os.environ[MEMORY_VARIABLE]
        else:
            os.environ[MEMORY_VARIABLE] = before


def require_within(trainer: Trainer, bounds: Mapping[str, int] | None) -> None:
    """Check a run that is ready for its first step.

    Args:
        trainer: Its trainer.
        bounds: The bounds; None if there are none.

    Raises:
        InputError: it is beyond one of them.
    """
    if bounds is None:
        return
    state, data = trainer.state, trainer.setup.data
    networks = (state.generator, state.discriminator)
    found = {
        "steps": trainer.options.steps,
        "batch_size": trainer.options.batch_size,
        "n_critic": trainer.options.n_critic,
        "samples": len(trainer.samples),
        "side": max(data.image_size or (0,)),
        "parameters": sum(each.numel() for net in networks for each in net.parameters()),
    }
    for name, value in found.items():
        if value > bounds[name]:
            word = name.replace("_", " ")
            raise InputError(f"{word}: {value:,}, and in this class there may be {bounds[name]:,}")


def _install_guard() -> None:
    """Watch for connections; a guard stays until the process ends, so there is one."""
    if not getattr(_install_guard, "done", False):
        sys.addaudithook(_refuse_connections)
        _install_guard.done = True  # type: ignore[attr-defined]


def _refuse_connections(event: str, args: tuple[Any, ...]) -> None:
    if _offline and event in ("socket.connect", "socket.getaddrinfo"):
        raise GanzooError("a run of a class downloads nothing: ask your teacher to train it once")
