"""Errors whose messages are for users.

A message is one line, or two with a hint: what is wrong, where, and what to do. The command line
prints it and exits with the error's ``exit_code``.
"""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

MAX_MESSAGE = 500
"""Characters to quote from another program's message or from a file."""


class GanzooError(Exception):
    """The work failed, as without a network, on a full disk or when a run diverges.

    Args:
        message: What is wrong, where, and what to do. It is shown as one line: line breaks in it,
            which only names from files have, are escaped.
        hint: What else to do, on a line of its own. It must not contain names from files.
    """

    exit_code = 1

    def __init__(self, message: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def message(self) -> str:
        """The message without the hint, as one line."""
        return escape_text(str(self.args[0]) if self.args else "")

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def __format__(self, spec: str) -> str:
        # Within the message of another error it must be one line.
        return format("; ".join(filter(None, (self.message, self.hint))), spec)


class InputError(GanzooError):
    """The request is wrong: a mistyped name, an invalid option, an unsuitable file."""

    exit_code = 2


class PluginError(InputError):
    """A component cannot be used: it is broken, not installed, or claimed by two packages."""


class Diverged(GanzooError):
    """Training diverged: it produced NaN or infinity."""


class Interrupted(GanzooError):
    """A signal stopped training, after it saved its state.

    ``exit_code`` is 128 plus the signal's number: 130 for Ctrl-C, 143 for a termination request.

    Args:
        message: The message for the user.
        signum: The signal's number.
        hint: As for :class:`GanzooError`.
    """

    def __init__(self, message: str, signum: int, hint: str = "") -> None:
        super().__init__(message, hint)
        self.exit_code = 128 + signum


class GanzooWarning(UserWarning):
    """Something deserves your attention, such as images that could not be read.

    The functions of ganzoo issue it by :mod:`warnings` where nothing else receives their warnings.
    """


def warn_caller(message: str) -> None:
    """Issue a :class:`GanzooWarning` that points to the line which called ganzoo or its plugin."""
    frame, level = sys._getframe(1), 2
    # What lies between the warning and a person's program.
    own = ("ganzoo", "contextlib", _find_package(frame))
    while frame.f_back and _find_package(frame) in own:
        frame, level = frame.f_back, level + 1
    warnings.warn(escape_text(message), GanzooWarning, stacklevel=level)


def _find_package(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0]


@contextmanager
def name_errors(subject: str) -> Iterator[None]:
    """Put a subject, such as ``"architecture 'mine'"``, before each InputError of a block.

    A component does not know the name under which a package registered it.
    """
    try:
        yield
    except InputError as error:
        error.args = (f"{subject}: {error.message}",)
        raise


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known word, or an empty string."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""


def escape_text(text: str) -> str:
    """Escape unprintable characters in a text, such as line breaks and terminal commands.

    Use it for names from files, which anybody may have written.
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def excerpt(text: object, longest: int = 80) -> str:
    """Shorten a text from a file for a message, and escape it with :func:`escape_text`.

    Args:
        text: The text, or an object to convert by ``str``.
        longest: Characters to keep; an ellipsis follows if there are more.
    """
    text = str(text)
    return escape_text(text[:longest]) + ("..." if len(text) > longest else "")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its class if it has none."""
    return excerpt((str(error).splitlines() or [type(error).__name__])[0], MAX_MESSAGE)


def hide_token(text: str) -> str:
    """Replace the user's Hub token in a text by asterisks.

    A server's answer may quote the request, and with it the token.
    """
    if "huggingface_hub" not in sys.modules:
        return text
    from huggingface_hub import get_token

    token = get_token()
    return text.replace(token, "***") if token else text
