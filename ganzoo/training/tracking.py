"""Sends a run's metrics, pictures and warnings to its trackers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.errors import first_line
from ganzoo.protocols.tracker import METRICS_FILE, TrackedRun, Tracker
from ganzoo.storage.files import flush
from ganzoo.storage.json_files import append_line, drop_lines_after

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.protocols.dataset import Samples
    from ganzoo.protocols.tracker import Networks


class JsonLines(Tracker):
    """Writes metrics as lines of JSON to ``metrics.jsonl``, in every run."""

    def start(self, folder: Path, config: dict[str, Any], step: int) -> JsonLinesRun:
        """Drop lines after ``step``, and an incomplete last line, and append from there."""
        path = folder / METRICS_FILE
        drop_lines_after(path, step)
        return JsonLinesRun(path)


class JsonLinesRun(TrackedRun):
    """The file of a run's metrics."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def metrics(self, row: dict[str, Any]) -> None:
        """Append a line."""
        append_line(self.path, row)

    def flush(self) -> None:
        """Have the lines written to the disk."""
        if self.path.exists():
            flush(self.path)


class TrackerGroup:
    """All trackers of a run: the file of metrics, and those that the run names.

    A tracker that fails is reported once and dropped, and the run continues.

    Args:
        warn: Receives the message about a tracker that failed.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._runs: dict[str, TrackedRun] = {}
        self._metrics_file: JsonLinesRun | None = None

    def start(
        self, trackers: Mapping[str, Tracker], folder: Path, config: dict[str, Any], step: int
    ) -> None:
        """Start every tracker at a step, again if the run went back to an earlier one."""
        self.close()
        self._metrics_file = JsonLines().start(folder, config, step)
        for name, tracker in trackers.items():
            with self._guarded(name):
                self._runs[name] = tracker.start(folder, config, step)

    def metrics(self, row: dict[str, Any]) -> None:
        """Pass a line of metrics to every tracker."""
        if self._metrics_file:
            self._metrics_file.metrics(row)
        for name, run in list(self._runs.items()):
            with self._guarded(name):
                run.metrics(dict(row))

    def scores(self, step: int, values: Mapping[str, float]) -> None:
        """Pass the scores of a snapshot to every tracker, named ``score/METRIC``."""
        row = {"step": step, **{f"score/{name}": value for name, value in values.items()}}
        for name, run in list(self._runs.items()):
            with self._guarded(name):
                run.metrics(dict(row))

    def record_warning(self, row: dict[str, Any]) -> None:
        """Write the line of a warning to the file of metrics; trackers receive only numbers."""
        if self._metrics_file:
            self._metrics_file.metrics(row)

    def picture(self, step: int, picture: Tensor) -> None:
        """Pass a sample picture to every tracker."""
        for name, run in list(self._runs.items()):
            with self._guarded(name):
                run.picture(step, picture)

    def discriminator(
        self, step: int, discriminator: nn.Module, fake: Samples, real: Samples
    ) -> None:
        """Show the discriminator to those that look at it."""
        for name, run in list(self._runs.items()):
            with self._guarded(name):
                run.discriminator(step, discriminator, fake, real)

    def networks(self, step: int, networks: Networks, fake: Samples, real: Samples) -> None:
        """Show the networks to those that look into them."""
        for name, run in list(self._runs.items()):
            with self._guarded(name):
                run.networks(step, networks, fake, real)

    def send_warning(self, step: int, message: str) -> None:
        """Pass on what a person is warned of to those that receive it."""
        for name, run in list(self._runs.items()):
            with self._guarded(name):
                run.warning(step, message)

    def send_warning_end(self, step: int, warning: str, message: str) -> None:
        """Pass on that what a person was warned of has ended."""
        for name, run in list(self._runs.items()):
            with self._guarded(name):
                run.warning_end(step, warning, message)

    def flush(self) -> None:
        """Have every tracker write what is still pending."""
        if self._metrics_file:
            self._metrics_file.flush()
        for name, run in list(self._runs.items()):
            with self._guarded(name):
                run.flush()

    def abandon(self) -> None:
        """Forget every tracker without closing it: the folder is no longer the run's own."""
        self._metrics_file = None
        self._runs.clear()

    def close(self) -> None:
        """Close every tracker."""
        while self._runs:
            name, run = self._runs.popitem()
            with self._guarded(name):
                run.close()

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        """Drop a tracker that fails within the block, and say so."""
        try:
            yield
        except Exception as error:
            self._runs.pop(name, None)
            self._warn(f"tracker '{name}' failed and is dropped: {first_line(error)}")
