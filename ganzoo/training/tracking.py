"""Sends a run's metrics, pictures and warnings to its trackers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.errors import first_line
from ganzoo.storage.json_files import append_line, drop_lines_after

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.protocols.dataset import Samples
from ganzoo.protocols.tracker import METRICS_FILE, TrackedRun, Tracker


class JsonLines(Tracker):
    """Metrics as lines of JSON in ``metrics.jsonl``; every run has it."""

    def start(self, folder: Path, config: dict[str, Any], step: int) -> JsonLinesRun:
        """Drop the lines after ``step``, a torn last one too, and go on behind them."""
        path = folder / METRICS_FILE
        drop_lines_after(path, step)
        return JsonLinesRun(path)


class JsonLinesRun:
    """The file of a run's metrics."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def metrics(self, row: dict[str, Any]) -> None:
        """Add a line."""
        append_line(self.path, row)

    def picture(self, step: int, picture: Tensor) -> None:
        """Leave pictures alone: they are files of the run."""

    def close(self) -> None:
        """Nothing is left: each line is written when it comes."""


class TrackerGroup:
    """Every tracker of a run: the file of metrics, and those that were asked for.

    One that fails is named once and left out from there; a run does not end because something
    that watches it does.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._runs: dict[str, TrackedRun] = {}
        self._metrics_file: JsonLinesRun | None = None

    def start(
        self, trackers: Mapping[str, Tracker], folder: Path, config: dict[str, Any], step: int
    ) -> None:
        """Begin to follow a run, or again from an earlier step."""
        self.close()
        self._metrics_file = JsonLines().start(folder, config, step)
        for name, tracker in trackers.items():
            with self._guarded(name):
                self._runs[name] = tracker.start(folder, config, step)

    def metrics(self, row: dict[str, Any]) -> None:
        """Pass a line of metrics on."""
        if self._metrics_file:
            self._metrics_file.metrics(row)
        for name, run in list(self._runs.items()):
            with self._guarded(name):
                run.metrics(dict(row))

    def scores(self, step: int, values: Mapping[str, float]) -> None:
        """Pass the scores of a snapshot on, each called ``score/`` and its metric."""
        row = {"step": step, **{f"score/{name}": value for name, value in values.items()}}
        for name, run in list(self._runs.items()):
            with self._guarded(name):
                run.metrics(dict(row))

    def record_warning(self, step: int, name: str, message: str) -> None:
        """Keep a warning in the file of metrics; trackers receive numbers alone."""
        if self._metrics_file:
            self._metrics_file.metrics({"step": step, "warning": name, "message": message})

    def picture(self, step: int, picture: Tensor) -> None:
        """Pass a sample picture on."""
        for name, run in list(self._runs.items()):
            with self._guarded(name):
                run.picture(step, picture)

    def discriminator(
        self, step: int, discriminator: nn.Module, fake: Samples, real: Samples
    ) -> None:
        """Show the discriminator to those that look at it."""
        for name, run in list(self._runs.items()):
            if hasattr(run, "discriminator"):
                with self._guarded(name):
                    run.discriminator(step, discriminator, fake, real)

    def send_warning(self, step: int, message: str) -> None:
        """Pass on what a person is warned of to those that receive it."""
        for name, run in list(self._runs.items()):
            if hasattr(run, "warning"):
                with self._guarded(name):
                    run.warning(step, message)

    def close(self) -> None:
        """End every one of them."""
        while self._runs:
            name, run = self._runs.popitem()
            with self._guarded(name):
                run.close()

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._runs.pop(name, None)
            self._warn(f"tracker '{name}' failed and is left out from here: {first_line(error)}")
