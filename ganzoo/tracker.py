"""The protocol of a tracker: what receives a run's metrics and pictures while it trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ganzoo.component import Component
from ganzoo.errors import first_line
from ganzoo.files import append_line, drop_lines_after

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.dataset import Samples

METRICS_FILE = "metrics.jsonl"


class TrackedRun(Protocol):
    """A run as a tracker follows it; what fails here is said once, and training goes on."""

    def metrics(self, row: dict[str, Any]) -> None:
        """Receive numbers by name beside their ``step``: a line of ``metrics.jsonl``, or scores."""

    def picture(self, step: int, picture: Tensor) -> None:
        """Receive the sample picture of a step, uint8 ``(C, H, W)`` of 1, 3 or 4 channels."""

    def discriminator(
        self, step: int, discriminator: nn.Module, fake: Samples, real: Samples
    ) -> None:
        """Look at the discriminator at the step of a sample picture; may be left out.

        Args:
            step: Steps done.
            discriminator: The network on the device of the training, in training mode. Its weights,
                buffers and modes are to be left as they are.
            fake: The samples of the picture, with the classes that were asked for, if any were.
            real: The training data.
        """

    def warned(self, step: int, message: str) -> None:
        """Receive what a person is warned of, such as that the run diverged; may be left out."""

    def close(self) -> None:
        """Write what is left; the run has ended, well or not."""


class Tracker(Component, ABC):
    """Base of trackers. None may ask for a login: what needs one reads it from its own settings."""

    def check(self) -> None:
        """Refuse to work, before the run's folder appears, if something is missing; else nothing.

        Raises:
            ganzoo.errors.GanzooError: what is missing, and how to get it.
        """

    @abstractmethod
    def start(self, folder: Path, config: dict[str, Any], step: int) -> TrackedRun:
        """Begin to follow a run, or again, after ``close``, when it went back after divergence.

        Args:
            folder: The run's folder; what the tracker writes to disk belongs in it.
            config: What ``config.json`` holds.
            step: Steps done. Greater than 0 for a resumed run, which repeats what comes after:
                what was received beyond this step is to be dropped.
        """


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


class Followers:
    """Every tracker of a run: the file of metrics, and those that were asked for.

    One that fails is named once and left out from there; a run does not end because something
    that watches it does.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._following: dict[str, TrackedRun] = {}
        self._metrics_file: JsonLinesRun | None = None

    def start(
        self, trackers: Mapping[str, Tracker], folder: Path, config: dict[str, Any], step: int
    ) -> None:
        """Begin to follow a run, or again from an earlier step."""
        self.close()
        self._metrics_file = JsonLines().start(folder, config, step)
        for name, tracker in trackers.items():
            with self._guarded(name):
                self._following[name] = tracker.start(folder, config, step)

    def metrics(self, row: dict[str, Any]) -> None:
        """Pass a line of metrics on."""
        if self._metrics_file:
            self._metrics_file.metrics(row)
        for name, run in list(self._following.items()):
            with self._guarded(name):
                run.metrics(dict(row))

    def scores(self, step: int, values: Mapping[str, float]) -> None:
        """Pass the scores of a snapshot on, each called ``score/`` and its metric."""
        row = {"step": step, **{f"score/{name}": value for name, value in values.items()}}
        for name, run in list(self._following.items()):
            with self._guarded(name):
                run.metrics(dict(row))

    def warning(self, step: int, name: str, message: str) -> None:
        """Keep a warning in the file of metrics; trackers receive numbers alone."""
        if self._metrics_file:
            self._metrics_file.metrics({"step": step, "warning": name, "message": message})

    def picture(self, step: int, picture: Tensor) -> None:
        """Pass a sample picture on."""
        for name, run in list(self._following.items()):
            with self._guarded(name):
                run.picture(step, picture)

    def discriminator(
        self, step: int, discriminator: nn.Module, fake: Samples, real: Samples
    ) -> None:
        """Show the discriminator to those that look at it."""
        for name, run in list(self._following.items()):
            if hasattr(run, "discriminator"):
                with self._guarded(name):
                    run.discriminator(step, discriminator, fake, real)

    def warned(self, step: int, message: str) -> None:
        """Pass on what a person is warned of to those that receive it."""
        for name, run in list(self._following.items()):
            if hasattr(run, "warned"):
                with self._guarded(name):
                    run.warned(step, message)

    def close(self) -> None:
        """End every one of them."""
        while self._following:
            name, run = self._following.popitem()
            with self._guarded(name):
                run.close()

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._following.pop(name, None)
            self._warn(f"tracker '{name}' failed and is left out from here: {first_line(error)}")
