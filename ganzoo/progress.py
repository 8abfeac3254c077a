"""How far long work is, told to whoever listens; most of what works knows no listener."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Listener = Callable[[str, int, int], None]
"""Is told what is done, how much of it, and how much there is."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def report_progress(what: str, done: int, total: int) -> None:
    """Tell the listener, if there is one, how far some work is.

    Args:
        what: The work, in a few words, such as ``reading photos``.
        done: How much of it is done.
        total: How much there is.
    """
    if (listener := _listener.get()) is not None:
        listener(what, done, total)


@contextmanager
def send_progress_to(listener: Listener | None) -> Iterator[None]:
    """Have a listener be told what is reported within the block; the one before if it is None."""
    if listener is None:
        yield
        return
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class JsonChannel:
    """Where news go; nobody may be there to read them any more."""

    def __init__(self) -> None:
        # What a plugin or a library prints must not pass for news.
        self.file = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        os.dup2(2, 1)

    def tell(self, **news: Any) -> None:
        """Write one line."""
        try:
            self.file.write(json.dumps(news) + "\n")
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())
