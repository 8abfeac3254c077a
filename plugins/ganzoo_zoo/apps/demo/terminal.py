"""Output while requests are answered, of which anybody may be the author.

Gradio prints a traceback for a request that it cannot answer, with the values that were sent, and
decoders of images complain of broken uploads.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import TextIO

from ganzoo.errors import escape_text


class EscapingStream(io.TextIOBase):
    """A stream that escapes terminal commands and passes text on to another one."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, of which line breaks alone are kept as they are."""
        if self._stream is not None:
            self._stream.write("\n".join(map(escape_text, text.split("\n"))))
        return len(text)

    def flush(self) -> None:
        """Flush the other stream."""
        if self._stream is not None:
            self._stream.flush()


@contextmanager
def escape_output() -> Iterator[None]:
    """Escape what Python code prints within the block."""
    with redirect_stdout(EscapingStream(sys.stdout)), redirect_stderr(EscapingStream(sys.stderr)):
        yield


@contextmanager
def discard_output() -> Iterator[None]:
    """Discard what this process prints within the block, libraries in C included."""
    kept: list[tuple[TextIO, int]] = []
    with open(os.devnull, "wb") as nowhere:
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, OSError, ValueError):  # closed, or not a file
                stream.flush()
                kept.append((stream, os.dup(stream.fileno())))
                os.dup2(nowhere.fileno(), stream.fileno())
    try:
        yield
    finally:
        for stream, copy in kept:
            with suppress(OSError):
                stream.flush()
            os.dup2(copy, stream.fileno())
            os.close(copy)
