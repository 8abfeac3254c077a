"""Reading the state of a run from its folder: progress, metrics, scores and pictures."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganzoo.cli.common import format_duration
from ganzoo.config import RunConfig
from ganzoo.errors import GanzooError, InputError, excerpt
from ganzoo.protocols.tracker import METRICS_FILE
from ganzoo.registry import ARCHITECTURE
from ganzoo.runs.file_names import MANIFEST_FILE
from ganzoo.runs.folder import Run
from ganzoo.runs.metrics import LoggedWarning, WarningReader, is_number
from ganzoo_zoo.apps.watch.jsonl_reader import JsonlReader
from ganzoo_zoo.apps.watch.series import Series

MOST_TERMS = 16
"""The most metrics of a run that are shown."""
LONGEST_NAME = 40
LONGEST_WARNING = 300
WARNINGS = 3
"""Number of warnings that are shown, the last ones, and of those that have ended."""
SILENCE_SECONDS = 60.0
"""A run counts as silent after at least this time without a sign of life."""
SILENCE_FACTOR = 5
"""A run counts as silent after this many times the interval of its lines, at least."""
SPEEDS = 10
"""Number of lines whose mean speed gives the remaining time."""
FASTEST = 1e9
"""Larger values of images per second are ignored."""
LARGEST = 1e100
"""Larger metrics are ignored, so that sums of metrics do not overflow."""
CHECKPOINT = re.compile("[0-9]{8,18}")

FINISHED, TRAINING, WAITING = "finished", "training", "waiting for its first numbers"
GONE, INTERRUPTED = "gone", "interrupted"


@dataclass
class MetricValues:
    """The values of a metric, each with its step."""

    last: tuple[float, int]
    best: tuple[float, int]
    series: Series = field(default_factory=Series)


class RunReader:
    """Reads a run's folder without writing to it or locking it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.config: RunConfig = run.config()
        self.pairs = False
        """Whether its pictures show source images above their translations."""
        self._metrics = JsonlReader(run.path / METRICS_FILE)
        self._score_lines = JsonlReader(run.scores)
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
            self.pairs = self.config.architecture.build(ARCHITECTURE).takes_images

    def _reset(self) -> None:
        self.step = 0
        self.images = 0
        self.numbers: dict[str, Series] = {}
        self._warnings = WarningReader()
        self._speeds: deque[float] = deque(maxlen=SPEEDS)

    def update(self) -> bool:
        """Read new data, and return whether there were any.

        Raises:
            ganzoo.errors.InputError: a file in the folder is damaged.
        """
        before, self._last_stamps = self._last_stamps, self._read_stamps()
        if self._last_stamps == before:
            return False
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
        self.saved_step = _newest_checkpoint(self.run.checkpoints)

    def _read_stamps(self) -> list[tuple[int, int] | None]:
        """Return time stamps and sizes that change with every write, and update last_written."""
        places = (
            self.run.path / METRICS_FILE,
            self.run.scores,
            self.run.samples,
            self.run.checkpoints,
            self.run.path,
            self.run.model,
        )
        found = [_read_stamp(place) for place in places]
        self.last_written = max((each[0] for each in found if each), default=0) / 1e9
        return found

    def _take_row(self, row: Mapping[str, Any]) -> None:
        if "warning" in row:
            name = excerpt(row["warning"], LONGEST_NAME)
            message = excerpt(row.get("message", name), LONGEST_WARNING)
            self._warnings.add(row["step"], {**row, "warning": name, "message": message})
            return
        self.step = row["step"]
        for key, value in row.items():
            if "/" in key and _is_usable(value):
                name = excerpt(key, LONGEST_NAME)
                if name in self.numbers or len(self.numbers) < MOST_TERMS:
                    self.numbers.setdefault(name, Series()).add(self.step, value)
        images: Any = row.get("images_seen")
        if _is_usable(images):
            self.images = images
        speed: Any = row.get("images_per_second")
        if _is_usable(speed) and 0 < speed < FASTEST:
            self._speeds.append(speed)

    def _take_score(self, row: Mapping[str, Any]) -> None:
        metric = row.get("metric")
        value: Any = row.get("value")
        if not isinstance(metric, str) or not _is_usable(value):
            return
        sign = 1 if row.get("higher_is_better") is True else -1
        last = value, row["step"]
        found = self.scores.setdefault(excerpt(metric, LONGEST_NAME), MetricValues(last, last))
        found.last = last
        found.series.add(row["step"], value)
        if sign * value > sign * found.best[0]:
            found.best = found.last

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
    def is_finished(self) -> bool:
        """Whether all steps are done and the model was written."""
        return self.step >= self.steps and (self.run.model / MANIFEST_FILE).is_file()

    def seconds_left(self) -> float | None:
        """Estimate the remaining seconds; None if the speed is unknown."""
        if not (self.speed and self.images and self.step) or self.is_finished:
            return None
        return (self.steps - self.step) * self.images / self.step / self.speed

    def state(self, now: float | None = None) -> str:
        """Describe the state of the run in a few words.

        A killed process leaves no trace, so a run without a sign of life is called silent after
        some time.
        """
        silent = (time.time() if now is None else now) - self.last_written
        if self.is_gone:
            return GONE
        if self.is_finished:
            return FINISHED
        if self._is_interrupted():
            return f"{INTERRUPTED} after step {self.saved_step}, state saved"
        if silent > max(SILENCE_SECONDS, SILENCE_FACTOR * self._seconds_per_line()):
            return f"no sign of life for {format_duration(silent)}"
        return TRAINING if self.step else WAITING

    def _is_interrupted(self) -> bool:
        """Tell whether the newest checkpoint is one that only an interrupt writes."""
        regular = self.saved_step % self.config.train.checkpoint_every == 0
        return max(1, self.step) <= self.saved_step < self.steps and not regular

    def _seconds_per_line(self) -> float:
        """Estimate the seconds between two lines of metrics."""
        if not (self.speed and self.images and self.step):
            return 0.0
        return self.config.train.log_every * self.images / self.step / self.speed


def _newest_checkpoint(folder: Path) -> int:
    """Return the step of the newest checkpoint; 0 if there is none."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return max((int(name) for name in names if CHECKPOINT.fullmatch(name)), default=0)


def _read_stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _is_usable(value: Any) -> bool:
    return is_number(value) and abs(value) < LARGEST
