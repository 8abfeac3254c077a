"""Ranges of an option's values, which a search chooses from."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from ganzoo.errors import InputError, excerpt

FORMS = ("range(LOW, HIGH)", "log(LOW, HIGH)")
"""How a range is written."""
_CALL = re.compile(r"\s*(range|log)\s*\((.*)\)\s*", re.DOTALL)


@dataclass(frozen=True)
class Range:
    """All values between two numbers, which are among them."""

    low: float
    high: float
    is_log: bool
    """Whether to choose evenly among orders of magnitude."""

    @staticmethod
    def is_written(text: str) -> bool:
        """Tell whether a value of an option is written as a range."""
        return _CALL.fullmatch(text) is not None

    @classmethod
    def parse(cls, text: str) -> Range:
        """Read a range, such as ``log(1e-5, 1e-2)``.

        Raises:
            InputError: it is not written so, or it is empty.
        """
        match = _CALL.fullmatch(text)
        try:
            assert match is not None
            low, high = map(float, match[2].split(","))
        except (AssertionError, ValueError):
            raise InputError(
                f"{excerpt(text)} is not a range; write {' or '.join(FORMS)}"
            ) from None
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise InputError(f"{excerpt(text)}: the first number must be below the second one")
        if match[1] == "log" and low <= 0:
            raise InputError(f"{excerpt(text)}: the numbers of log() must be above 0")
        return cls(low, high, match[1] == "log")
