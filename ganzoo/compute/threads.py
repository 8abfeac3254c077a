"""Threads of the CPU beside other programs: how long they wait, and how many there are.

Threads share each operation, and the last one to finish decides when the next one begins. If a
thread has to wait for its core, all others wait for it, and by waiting in a loop they keep busy
what it waits for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganzoo.compute.cgroups import count_cpus

SPINS = "2000"
"""Looks of a waiting thread of GNU OpenMP before it sleeps, some 20 microseconds.

By default it looks 300,000 times, which is longer than a core is lent to a program at a time.
"""
WAITING_VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
"""Variables with which you choose how threads wait."""
COUNT_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables with which you choose the number of threads."""
STATISTICS = Path("/proc/stat")
"""The file in which Linux counts the time of each processor."""
SECONDS = 0.25
"""Length of a look at the processors."""
LOOKS = 3
"""How often to look before they count as busy, so that no short moment decides for a long run."""


def limit_waiting() -> None:
    """Have threads that wait for each other sleep soon, unless you set how they wait.

    It must be called before torch is loaded. Results are the same to the bit.
    """
    if not any(name in os.environ for name in WAITING_VARIABLES):
        os.environ["GOMP_SPINCOUNT"] = SPINS


def choose_thread_count() -> int:
    """Return how many threads to compute with: no more than there are cores to be had.

    It is torch's number, unless other programs keep cores busy or a control group allows fewer. At
    least half of the cores count as free: beside many programs, a share of each core is worth more
    than the few that are left. What runs at a lower priority (``nice``) makes way and does not
    count. Your own number, by :data:`COUNT_VARIABLES`, stays.
    """
    import torch

    wanted = torch.get_num_threads()
    if wanted == 1 or _is_count_set():
        return wanted
    cores = count_cpus()
    for _ in range(LOOKS):
        free = cores if (idle := _measure_free_cpus()) is None else min(cores, round(idle))
        if free >= min(wanted, cores):
            break
    return min(wanted, max(free, (cores + 1) // 2))


@contextmanager
def use_threads(count: int | None) -> Iterator[None]:
    """Compute with a number of threads within the block, at most as many as there are cores.

    Args:
        count: The number; None changes nothing, and nor does any if you have set your own.
    """
    if count is None or _is_count_set():
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(min(count, max(before, count_cpus())))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _is_count_set() -> bool:
    return any(name in os.environ for name in COUNT_VARIABLES)


def _measure_free_cpus() -> float | None:
    """Return how many of this process's processors others leave free; None if nothing tells."""
    try:
        usable = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        before, mine, began = _read_busy(usable), time.process_time(), time.perf_counter()
        time.sleep(SECONDS)
        busy = _read_busy(usable) - before
    except (AttributeError, OSError, ValueError):  # not Linux, or not all of it
        return None
    others = busy - (time.process_time() - mine)
    return len(usable) - others / (time.perf_counter() - began)


def _read_busy(processors: set[str]) -> float:
    """Return the seconds that some processors have worked at a normal or high priority."""
    ticks = 0
    for line in STATISTICS.read_text().splitlines():
        name, *counts = line.split()
        if name in processors:
            user, _nice, system = map(int, counts[:3])
            ticks += user + system
    return ticks / os.sysconf("SC_CLK_TCK")
