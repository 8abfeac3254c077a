"""The end of a process that worked with others: what it prints, and how it exits."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from ganzoo.distributed.environment import is_first, rank_and_world
from ganzoo.errors import InputError


@dataclass
class _Ending:
    """What the team that this process left last has decided for it."""

    is_decided: bool = False
    prefix: str | None = None
    """What stands before the message that this process prints; None if another one prints it."""
    has_failed: bool = False


_ending = _Ending()


def decide(prefix: str | None, *, failed: bool = False) -> None:
    """Decide how this process ends.

    Args:
        prefix: What stands before its message, such as ``rank 1: ``; None if it prints none.
        failed: Whether the processes have not come to an end together.
    """
    _ending.is_decided, _ending.prefix, _ending.has_failed = True, prefix, failed


def reset() -> None:
    """Forget an earlier end: this process joins a team again."""
    _ending.is_decided, _ending.has_failed = False, False


def choose_message(message: str) -> str | None:
    """Return what this process prints of how it ended; None if another process prints it.

    Args:
        message: What a single process would print.
    """
    if _ending.is_decided:
        return None if _ending.prefix is None else _ending.prefix + message
    try:
        return message if is_first() else None
    except InputError:  # it does not know its rank, and may be about to say so
        return message


def quieten() -> None:
    """Keep torch, before it is imported, from printing stack traces of connections that break."""
    if rank_and_world()[1] > 1:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def end_process(code: int) -> None:
    """Exit at once if another process has failed.

    Connections that torch still has open to that one may hang or abort the interpreter as it ends.
    """
    if _ending.has_failed:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
