"""The process of a command: its signals, its standard streams, its environment and its end.

It imports little, because signals are handled before anything large is imported.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from ganzoo import signals

IMPORTER = "<frozen importlib._bootstrap>"
"""The file of Python's import system, in tracebacks."""
OUTPUT = "standard output"
"""The file name in errors of standard output."""
SHOW_CURSOR = b"\x1b[?25h"
"""The terminal command that shows the cursor again, which a live display hides."""
FOLDER_VARIABLES = (
    *("HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"),
    *("HF_XET_CACHE", "HF_ASSETS_CACHE", "HF_TOKEN_PATH", "TORCH_HOME", "MPLCONFIGDIR"),
    *("TORCHINDUCTOR_CACHE_DIR", "TRITON_HOME", "TRITON_CACHE_DIR"),
)
"""Variables with a path. Many a library takes an empty one for the working folder."""


def run_process(run: Callable[[], int]) -> int:
    """Run the command of this process, which is imported only now, and return its exit code.

    A process that was interrupted ends here at once: threads of torch that have only begun could
    hang or abort the interpreter as it ends.
    """
    signals.set_stop_handlers(_interrupt, _interrupt)
    sys.unraisablehook = _show_unraisable
    try:
        _open_streams()
        _clean_environment()
        from ganzoo.compute.threads import limit_waiting  # now that signals are handled

        limit_waiting()
        code = run()
    except KeyboardInterrupt as error:  # before or after the command
        code = 128 + signals.signum_of(error)
    for signum in signals.stop_signals():
        signal.signal(signum, signal.SIG_DFL)  # nothing is left to be saved
    if code > 128:
        with suppress(OSError):
            sys.stderr.flush()
            sys.stdout.flush()
        _end_at_once(code)
    return code


def _interrupt(signum: int) -> None:
    """Raise KeyboardInterrupt; but end at once within an import, which may catch it or abort."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename == IMPORTER:
            _end_at_once(128 + signum)
        frame = frame.f_back
    signals.interrupt(signum)


def _show_unraisable(caught: Any) -> None:
    """End at once if an interrupt was raised where Python can only print it, as in a finaliser."""
    if isinstance(caught.exc_value, KeyboardInterrupt):
        _end_at_once(128 + signals.signum_of(caught.exc_value))
    sys.__unraisablehook__(caught)


def _end_at_once(code: int) -> NoReturn:
    with suppress(OSError):
        if os.isatty(2):
            os.write(2, SHOW_CURSOR)
    os._exit(code)


def _open_streams() -> None:
    """Replace standard streams that are closed, and say what happens if one cannot be written.

    A file that is opened would take the number of a closed one, and get all that is printed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number
    has_consoles = os.name == "nt"  # which have streams of their own kind
    if sys.stdout is None or not has_consoles:
        sys.stdout = _wrap_stream(_Results(1, "w", closefd=False), sys.stdout)
    if sys.stderr is None or not has_consoles:
        sys.stderr = _wrap_stream(_Notes(2, "w", closefd=False), sys.stderr)


class _Results(io.FileIO):
    """Standard output, whose errors have its name."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = OUTPUT
            raise


class _Notes(io.FileIO):
    """Standard error, which takes everything: notes to a terminal that is gone end no work."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or len(data)
        except OSError:
            return len(data)


def _wrap_stream(raw: io.FileIO, before: Any) -> io.TextIOWrapper:
    """Return a text stream like the one before, or like standard error if there is none."""
    unbuffered = getattr(before, "write_through", False)  # as by PYTHONUNBUFFERED
    buffer: Any = raw if unbuffered else io.BufferedWriter(raw)
    return io.TextIOWrapper(
        buffer,
        getattr(before, "encoding", "utf-8"),
        getattr(before, "errors", "backslashreplace"),
        line_buffering=getattr(before, "line_buffering", True),
        write_through=unbuffered,
    )


def _clean_environment() -> None:
    """Keep caches out of the working folder.

    There they would be where a variable is empty, or where nothing says what the home folder is:
    then that of ganzoo takes in the caches of the libraries.
    """
    for name in FOLDER_VARIABLES:
        if os.environ.get(name) == "":
            del os.environ[name]
    cache = os.environ.get("GANZOO_CACHE")
    if cache and os.path.expanduser("~") == "~":
        os.environ.setdefault("XDG_CACHE_HOME", os.path.abspath(cache))
