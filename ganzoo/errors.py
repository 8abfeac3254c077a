"""What can go wrong, worded for the person at the keyboard.

A message is one or two lines: what is wrong, where, and what to do. The command line prints it
and exits with the error's ``exit_code``.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

MAX_MESSAGE = 500
"""Characters that are shown of what another program or a file says."""


class GanzooError(Exception):
    """The work failed: no network, a full disk, a diverged run."""

    exit_code = 1


class InputError(GanzooError):
    """The request cannot be met as it was made: a mistyped name, a bad option, an unfit file."""

    exit_code = 2


class PluginError(InputError):
    """An installed component cannot be used: it is broken, missing or claimed twice."""


class Diverged(GanzooError):
    """Training produced a number that is not finite."""


class Interrupted(GanzooError):
    """Training was stopped by a signal and has saved its state.

    ``exit_code`` is 128 plus the signal's number: 130 for Ctrl-C, 143 for a termination request.
    """

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signum


@contextmanager
def name_errors(subject: str) -> Iterator[None]:
    """Put a subject, such as ``"architecture 'mine'"``, before each InputError of a block.

    A component does not know the name under which a package registered it.
    """
    try:
        yield
    except InputError as error:
        error.args = (f"{subject}: {error}",)
        raise


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""


def escape_text(text: str) -> str:
    """Return a text as one line that no terminal takes for a command: what is not shown is escaped.

    Names come from files that anybody may have made.
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def excerpt(text: object, longest: int = 80) -> str:
    """Return a text from a file as a message shows it: printable, and of a long one the beginning.

    Args:
        text: The text, or whatever is shown as its own.
        longest: Characters of it that are shown.
    """
    text = str(text)
    return escape_text(text[:longest]) + ("..." if len(text) > longest else "")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the error's name if it has none."""
    return excerpt((str(error).splitlines() or [type(error).__name__])[0], MAX_MESSAGE)


def hide_token(text: str) -> str:
    """Return a text in which the token for the Hub does not stand.

    What a server answers may hold what it was sent.
    """
    if "huggingface_hub" not in sys.modules:
        return text
    from huggingface_hub import get_token

    token = get_token()
    return text.replace(token, "***") if token else text
