"""What a run's folder says of it: how far it is, how it goes, and whether it still trains."""

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
from ganzoo.runs.metrics import is_number
from ganzoo_zoo.apps.watch.jsonl_reader import JsonlReader
from ganzoo_zoo.apps.watch.series import Series

MOST_TERMS = 16
"""Numbers of a run that are shown."""
LONGEST_NAME = 40
WARNINGS = 3
"""Warnings that are shown: the last ones."""
SILENCE_SECONDS = 60.0
"""Seconds without a sign of life after which a run is no longer said to train, at least."""
SILENCE_FACTOR = 5
"""How many times as long as between the last lines it may be until then."""
SPEEDS = 10
"""Lines whose speed counts for the time left."""
FASTEST = 1e9
"""Images per second that are believed."""
LARGEST = 1e100
"""The largest number that is: sums of many are numbers too."""
CHECKPOINT = re.compile("[0-9]{8,18}")

FINISHED, TRAINING, WAITING = "finished", "training", "waiting for its first numbers"
GONE, INTERRUPTED = "gone", "interrupted"


@dataclass
class MetricValues:
    """Values of a metric, each with its step."""

    last: tuple[float, int] = (0.0, 0)
    best: tuple[float, int] | None = None
    series: Series = field(default_factory=Series)


class RunReader:
    """A run, as far as its folder was read; nothing is written there, and no lock is taken."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.config: RunConfig = run.config()
        self.pairs = False
        """Whether its pictures show images above what they became."""
        self._metrics = JsonlReader(run.path / METRICS_FILE)
        self._score_lines = JsonlReader(run.scores)
        self._last_stamps: Any = None
        self._reset()
        self.scores: dict[str, MetricValues] = {}
        """By metric."""
        self.pictures: dict[int, Path] = {}
        """Sample pictures by their steps, in order."""
        self.last_written = 0.0
        self.saved_step = 0
        self.is_gone = False
        # A package that is not installed here does not keep the run from being seen.
        with suppress(GanzooError):
            self.pairs = self.config.architecture.build(ARCHITECTURE).takes_images

    def _reset(self) -> None:
        self.step = 0
        self.images = 0
        self.numbers: dict[str, Series] = {}
        self.warnings: deque[str] = deque(maxlen=WARNINGS)
        self._speeds: deque[float] = deque(maxlen=SPEEDS)

    def update(self) -> bool:
        """Read what is new, and tell whether anything is.

        Raises:
            ganzoo.errors.InputError: something in the folder is not what a run has there.
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
        """Return what changes whenever something is written, and note when that was."""
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
            message = excerpt(row.get("message", row["warning"]), 300)
            if message not in self.warnings:
                self.warnings.append(message)
            return
        self.step = row["step"]
        for key, value in row.items():
            if "/" in key and _is_number(value):
                name = excerpt(key, LONGEST_NAME)
                if name in self.numbers or len(self.numbers) < MOST_TERMS:
                    self.numbers.setdefault(name, Series()).add(self.step, value)
        if _is_number(images := row.get("images_seen")):
            self.images = images
        if _is_number(speed := row.get("images_per_second")) and 0 < speed < FASTEST:
            self._speeds.append(speed)

    def _take_score(self, row: Mapping[str, Any]) -> None:
        metric, value, sign = row.get("metric"), row.get("value"), 1
        if not isinstance(metric, str) or not _is_number(value):
            return
        if row.get("higher_is_better") is not True:
            sign = -1
        found = self.scores.setdefault(excerpt(metric, LONGEST_NAME), MetricValues())
        found.last = value, row["step"]
        found.series.add(row["step"], value)
        if found.best is None or sign * value > sign * found.best[0]:
            found.best = found.last

    @property
    def picture(self) -> Path | None:
        """The newest sample picture."""
        return next(reversed(self.pictures.values()), None)

    @property
    def steps(self) -> int:
        """How many steps it is to do."""
        return self.config.train.steps

    @property
    def speed(self) -> float | None:
        """Images per second of late."""
        return sum(self._speeds) / len(self._speeds) if self._speeds else None

    @property
    def is_finished(self) -> bool:
        """Whether it came to its end."""
        return self.step >= self.steps and (self.run.model / MANIFEST_FILE).is_file()

    def seconds_left(self) -> float | None:
        """Return the seconds that are left, if its speed is known."""
        if not (self.speed and self.images and self.step) or self.is_finished:
            return None
        return (self.steps - self.step) * self.images / self.step / self.speed

    def state(self, now: float | None = None) -> str:
        """Say in a few words what it does.

        A process that was killed leaves no word of it: after a while without a sign of life, that
        is what is said.
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
        """Tell whether the last thing in the folder is a checkpoint that only a signal leaves."""
        regular = self.saved_step % self.config.train.checkpoint_every == 0
        return max(1, self.step) <= self.saved_step < self.steps and not regular

    def _seconds_per_line(self) -> float:
        """Return about how many seconds lie between two lines of metrics."""
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


def _is_number(value: object) -> bool:
    return is_number(value) and abs(value) < LARGEST
