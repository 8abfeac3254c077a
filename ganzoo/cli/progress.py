"""Progress on standard error: a live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ganzoo.cli.common import note
from ganzoo.loop import Observer

if TYPE_CHECKING:
    from ganzoo.config import RunConfig
    from ganzoo.run import Run
    from ganzoo.scores import ScoreRow

SECONDS_BETWEEN_LINES = 10.0


class _Bars:
    """Bars in a terminal, which are gone when the block is left; none elsewhere."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self.progress = _bar(console) if console.is_terminal else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        if self.progress:
            self.progress.stop()


class Counter(_Bars):
    """Shows how far long work is; called with what is done, how much, and how much there is."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[str, Any] = {}
        self.said = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Move a bar, which is gone when its work is done, or say a line now and then."""
        if self.progress:
            if what not in self.tasks:
                self.tasks[what] = self.progress.add_task(what, total=total, shown="")
                self.progress.start()
            self.progress.update(self.tasks[what], completed=done)
            if done >= total:
                self.progress.remove_task(self.tasks.pop(what))
        elif time.monotonic() - self.said >= SECONDS_BETWEEN_LINES:
            self.said = time.monotonic()
            note(f"{what}: {done} of {total}")


class ProgressObserver(Counter, Observer):
    """Shows a run's losses, images per second and time left."""

    def __init__(self) -> None:
        super().__init__()
        self.task: Any = None
        self.steps = 0
        self.first: tuple[float, int] = (0.0, 0)

    def started(self, run: Run, config: RunConfig, step: int) -> None:
        """Say what is trained and where."""
        going_on = f", from step {step}" if step else ""
        note(f"{config.title}: {config.train.steps} steps in {run.path}{going_on}")
        self.steps = config.train.steps
        self.first = (time.monotonic(), step)
        self.said = self.first[0]
        if self.progress:
            self.task = self.progress.add_task("", total=self.steps, completed=step, shown="")
            self.progress.start()

    def stepped(self, step: int) -> None:
        """Move the bar."""
        if self.progress:
            self.progress.update(self.task, completed=step)

    def logged(self, row: dict[str, Any]) -> None:
        """Show the losses: beside the bar, or as a line now and then."""
        shown = _losses(row)
        if self.progress:
            self.progress.update(self.task, shown=shown)
        elif time.monotonic() - self.said >= SECONDS_BETWEEN_LINES or row["step"] == self.steps:
            self.said = time.monotonic()
            note(f"step {row['step']}/{self.steps}  {shown}  {self._left(row['step'])}")

    def scored(self, rows: list[ScoreRow]) -> None:
        """Show the scores of a snapshot, as a line that stays."""
        found = "  ".join(f"{row.metric} {row.shown()}" for row in rows)
        note(f"step {rows[0].step}/{self.steps}  {found}")

    def progressed(self, what: str, done: int, total: int) -> None:
        """Show how far other long work is, as long as it lasts."""
        self(what, done, total)

    def warned(self, message: str) -> None:
        """Print a warning."""
        note(f"warning: {message}")

    def _left(self, step: int) -> str:
        began, first = self.first
        seconds = (time.monotonic() - began) / max(1, step - first) * (self.steps - step)
        return f"{round(seconds)} s left"


def _bar(console: Any) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[shown]}", markup=False),
        console=console,
        transient=True,
    )


def _losses(row: dict[str, Any]) -> str:
    """Name each network's loss, the sum of its terms, and the speed."""
    sums = {"discriminator": 0.0, "generator": 0.0}
    for key, value in row.items():
        network, _, name = key.partition("/")
        if network in sums and name != "gradient_norm":
            sums[network] += value
    losses = "  ".join(f"{network} {value:.3f}" for network, value in sums.items())
    return f"{losses}  {row['images_per_second']:.0f} images/s"
