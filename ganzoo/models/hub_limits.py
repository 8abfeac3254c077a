"""Limits on how much a server of the Hub may send, and how slowly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

ANSWER_LIMIT = 1 << 24
"""Bytes of an answer that is held in memory, such as a list of files."""
SLOWEST = 1024
"""Bytes per second, on average, that a server must send after ``PATIENCE``."""
PATIENCE = 60.0
"""Seconds in which an answer may be slower."""
SILENCE = 300.0
"""Seconds in which a server must go on, if the client itself sets no limit."""

_limits: list[int] = []
"""Limits of all requests that are in progress; some of them run in threads of the client."""


class UnfitAnswer(Exception):
    """An answer is too long, or comes too slowly."""


@contextmanager
def limit_answers(most: int = ANSWER_LIMIT) -> Iterator[None]:
    """Stop answers that are longer than ``most`` bytes, or too slow, within the block.

    Raises:
        UnfitAnswer: from the request, when the limit is reached.
    """
    watch_client()
    _limits.append(most)
    try:
        yield
    finally:
        _limits.remove(most)


def watch_client() -> None:
    """Have the client's present session obey :func:`limit_answers`.

    The client makes another session when a connection fails.
    """
    from huggingface_hub import get_session

    hooks = get_session().event_hooks
    for kind, hook in (("request", _limit_silence), ("response", _limit_body)):
        if hook not in hooks[kind]:
            hooks[kind].append(hook)


def progress_up_to(most: int) -> type[Any]:
    """Return a progress bar for the client that stops a file after ``most`` bytes.

    It counts bytes before they are written.
    """
    from huggingface_hub.utils import tqdm

    class LimitedProgress(tqdm):  # type: ignore[misc, type-arg]
        monitor_interval = 0  # or each such class would start a thread
        received: float = 0

        def update(self, n: float | None = 1) -> bool | None:
            self.received += n or 0
            if self.received > most:
                raise UnfitAnswer(f"more than {most:,} bytes arrive")
            return super().update(n)

        def update_transfer(self, n: float) -> None:
            """Ignore what travels besides the file; the client looks for this method."""

    return LimitedProgress


def _limit_silence(request: Any) -> None:
    timeout = request.extensions.get("timeout", {})
    if _limits:
        request.extensions["timeout"] = {
            kind: SILENCE if seconds is None else seconds for kind, seconds in timeout.items()
        }


def _limit_body(response: Any) -> None:
    if _limits:
        for name in ("iter_raw", "iter_bytes"):  # before and after it is decompressed
            setattr(response, name, _limit_pieces(getattr(response, name), max(_limits)))


def _limit_pieces(
    read: Callable[..., Iterator[bytes]], most: int
) -> Callable[..., Iterator[bytes]]:
    def limited(*args: Any, **named: Any) -> Iterator[bytes]:
        size, began = 0, time.monotonic()
        for piece in read(*args, **named):
            size += len(piece)
            waited = time.monotonic() - began
            if size > most:
                raise UnfitAnswer(f"more than {most:,} bytes arrive")
            if waited > PATIENCE and size < SLOWEST * waited:
                raise UnfitAnswer(f"fewer than {SLOWEST:,} bytes per second arrive")
            yield piece

    return limited
