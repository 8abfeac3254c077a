"""Signals that ask a process to stop: Ctrl-C, a request to terminate, a terminal that is closed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

HANGUP: int | None = getattr(signal, "SIGHUP", None)
"""The signal of a closed terminal, or of the end of ssh; Windows does not have it."""

Answer = Callable[[int], None]
"""Called with the number of a signal."""


def stop_signals() -> list[int]:
    """Return the signals that ask to stop; that of a closed terminal is ignored under ``nohup``."""
    found: list[int] = [signal.SIGINT, signal.SIGTERM]
    if HANGUP is not None and signal.getsignal(HANGUP) != signal.SIG_IGN:
        found.append(HANGUP)
    return found


@contextmanager
def answer_stop_signals(ask: Answer, insist: Answer) -> Iterator[None]:
    """Answer the signals that arrive within the block, in the main thread; others have none.

    A closed terminal never insists: its signal may arrive several times, and that of a scheduler
    or a system that ends the session may follow it.

    Args:
        ask: Called for the first signal.
        insist: Called for each that follows, as when somebody is impatient.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    before = set_stop_handlers(ask, insist)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def set_stop_handlers(ask: Answer, insist: Answer) -> dict[int, Any]:
    """Answer signals from now on, and return the handlers that there were.

    See :func:`answer_stop_signals`.
    """
    asked: list[int] = []

    def answer(signum: int, frame: object) -> None:
        is_repeated = any(each != HANGUP for each in asked)
        asked.append(signum)
        if len(asked) == 1:
            ask(signum)
        elif is_repeated and signum != HANGUP:
            insist(signum)

    return {signum: signal.signal(signum, answer) for signum in stop_signals()}


def interrupt(signum: int) -> None:
    """Answer a signal by an exception that ends everything in good order."""
    raise KeyboardInterrupt(signum)


def signum_of(error: BaseException) -> int:
    """Return the number of the signal that an interrupt came from."""
    return error.args[0] if error.args else signal.SIGINT
