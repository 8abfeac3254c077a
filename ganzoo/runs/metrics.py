"""Reads the curves in a run's ``metrics.jsonl``."""

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
    """Yield each line of a ``metrics.jsonl`` behind its step; damaged ones are passed over.

    Raises:
        ganzoo.errors.InputError: there is no such file.
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
    """Tell whether what a line holds is a number that can be drawn."""
    counts = isinstance(value, (int, float)) and not isinstance(value, bool)
    return counts and abs(value) < 1e300 and not math.isnan(value)
