"""Three-way merging: ganzoo writes a value again unless a person has edited it since."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Value = TypeVar("Value")


def choose(ours: Value | None, theirs: Value | None, written: Value | None) -> Value | None:
    """Choose between a new value and the one that is there, or between their presence.

    Args:
        ours: What ganzoo writes now; None if the value is absent.
        theirs: What is there.
        written: What ganzoo wrote then. If it is not what is there, a person edited it.
    """
    return ours if theirs == written else theirs


def find_place(names: Sequence[str | None], followers: Sequence[str]) -> int:
    """Return where a new name belongs: before the first of its followers, or at the end."""
    places = {name: place for place, name in enumerate(names)}
    return next((places[name] for name in followers if name in places), len(names))
