"""Reads a run's ``metrics.jsonl``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.storage.files import regular_size

if TYPE_CHECKING:
    pass


Curve = dict[int, float]
"""Values by step."""
NETWORKS = ("discriminator", "generator")
LOGITS = "logits"
GRADIENT_NORM = "gradient_norm"


def read_metrics(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the step and the content of each line of a ``metrics.jsonl``; skip damaged lines.

    Raises:
        ganzoo.errors.InputError: the file is missing.
    """
    regular_size(path)
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                row = json.loads(line)
                step = row["step"]
            except (ValueError, LookupError, TypeError, RecursionError):
                continue
            if isinstance(row, dict) and is_number(step):
                yield int(step), row


def is_number(value: object) -> bool:
    """Tell whether a value in a line is a number that can be drawn: finite, and not too large."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) < 1e300 and not math.isnan(value)
