"""Pieces of work that take turns in one process, and what they took while the machine was quiet.

All take a few steps each in a round, in changing order, so that a slow minute slows all of them,
and what counts are the ratios within a round. A round in which others had more than
:data:`QUIET` of a core is dropped and repeated, up to as many again as were asked for.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ganzoo_zoo.apps.bench.clocks import Clock, HostClock
from ganzoo_zoo.apps.bench.machine import describe_machine

QUIET = 0.15
"""Cores that others may have, on average, in a round that counts."""

Step = Callable[[], object]


@dataclass(frozen=True)
class Round:
    """What one round took."""

    wall: dict[str, float]
    """Seconds of a step, by the name of the arm."""
    process: dict[str, float]
    """Seconds of this process on all cores, and of its children, likewise."""
    others: float
    """Cores that other processes had meanwhile, on average."""
    aside: dict[str, float]
    """What was measured once in the round, outside of all turns."""


class Turns:
    """Lets arms take turns.

    Args:
        arms: By name, a step of each; None is one whose steps are done elsewhere: iterating gives
            the number of steps that it is to do now, until all is measured.
        steps: Steps of a turn.
        rounds: Rounds that are wanted.
        clock: That of the device which works.
        aside: Called once in a round.
        warm_up: Steps that each does before.
        settling: Steps at the beginning of each turn that are not measured, as caches and memory
            are then as another arm left them.
    """

    def __init__(
        self,
        arms: Mapping[str, Step | None],
        *,
        steps: int = 1,
        rounds: int = 5,
        clock: Clock | None = None,
        aside: Callable[[], dict[str, float]] = dict,
        warm_up: int = 1,
        settling: int = 0,
    ) -> None:
        self.arms = dict(arms)
        self.steps = steps
        self.wanted = rounds
        self.clock = clock or HostClock()
        self.aside = aside
        self.warm_up = warm_up
        self.settling = settling
        self.all: list[Round] = []

    def __iter__(self) -> Iterator[int]:
        for step in self.arms.values() if self.warm_up else ():
            yield from _done(step, self.warm_up)
        while not self._enough():
            yield from self._round(balanced(list(self.arms), len(self.all)))

    def play(self) -> list[Round]:
        """Let all take their turns and return the rounds that count; for arms that are all here."""
        for _ in self:
            raise ValueError("an arm has no step")
        return self.kept()

    def kept(self) -> list[Round]:
        """Return the rounds that count: the quiet ones, and the quietest others to make them up."""
        chosen = sorted(self.all, key=lambda each: max(each.others, QUIET))[: self.wanted]
        return [each for each in self.all if each in chosen]

    def _enough(self) -> bool:
        quiet = sum(each.others <= QUIET for each in self.all)
        return quiet >= self.wanted or len(self.all) >= 2 * self.wanted

    def _round(self, order: Iterable[str]) -> Iterator[int]:
        began, mine, all_cores = time.perf_counter(), own(), busy()
        wall: dict[str, float] = {}
        process: dict[str, float] = {}
        aside = self.aside()
        for arm in order:
            if self.settling:
                yield from _done(self.arms[arm], self.settling)
            before, mark = own(), self.clock.mark()
            yield from _done(self.arms[arm], self.steps)
            (span,) = self.clock.spans([mark, self.clock.mark()])
            wall[arm] = span / self.steps
            process[arm] = (own() - before) / self.steps
        foreign = busy() - all_cores - (own() - mine)
        others = max(0.0, foreign / (time.perf_counter() - began))
        self.all.append(Round(wall, process, others, aside))

    def told(self, device: torch.device) -> dict[str, Any]:
        """Return the rounds that count, what was dropped, and what it was measured on."""
        kept = self.kept()
        used = statistics.mean(
            sum(each.process.values()) / sum(each.wall.values()) for each in kept
        )
        return {
            "raw": [asdict(each) for each in kept],
            "dropped_rounds": len(self.all) - len(kept),
            "unquiet_rounds": sum(each.others > QUIET for each in kept),
            "cores_of_others": spread(each.others for each in kept),
            "machine": asdict(describe_machine(device, self.clock, used)),
        }


def _done(step: Step | None, times: int) -> Iterator[int]:
    if step is None:
        yield times
        return
    for _ in range(times):
        step()


def own() -> float:
    """Return the seconds that this process has worked on all cores, and its children that ended."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


def busy() -> float:
    """Return the seconds that all cores together have worked, as far as the machine tells."""
    try:
        with open("/proc/stat") as file:
            user, nice, system = map(int, file.readline().split()[1:4])
    except OSError:
        return 0.0
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def balanced(names: list[str], by: int) -> list[str]:
    """Return names in another order each time, in the end each behind each other as often.

    What an arm leaves in the caches and in memory is the next one's burden. Williams 1949,
    doi:10.1071/CH9490149.
    """
    count = len(names)
    zigzag = [(place + 1) // 2 if place % 2 else -(place // 2) for place in range(count)]
    order = [names[(place + by) % count] for place in zigzag]
    return order[::-1] if count % 2 and by // count % 2 else order


def spread(numbers: Iterable[float]) -> dict[str, float]:
    """Return the median of numbers, and what they lie between."""
    numbers = sorted(numbers)
    quarter, three = (
        statistics.quantiles(numbers, n=4)[::2] if len(numbers) > 1 else 2 * numbers[:1]
    )
    names = ("median", "quartile_1", "quartile_3", "min", "max")
    values = statistics.median(numbers), quarter, three, numbers[0], numbers[-1]
    return {name: float(f"{value:.4g}") for name, value in zip(names, values, strict=True)}


def ratio(theirs: Iterable[float], mine: Iterable[float]) -> dict[str, float]:
    """Return the spread of the ratios of each round."""
    return spread(their / my for their, my in zip(theirs, mine, strict=True))


def column(rounds: Iterable[Mapping[str, Any]], *keys: str) -> list[float]:
    """Return one number of each round, by the keys that lead to it."""
    found: list[Any] = list(rounds)
    for key in keys:
        found = [each[key] for each in found]
    return found


def in_words(found: Mapping[str, float], digits: str = ".2f") -> str:
    """Write a spread down: the median, and the middle half in brackets."""
    median, low, high = (found[name] for name in ("median", "quartile_1", "quartile_3"))
    return f"{median:{digits}} ({low:{digits}} to {high:{digits}})"


def conditions(found: Mapping[str, Any]) -> str:
    """Say what a machine was like, from what :meth:`Turns.told` returned."""
    machine, rounds = found["machine"], f"{len(found['raw'])} rounds"
    if found["unquiet_rounds"]:
        rounds += f", {found['unquiet_rounds']} of them while others were busy"
    if found["dropped_rounds"]:
        rounds += f", after {found['dropped_rounds']} that were dropped"
    return (
        f"{machine['threads']} threads, torch {machine['torch']}; {rounds}; others had "
        f"{found['cores_of_others']['median']:.2f} cores"
    )


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    header = list(header)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
