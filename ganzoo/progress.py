"""How far long work is, told to whoever listens; most of what works knows no listener."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int, int], None]
"""Is told what is done, how much of it, and how much there is."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def report(what: str, done: int, total: int) -> None:
    """Tell the listener, if there is one, how far some work is.

    Args:
        what: The work, in a few words, such as ``reading photos``.
        done: How much of it is done.
        total: How much there is.
    """
    if (listener := _listener.get()) is not None:
        listener(what, done, total)


@contextmanager
def told_to(listener: Listener | None) -> Iterator[None]:
    """Have a listener be told what is reported within the block; the one before if it is None."""
    if listener is None:
        yield
        return
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
