"""Work on many files at once, whose results come in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_THREADS = 16
AHEAD = 4
"""Results of each thread that may wait for their turn."""


def map_in_order(
    work: Callable[[Item], Result], items: Iterable[Item], room: Callable[[], int] | None = None
) -> Iterator[Result]:
    """Yield the result of some work on each item, in order; threads are a little ahead of it.

    Args:
        work: What is done in threads: reading and decoding leave Python's lock to others.
        items: What it is done on.
        room: Says how many results may be under way, asked for before each; at least one is.
    """
    threads = min(MOST_THREADS, os.cpu_count() or 1)
    pool = ThreadPoolExecutor(threads, "ganzoo-data")
    waiting: deque[Future[Result]] = deque()
    most = AHEAD * threads
    try:
        for item in items:
            while waiting and len(waiting) >= (min(most, room()) if room else most):
                yield waiting.popleft().result()
            waiting.append(pool.submit(work, item))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
