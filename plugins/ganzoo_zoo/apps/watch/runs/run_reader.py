"""Reading the state of a run from its folder: progress, metrics, scores and pictures."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganzoo.config import RunConfig
from ganzoo.display.formats import format_duration
from ganzoo.errors import GanzooError, InputError, excerpt
from ganzoo.protocols.tracker import METRICS_FILE
from ganzoo.registry import ARCHITECTURE
from ganzoo.runs.folder import Run
from ganzoo.runs.metrics import LoggedWarning, WarningReader
from ganzoo.runs.scores import TAKEN
from ganzoo.runs.state import (
    INTERRUPTED,
    SILENT,
    RunProgress,
    find_last_written,
    find_newest_checkpoint,
    find_number,
    find_speed,
    has_model,
    is_divergence,
    read_stamps,
)
from ganzoo_zoo.apps.watch.runs.jsonl_reader import JsonlReader
from ganzoo_zoo.apps.watch.runs.series import Series

MOST_TERMS = 16
"""The most metrics of a run that are shown."""
LONGEST_NAME = 40
LONGEST_WARNING = 300
WARNINGS = 3
"""Number of warnings that are shown, the last ones, and of those that have ended."""
SPEEDS = 10
"""Number of lines whose mean speed gives the remaining time."""
GONE = "gone"


@dataclass
class MetricValues:
    """The values of a metric, each with its step."""

    last: tuple[float, int]
    best: tuple[float, int]
    series: Series = field(default_factory=Series)
    last_taken: dict[str, float] = field(default_factory=dict)
    """What the training took until the last value: images and times, as far as they are known."""
    best_taken: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the last and the best value, each with its step and what it took."""
        return {
            word: {"value": value, "step": step, **taken}
            for word, (value, step), taken in (
                ("last", self.last, self.last_taken),
                ("best", self.best, self.best_taken),
            )
        }


class RunReader:
    """Reads a run's folder without writing to it or locking it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.config: RunConfig = run.config()
        self.pairs = False
        """Whether its pictures show source images above their translations."""
        self._metrics = JsonlReader(run.path / METRICS_FILE)
        self._score_lines = JsonlReader(run.score_log)
        self._last_stamps: Any = None
        self._reset()
        self.scores: dict[str, MetricValues] = {}
        """Scores by metric."""
        self.pictures: dict[int, Path] = {}
        """Sample pictures by step, in order."""
        self.last_written = 0.0
        self.saved_step = 0
        self.is_gone = False
        # The run can be shown even if its package is not installed.
        with suppress(GanzooError):
            self.pairs = not self.config.architecture.build(ARCHITECTURE).takes_latents

    def _reset(self) -> None:
        self.step = 0
        self.images = 0.0
        self.has_diverged = False
        self.numbers: dict[str, Series] = {}
        self._warnings = WarningReader()
        self._speeds: deque[float] = deque(maxlen=SPEEDS)

    def update(self) -> bool:
        """Read new data, and return whether there were any.

        Raises:
            ganzoo.errors.InputError: a file in the folder is damaged.
        """
        before, self._last_stamps = self._last_stamps, read_stamps(self.run)
        if self._last_stamps == before:
            return False
        self.last_written = find_last_written(self._last_stamps)
        try:
            self._read()
        except InputError:
            if self.run.is_run():
                raise
        self.is_gone = not self.run.is_run()
        return True

    def _read(self) -> None:
        self.config = self.run.config()
        other, rows = self._metrics.read()
        if other:
            self._reset()
        for row in rows:
            self._take_row(row)
        other, rows = self._score_lines.read()
        if other:
            self.scores = {}
        for row in rows:
            self._take_score(row)
        self.pictures = self.run.pictures()
        self.saved_step = find_newest_checkpoint(self.run.checkpoints)

    def _take_row(self, row: Mapping[str, Any]) -> None:
        self.has_diverged = is_divergence(row)
        if "warning" in row:
            name = excerpt(row["warning"], LONGEST_NAME)
            message = excerpt(row.get("message", name), LONGEST_WARNING)
            self._warnings.add(row["step"], {**row, "warning": name, "message": message})
            return
        self.step = row["step"]
        for key, value in row.items():
            if "/" in key and find_number(row, key) is not None:
                name = excerpt(key, LONGEST_NAME)
                if name in self.numbers or len(self.numbers) < MOST_TERMS:
                    self.numbers.setdefault(name, Series()).add(self.step, value)
        self.images = find_number(row, "images_seen") or self.images
        if (speed := find_speed(row)) is not None:
            self._speeds.append(speed)

    def _take_score(self, row: Mapping[str, Any]) -> None:
        metric, value = row.get("metric"), find_number(row, "value")
        if not isinstance(metric, str) or value is None:
            return
        sign = 1 if row.get("higher_is_better") is True else -1
        last = value, row["step"]
        found = self.scores.setdefault(excerpt(metric, LONGEST_NAME), MetricValues(last, last))
        found.last = last
        found.series.add(row["step"], value)
        found.last_taken = {name: row[name] for name in TAKEN if find_number(row, name) is not None}
        if found.best == found.last or sign * value > sign * found.best[0]:
            found.best, found.best_taken = found.last, found.last_taken

    @property
    def warnings(self) -> list[str]:
        """The last warnings that hold."""
        return [each.message for each in self._warnings.current()[-WARNINGS:]]

    @property
    def past_warnings(self) -> list[LoggedWarning]:
        """The last warnings of what has ended."""
        return self._warnings.past()[-WARNINGS:]

    @property
    def picture(self) -> Path | None:
        """The newest sample picture."""
        return next(reversed(self.pictures.values()), None)

    @property
    def steps(self) -> int:
        """Number of steps of the run."""
        return self.config.train.steps

    @property
    def speed(self) -> float | None:
        """Recent images per second."""
        return sum(self._speeds) / len(self._speeds) if self._speeds else None

    @property
    def progress(self) -> RunProgress:
        """What was read of the run's progress."""
        return RunProgress(
            config=self.config,
            step=self.step,
            images=self.images,
            speed=self.speed,
            saved_step=self.saved_step,
            has_model=has_model(self.run),
            has_diverged=self.has_diverged,
            last_written=self.last_written,
        )

    @property
    def is_finished(self) -> bool:
        """Whether all steps are done and the model was written."""
        return self.progress.is_finished

    def seconds_left(self) -> float | None:
        """Estimate the remaining seconds; None if the speed is unknown."""
        if not (self.speed and self.images and self.step) or self.is_finished:
            return None
        return (self.steps - self.step) * self.images / self.step / self.speed

    def state(self, now: float | None = None) -> str:
        """Describe the state of the run in a few words.

        Args:
            now: Seconds since 1970; the present if None.
        """
        if self.is_gone:
            return GONE
        state = self.progress.find_state(now)
        if state == INTERRUPTED:
            return f"{state} after step {self.saved_step}, state saved"
        if state == SILENT:
            seconds = (time.time() if now is None else now) - self.last_written
            return f"no sign of life for {format_duration(seconds)}"
        return state
