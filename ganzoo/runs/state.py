"""How far a run is, and whether it goes on: read from its folder, which is not locked for that."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ganzoo.protocols.tracker import METRICS_FILE
from ganzoo.runs.file_names import MANIFEST_FILE
from ganzoo.runs.metrics import MEMORISED, is_number
from ganzoo.storage.json_files import read_last_rows

if TYPE_CHECKING:
    from ganzoo.config import RunConfig

FINISHED, TRAINING, WAITING = "finished", "training", "waiting for its first numbers"
INTERRUPTED, SILENT, DIVERGED = "interrupted", "silent", "diverged"
SILENCE_SECONDS = 60.0
"""A run counts as silent after at least this time without a sign of life."""
SILENCE_FACTOR = 5
"""A run counts as silent after this many times the interval of its lines, at least."""
FASTEST = 1e9
"""Larger values of images per second are ignored."""
LARGEST = 1e100
"""Larger metrics are ignored, so that sums of metrics do not overflow."""
LAST_STEP = 1 << 53
CHECKPOINT = re.compile("[0-9]{8,18}")


class RunFiles(Protocol):
    """What is read of a :class:`ganzoo.runs.folder.Run`, which shows itself by it."""

    path: Path
    checkpoints: Path
    samples: Path
    model: Path
    score_log: Path

    def config(self) -> RunConfig:
        """Read the configuration."""

    def pictures(self) -> dict[int, Path]:
        """Find the sample pictures by step."""


@dataclass(frozen=True)
class RunProgress:
    """What a run's folder tells of its progress."""

    config: RunConfig
    step: int
    """The step of the newest line of metrics."""
    images: float
    """Images seen until then."""
    speed: float | None
    """Images per second."""
    saved_step: int
    """The step of the newest checkpoint; 0 if there is none."""
    has_model: bool
    has_diverged: bool
    last_written: float
    """When something was written last, in seconds since 1970."""

    @property
    def is_finished(self) -> bool:
        """Whether all steps are done and the model was written."""
        return self.step >= self.config.train.steps and self.has_model

    def find_state(self, now: float | None = None) -> str:
        """Find the state: one of the words of this module.

        A killed process leaves no trace, so a run without a sign of life is called silent after
        some time.

        Args:
            now: Seconds since 1970; the present if None.
        """
        if self.is_finished:
            return FINISHED
        if self.has_diverged:
            return DIVERGED
        if self._is_interrupted():
            return INTERRUPTED
        silent = (time.time() if now is None else now) - self.last_written
        if silent > max(SILENCE_SECONDS, SILENCE_FACTOR * self._seconds_per_line()):
            return SILENT
        return TRAINING if self.step else WAITING

    def _is_interrupted(self) -> bool:
        """Tell whether the newest checkpoint is one that only an interrupt writes."""
        regular = self.saved_step % self.config.train.checkpoint_every == 0
        return max(1, self.step) <= self.saved_step < self.config.train.steps and not regular

    def _seconds_per_line(self) -> float:
        """Estimate the seconds between two lines of metrics."""
        if not (self.speed and self.images and self.step):
            return 0.0
        return self.config.train.log_every * self.images / self.step / self.speed


def read_progress(run: RunFiles) -> RunProgress:
    """Read how far a run is, in little time however long it is.

    Raises:
        InputError: its configuration is damaged.
        OSError: its folder cannot be read.
    """
    rows = [row for row in read_last_rows(run.path / METRICS_FILE) if is_step(row.get("step"))]
    lines = [row for row in rows if "warning" not in row and MEMORISED not in row]
    newest: dict[str, Any] = lines[-1] if lines else {}
    return RunProgress(
        config=run.config(),
        step=newest.get("step", 0),
        images=find_number(newest, "images_seen") or 0,
        speed=find_speed(newest),
        saved_step=find_newest_checkpoint(run.checkpoints),
        has_model=has_model(run),
        has_diverged=bool(rows) and is_divergence(rows[-1]),
        last_written=find_last_written(read_stamps(run)),
    )


def has_model(run: RunFiles) -> bool:
    """Tell whether a run's model was written."""
    return (run.model / MANIFEST_FILE).is_file()


def is_divergence(row: Mapping[str, Any]) -> bool:
    """Tell whether a line of metrics is the one with which a diverged run ends."""
    return row.get("warning") == DIVERGED


def is_step(value: object) -> bool:
    """Tell whether a value in a line is a step."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LAST_STEP


def find_number(row: Mapping[str, Any], key: str) -> float | None:
    """Return a number of a line of metrics that can be computed with; else None."""
    value: Any = row.get(key)
    return value if is_number(value) and abs(value) < LARGEST else None


def find_speed(row: Mapping[str, Any]) -> float | None:
    """Return the images per second of a line of metrics, if it has any that can be true."""
    speed = find_number(row, "images_per_second")
    return speed if speed is not None and 0 < speed < FASTEST else None


def find_newest_checkpoint(folder: Path) -> int:
    """Return the step of the newest checkpoint in a folder; 0 if there is none."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return max((int(name) for name in names if CHECKPOINT.fullmatch(name)), default=0)


def read_stamps(run: RunFiles) -> list[tuple[int, int] | None]:
    """Return times in nanoseconds and sizes that change with every write to a run's folder."""
    places = (
        run.path / METRICS_FILE,
        run.score_log,
        run.samples,
        run.checkpoints,
        run.path,
        run.model,
    )
    return [_read_stamp(place) for place in places]


def find_last_written(stamps: Iterable[tuple[int, int] | None]) -> float:
    """Return the newest time of stamps, in seconds since 1970."""
    return max((stamp[0] for stamp in stamps if stamp), default=0) / 1e9


def _read_stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
