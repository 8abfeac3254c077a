"""Messages to a person on standard error, as plain lines."""

from __future__ import annotations

import sys

from ganzoo.errors import escape_text

MAX_LINE = 1000
"""Most characters of a line on standard error; the middle of a longer one is cut out."""


def print_warning(message: str) -> None:
    """Print a warning on standard error."""
    note(f"warning: {message}")


def note(message: str) -> None:
    """Print a message on standard error, as one line."""
    line = escape_text(message)
    if len(line) > MAX_LINE:
        line = f"{line[: MAX_LINE // 2]} ... {line[-MAX_LINE // 2 :]}"
    print(line, file=sys.stderr, flush=True)
