"""What a run may take of this machine, and how its process is held to that."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.errors import GanzooError, InputError
from ganzoo.protocols.schedule import N_CRITIC

if TYPE_CHECKING:
    from ganzoo.training.trainer import Trainer

NICENESS = 5
"""Processes that train make way for the server, whose pages must not freeze."""
MIB = 1 << 20
SECONDS_BETWEEN_LOOKS = 1.0
"""Time between two looks of a run at its own memory."""
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

    def describe_time(self) -> str:
        """Say that a run has trained for as long as it may."""
        return f"it has trained for {self.seconds:,.0f} s, which is the most here"

    def describe_memory(self) -> str:
        """Say that a run took more memory than it may."""
        return (
            f"it took more than {self.memory / MIB:,.0f} MiB of memory, which is the most here: "
            "choose smaller networks, or a smaller batch"
        )


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
        "n_critic": _find_most_updates(trainer),
        "samples": len(trainer.samples),
        "side": max(data.image_size or (0,)),
        "parameters": sum(each.numel() for net in networks for each in net.parameters()),
    }
    for name, value in found.items():
        _require_at_most(name, value, bounds)


def require_change_within(options: Mapping[str, Any], bounds: Mapping[str, int] | None) -> None:
    """Check a change of options while a run trains.

    Raises:
        InputError: it is beyond the bounds.
    """
    if bounds is not None and N_CRITIC in options:
        with suppress(TypeError, ValueError):  # the run itself refuses what is no number
            _require_at_most("n_critic", float(options[N_CRITIC]), bounds)


class Watch:
    """Looks, from within, at the time and the memory that a run has taken.

    The server holds runs to both; this is for the case that it does not.

    Args:
        bounds: The bounds; None if there are none.
    """

    def __init__(self, bounds: Mapping[str, int] | None) -> None:
        self._limits = RunLimits()
        if bounds is not None:
            self._limits = RunLimits(bounds["seconds"], bounds["memory"] * MIB, bounds)
        self._began = time.monotonic()
        self._looked = 0.0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time in the block."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._began += time.monotonic() - began

    def find_excess(self) -> str:
        """Return why the run must stop; empty if it need not."""
        now = time.monotonic()
        if self._limits.bounds is None or now - self._looked < SECONDS_BETWEEN_LOOKS:
            return ""
        self._looked = now
        if now - self._began > self._limits.seconds:
            return self._limits.describe_time()
        is_larger = (read_memory(os.getpid()) or 0) > self._limits.memory
        return self._limits.describe_memory() if is_larger else ""


def _find_most_updates(trainer: Trainer) -> float:
    schedule = trainer.setup.schedules.get(N_CRITIC)
    values = schedule.values if schedule else ()
    return max(trainer.options.n_critic, *(each for each in values if isinstance(each, float)), 0)


def _require_at_most(name: str, value: float, bounds: Mapping[str, int]) -> None:
    if value > bounds[name]:
        word = name.replace("_", " ")
        raise InputError(f"{word}: {value:,.15g}, and in this class there may be {bounds[name]:,}")


def _install_guard() -> None:
    """Watch for connections; a guard stays until the process ends, so there is one."""
    if not getattr(_install_guard, "done", False):
        sys.addaudithook(_refuse_connections)
        _install_guard.done = True  # type: ignore[attr-defined]


def _refuse_connections(event: str, args: tuple[Any, ...]) -> None:
    if _offline and event in ("socket.connect", "socket.getaddrinfo"):
        raise GanzooError("a run of a class downloads nothing: ask your teacher to train it once")
