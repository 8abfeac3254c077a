"""Losses, speeds and durations, in words for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganzoo.errors import escape_text


def format_duration(seconds: float) -> str:
    """Format a duration for people: ``57 s``, ``3 min`` or ``1.5 h``."""
    if seconds < 100:
        return f"{round(seconds)} s"
    if seconds < 6000:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def format_speed(row: Mapping[str, Any]) -> str:
    """Format the speed in a line of metrics."""
    return f"{row['images_per_second']:.0f} images/s"


def format_terms(terms: Mapping[str, float]) -> str:
    """Format a loss as the sum of its terms."""
    named = " + ".join(f"{escape_text(name)} {value:.3f}" for name, value in terms.items())
    return named if len(terms) == 1 else f"{sum(terms.values()):.3f} = {named}"
