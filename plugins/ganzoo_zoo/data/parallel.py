"""A parallel map over threads that yields its results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ganzoo.compute.cgroups import count_cpus

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_THREADS = 16
AHEAD = 4
"""The most results per thread that may wait to be yielded."""


def map_in_order(
    work: Callable[[Item], Result], items: Iterable[Item], room: Callable[[], int] | None = None
) -> Generator[Result, None, None]:
    """Apply a function to each item in threads, a little ahead of the consumer.

    Args:
        work: The function. Reading and decoding files release the interpreter's lock.
        items: The items.
        room: Returns the most results that may be pending, called before each item. At least one
            is always pending.

    Yields:
        The results, in the order of the items.
    """
    threads = min(MOST_THREADS, count_cpus())
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
