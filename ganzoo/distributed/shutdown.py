"""How a process that worked with others ends, and which of them says why."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

from ganzoo.distributed import is_first
from ganzoo.distributed.rendezvous import rank_and_world

Verdict = Callable[[str], str | None]
"""From what a process that is alone would say to what this one says, if it says anything."""


@dataclass
class _Ending:
    """How this process leaves the others that it worked with last."""

    verdict: Verdict | None = None
    failed: bool = False


_last = _Ending()


def reset() -> None:
    """Forget what is known of an earlier end: this process works with others again."""
    _last.verdict, _last.failed = None, False


def set_verdict(verdict: Verdict) -> None:
    """Decide what this process says of its end."""
    _last.verdict = verdict


def mark_failed() -> None:
    """Note that the processes have not come to an end together."""
    _last.failed = True


def choose_message(message: str) -> str | None:
    """Return what this process should say of how it ended: None if another one speaks.

    Args:
        message: What a process that is alone would say.
    """
    if _last.verdict is not None:
        return _last.verdict(message)
    return message if is_first() else None


def quieten() -> None:
    """Keep torch, before it is imported, from printing stack traces of connections that break."""
    if rank_and_world()[1] > 1:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def end_process(code: int) -> None:
    """End this process at once if another one it worked with has failed.

    What torch still has open to that one may hang or abort the interpreter when it closes.
    """
    if _last.failed:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
