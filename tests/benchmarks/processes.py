"""Programs that take turns, each a process of its own, and how long they took.

Two make a pair, and which of them goes first changes from pair to pair. A busy machine slows both,
so that what counts is their ratio, pair by pair.
"""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measuring import spread


@dataclass(frozen=True)
class Program:
    """A command, and where it is called."""

    command: Sequence[str | Path]
    folder: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """What it finds beside the variables that are there."""


@dataclass(frozen=True)
class Took:
    """What one call of a program took."""

    wall: float
    """Seconds that passed."""
    cpu: float
    """Seconds of processors, those of the system's work for it among them."""
    printed: str


CLOCKS = ("wall", "cpu")

Pair = tuple[Took, Took]
"""What ours took, and what the other one did."""


def measured(program: Program) -> Took:
    """Call a program.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    before, began = _used(), time.perf_counter()
    done = subprocess.run(
        program.command,
        cwd=program.folder,
        env={**os.environ, **program.environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return Took(time.perf_counter() - began, _used() - before, done.stdout)


def in_turns(ours: Program, other: Program, count: int) -> list[Pair]:
    """Call two programs in turns, and once before, which fills the disk's cache."""
    pairs: list[Pair] = []
    for number in range(count + 1):
        order = (ours, other) if number % 2 else (other, ours)
        found = {id(program): measured(program) for program in order}
        pairs.append((found[id(ours)], found[id(other)]))
    return pairs[1:]


def compared(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return spreads of the seconds of both, and of their ratios, by each clock."""
    return {"pairs": len(pairs), **{clock: _compared(pairs, clock) for clock in CLOCKS}}


def _compared(pairs: Sequence[Pair], clock: str) -> dict[str, Any]:
    mine, theirs = ([getattr(took, clock) for took in side] for side in zip(*pairs, strict=True))
    ratios = [one / other for one, other in zip(mine, theirs, strict=True)]
    return {"ganzoo": spread(mine), "bare": spread(theirs), "ratio": spread(ratios)}


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
