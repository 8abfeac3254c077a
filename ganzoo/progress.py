"""Progress of long work, sent to a listener that the work itself does not know."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Listener = Callable[[str, int, int], None]
"""Called with the work in a few words, how much of it is done, and the total."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def report_progress(what: str, done: int, total: int) -> None:
    """Report progress to the listener, if there is one.

    Args:
        what: The work in a few words, such as ``reading photos``.
        done: How much of it is done.
        total: How much there is to do.
    """
    if (listener := _listener.get()) is not None:
        listener(what, done, total)


@contextmanager
def send_progress_to(listener: Listener | None) -> Iterator[None]:
    """Send progress within the block to a listener; None keeps the listener that there is."""
    if listener is None:
        yield
        return
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class JsonChannel:
    """Messages to the parent process, as JSON lines on standard output.

    Opening the channel redirects everything else on standard output to standard error.
    """

    def __init__(self) -> None:
        self.file = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        os.dup2(2, 1)

    def tell(self, **news: Any) -> None:
        """Write one message, or drop it if nobody reads any more."""
        try:
            self.file.write(json.dumps(news) + "\n")
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())
