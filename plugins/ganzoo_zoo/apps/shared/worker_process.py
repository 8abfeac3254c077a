"""Worker processes that take lines of JSON on standard input and answer on standard output.

The end of standard input asks a worker to save its state and end, whether its parent closed the
pipe or died. Signals are left to the parent.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO

from ganzoo.signals import stop_signals

# The side of the parent.


def start_process(module: str, stderr: IO[bytes] | None = None) -> subprocess.Popen[str]:
    """Start a module as a worker process.

    Args:
        module: Name of the module.
        stderr: File for the standard error of the worker; by default it is the parent's.
    """
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
        encoding="utf-8",
        start_new_session=True,  # Ctrl-C is for the parent alone
    )


def pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    """Return the standard input and the standard output of a worker."""
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def describe_exit(code: int) -> str:
    """Describe how a worker ended, by its exit code."""
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with exit code {code}"


# The side of the worker.


class LineReader(threading.Thread):
    """A thread that reads standard input line by line.

    Args:
        on_line: Called with each line.
        on_end: Called once, at the end of standard input.
    """

    def __init__(self, on_line: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._on_line = on_line
        self._on_end = on_end

    def run(self) -> None:
        """Read until standard input ends."""
        # Unbuffered: the thread would hold the lock of a buffer when Python exits.
        with open(0, "rb", buffering=0, closefd=False) as lines:
            for line in lines:
                self._on_line(line)
        self._on_end()


def block_signals() -> None:
    """Block signals that ask to stop in this process, so that only the parent handles them."""
    if hasattr(signal, "pthread_sigmask"):  # Windows does not have it
        signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals())
