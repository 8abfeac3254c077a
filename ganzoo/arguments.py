"""Checks of arguments that Python functions share: numbers, names, paths and options."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeGuard

from ganzoo.errors import InputError, excerpt

if TYPE_CHECKING:
    from pathlib import Path

MODEL_FORMS = "a name of 'ganzoo list models', a run, a model folder, or user/name on the Hub"
"""Ways to name a model, for messages and help."""


def require_int(name: str, value: object, at_least: int = 0) -> int:
    """Return a whole number of any numeric type, such as ``np.int64(3)`` or ``3.0``, as an int.

    Args:
        name: What the number is, for the message.
        value: The number.
        at_least: The smallest one that is allowed.

    Raises:
        InputError: it is not a whole number, as True, ``"3"`` and None are not, or is too small.
    """
    if not _is_number(value) or value % 1 != 0:
        raise InputError(f"{name} must be a whole number, not {excerpt(repr(value))}")
    if value < at_least:
        raise InputError(f"{name} must be at least {at_least}, not {value}")
    return int(value)


def require_positive(name: str, value: object) -> float:
    """Return a finite number above 0 of any numeric type as a float.

    Raises:
        InputError: it is not one.
    """
    if not _is_number(value) or not 0 < value < math.inf:
        raise InputError(f"{name} must be a number above 0, not {excerpt(repr(value))}")
    return float(value)


def require_text(what: str, value: object) -> str:
    """Return a name, or a path as a text.

    Args:
        what: What to give, for the message, such as ``"the name of a loss"``.
        value: A text, or a path.

    Raises:
        InputError: it is neither, or is empty.
    """
    if not isinstance(value, str | os.PathLike):
        raise InputError(f"give {what}, not an object of the type {type(value).__name__}")
    text = os.fspath(value)
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"give {what}, not {excerpt(repr(text))}")
    return text


def require_utf8(text: str) -> str:
    """Return a path that can be written into files, and that safetensors can open again.

    Raises:
        InputError: it is not UTF-8.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(f"{text}: the name is not UTF-8; choose another, or rename it") from None
    return text


def require_names(what: str, value: Iterable[str | Path]) -> tuple[str, ...]:
    """Return a list of names or paths as a tuple of texts.

    Args:
        what: What to give, for the message, such as ``"metrics"``.
        value: The names. A single text is refused, as its letters would be the names.

    Raises:
        InputError: it is not a list of names, or one of them is empty.
    """
    if isinstance(value, str | os.PathLike) or not isinstance(value, Iterable):
        raise InputError(f"give {what} as a list, not {excerpt(repr(value))}")
    return tuple(require_text(f"{what} by name", each) for each in value)


def require_options(what: str, value: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return options by name as a dictionary, which is empty for None.

    Args:
        what: What to give, for the message, such as ``"settings"``.
        value: The options.

    Raises:
        InputError: it is not a dictionary whose keys are texts.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InputError(f"give {what} as a dictionary by name, not {excerpt(repr(value))}")
    return dict(value)


def parse_layers(option: str, text: str) -> tuple[int, ...]:
    """Return the layers that a text such as ``0-3`` or ``0,4-7`` names, in order.

    Args:
        option: The option that the text was given by, for the message.
        text: Whole numbers from 0 on, and ranges with both ends, separated by commas.

    Raises:
        InputError: the text is something else.
    """
    found: set[int] = set()
    for word in text.split(","):
        ends = [end.strip() for end in word.split("-")]
        if len(ends) > 2 or not all(end.isdecimal() and len(end) < 5 for end in ends):
            raise InputError(f"{option} {text}: give layers such as 0-3 or 0,4-7")
        found.update(range(int(ends[0]), int(ends[-1]) + 1))
    if not found:
        raise InputError(f"{option} {text}: a range begins with its smaller end, as in 0-3")
    return tuple(sorted(found))


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool)
