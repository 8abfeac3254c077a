"""Reads a run's ``metrics.jsonl``, in bounded memory however long it is."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganzoo.storage.json_files import read_lines, warn_of_damaged_lines

Curve = dict[int, float]
"""Values by step."""
NETWORKS = ("discriminator", "generator")
AUGMENTATION = "augmentation"
"""What stands before the names of what augmentations report."""
SAMPLES = "samples"
"""What stands before the names of what is measured of sample pictures."""
MEMORISED = f"{SAMPLES}/memorised"
"""Share of a picture's samples that repeat a training image, in lines of its own."""
LOGITS = "logits"
GRADIENT_NORM = "gradient_norm"
LONGEST_CURVE = 1 << 14
"""Points that a :class:`CurveReader` keeps, at most."""
MOST_CURVES = 100
"""Curves that a :class:`CurveGroup` keeps, at most, whatever a file names."""
MOST_WARNINGS = 1000
"""Warnings that a :class:`WarningReader` keeps, at most."""


def read_metrics(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the step and the content of each line of a ``metrics.jsonl``.

    Damaged lines are skipped with a warning.

    Raises:
        ganzoo.errors.InputError: the file is missing.
        OSError: it cannot be read; the error names it.
    """
    skipped = 0
    for line in read_lines(path):
        try:
            row = json.loads(line)
            step = row["step"]
        except (ValueError, LookupError, TypeError, RecursionError):
            row = step = None
        if isinstance(row, dict) and is_number(step):
            yield int(step), row
        else:
            skipped += 1
    warn_of_damaged_lines(path, skipped)


def is_number(value: object) -> bool:
    """Tell whether a value in a line is a number that can be drawn: finite, and not too large."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) < 1e300 and not math.isnan(value)


def loss_terms(row: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the terms of each network's loss, by name, from a line of metrics."""
    found: dict[str, dict[str, float]] = {network: {} for network in NETWORKS}
    for key, value in row.items():
        network, _, name = key.partition("/")
        if network in found and name != GRADIENT_NORM:
            found[network][name] = value
    return found


class CurveReader:
    """Collects the points of a curve, and keeps every k-th one if there are too many.

    It also keeps the last point, the lowest and the highest. The same points give the same curve.
    """

    def __init__(self) -> None:
        self.points: Curve = {}
        """Every k-th point; all of them if the curve is not too long."""
        self._every, self._count = 1, 0
        self._marks: dict[str, tuple[int, float]] = {}

    def add(self, step: int, value: float) -> None:
        """Add the next point; a step that is given again replaces the earlier one."""
        if self._count % self._every == 0:
            self.points[step] = value
            if len(self.points) > LONGEST_CURVE:
                self.points = dict(list(self.points.items())[::2])
                self._every *= 2
        self._count += 1
        self._marks["last"] = step, value
        if value < self._marks.setdefault("lowest", (step, value))[1]:
            self._marks["lowest"] = step, value
        if value > self._marks.setdefault("highest", (step, value))[1]:
            self._marks["highest"] = step, value

    def curve(self) -> Curve:
        """Return the curve."""
        if self._every == 1:
            return self.points
        return {**self.points, **dict(self._marks.values())}


class CurveGroup:
    """Curves that belong together, by name, in the order of their first points."""

    def __init__(self) -> None:
        self._readers: dict[str, CurveReader] = {}

    def add(self, name: str, step: int, value: float) -> None:
        """Add the next point of a curve."""
        if name in self._readers or len(self._readers) < MOST_CURVES:
            self._readers.setdefault(name, CurveReader()).add(step, value)

    def curves(self) -> dict[str, Curve]:
        """Return the curves by name."""
        return {name: reader.curve() for name, reader in self._readers.items()}


@dataclass
class LoggedWarning:
    """A warning in the metrics of a run; it holds until what it warns of has ended."""

    name: str
    message: str
    began: int
    ended: int | None = None
    """The step at which it ended; None while it holds."""

    def describe(self) -> str:
        """Return the message, of a past warning with its steps."""
        if self.ended is None:
            return self.message
        return f"from step {self.began:,} to {self.ended:,}: {self.message}"


class WarningReader:
    """Collects warnings, each once, and which of them still hold.

    A line of metrics with ``warning`` begins a warning of that name. One that also has ``began``
    ends those that hold, and tells at which step the warning began.
    """

    def __init__(self) -> None:
        self._found: dict[str, LoggedWarning] = {}

    def add(self, step: int, row: Mapping[str, Any]) -> None:
        """Add the next line; one without a warning changes nothing."""
        if "warning" not in row:
            return
        name, message = str(row["warning"]), str(row.get("message", row["warning"]))
        if is_number(row.get("began")):
            self._end(name, message, int(row["began"]), step)
        elif message not in self._found:
            self._keep(LoggedWarning(name, message, step))

    def _end(self, name: str, message: str, began: int, step: int) -> None:
        holding = [each for each in self.current() if each.name == name]
        for each in holding:
            each.ended = step
        if not holding:  # the line that began it was not read
            self._keep(LoggedWarning(name, message, began, step))

    def _keep(self, warning: LoggedWarning) -> None:
        if len(self._found) >= MOST_WARNINGS:
            oldest = next((each for each in self.past()), next(iter(self._found.values())))
            del self._found[oldest.message]
        self._found[warning.message] = warning

    def all(self) -> list[LoggedWarning]:
        """Return all warnings, in their order."""
        return list(self._found.values())

    def current(self) -> list[LoggedWarning]:
        """Return the warnings that hold, in their order."""
        return [each for each in self._found.values() if each.ended is None]

    def past(self) -> list[LoggedWarning]:
        """Return the warnings that have ended, in their order."""
        return [each for each in self._found.values() if each.ended is not None]
