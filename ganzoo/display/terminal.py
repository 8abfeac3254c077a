"""Progress on standard error: a live display in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ganzoo.display.formats import format_duration, format_speed, format_terms
from ganzoo.display.messages import note, print_warning
from ganzoo.runs.metrics import loss_terms
from ganzoo.training.observer import Observer

if TYPE_CHECKING:
    from rich.console import RenderableType
    from torch import Tensor

    from ganzoo.config import RunConfig
    from ganzoo.display.preview import Preview
    from ganzoo.runs.folder import Run
    from ganzoo.runs.scores import ScoreRow

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_PREVIEWS = 1.0
REFRESHES = 2
"""Refreshes of the live display per second; more cost too much, as a preview has tens of kB."""


class _Bars:
    """Bars in a terminal that disappear at the end of the block; none elsewhere."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        live = console.is_terminal and not console.is_dumb_terminal
        self.progress = _LiveDisplay(console) if live else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        if self.progress:
            self.progress.stop()


class ProgressBar(_Bars):
    """A bar for long work: a :data:`ganzoo.progress.Listener`."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[str, Any] = {}
        self.last_note = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Move a bar, and remove it when its work is done; without bars, print a line at times."""
        if self.progress:
            if what not in self.tasks:
                self.tasks[what] = self.progress.add_task(what, total=total, shown="left")
                self.progress.start()
            self.progress.update(self.tasks[what], completed=done)
            if done >= total:
                self.progress.remove_task(self.tasks.pop(what))
        elif time.monotonic() - self.last_note >= SECONDS_BETWEEN_LINES:
            self.last_note = time.monotonic()
            note(f"{what}: {done} of {total}")


class ProgressObserver(ProgressBar, Observer):
    """Shows a run's losses, images per second, time left and newest samples.

    Args:
        prints_warnings: Whether warnings are printed as lines, and not Python's.
    """

    def __init__(self, *, prints_warnings: bool = True) -> None:
        super().__init__()
        self.prints_warnings = prints_warnings
        self.task: Any = None
        self.steps = 0
        self.first: tuple[float, int] = (time.monotonic(), 0)
        self.done = 0
        """Number of steps done in this process."""
        self.seconds = 0.0
        """Duration of these steps and everything between them."""
        self.row: dict[str, Any] = {}
        """The newest line of metrics."""
        self.warnings = 0
        self.rows_per_group = 1
        """Rows of samples in the preview: 2 for sources and their translations."""
        self.picture: tuple[Tensor, str] | None = None
        """The newest picture if it has not been shown yet, and its layout."""
        self.last_preview = float("-inf")

    def on_start(self, run: Run, config: RunConfig, step: int) -> None:
        """Print what is trained, and where."""
        start = f", from step {step}" if step else ""
        note(f"{config.title}: {config.train.steps} steps in {run.path}{start}")
        self.steps = config.train.steps
        self.first = (time.monotonic(), step)
        self.last_note = self.first[0]
        if self.progress:
            from ganzoo.registry import ARCHITECTURE

            takes_latents = config.architecture.build(ARCHITECTURE).takes_latents
            self.rows_per_group = 1 if takes_latents else 2
            self.task = self.progress.add_task(
                "step", total=self.steps, completed=step, shown="left"
            )
            self.progress.start()

    def on_step(self, step: int) -> None:
        """Move the bar."""
        self.done = step - self.first[1]
        if self.progress:
            self.progress.update(self.task, completed=step)

    def on_log(self, row: dict[str, Any]) -> None:
        """Show the losses, above the bar or in a line from time to time."""
        self.row = row
        if self.progress:
            self.progress.update(self.task, shown=f"left  {format_speed(row)}")
            self.progress.losses = loss_terms(row)
            self._preview()
        elif (
            time.monotonic() - self.last_note >= SECONDS_BETWEEN_LINES or row["step"] == self.steps
        ):
            self.last_note = time.monotonic()
            parts = [
                f"{network} {sum(terms.values()):.3f}" for network, terms in loss_terms(row).items()
            ]
            left = format_duration(self._seconds_left(row["step"]))
            parts += [format_speed(row), f"{left} left"]
            note(f"step {row['step']}/{self.steps}  {'  '.join(parts)}")

    def on_picture(self, step: int, picture: Tensor, layout: str) -> None:
        """Show the samples if the terminal can, at most once a second."""
        if self.progress:
            self.picture = picture, layout
            self._preview()

    def on_scores(self, rows: list[ScoreRow]) -> None:
        """Print the scores of a snapshot."""
        values = "  ".join(f"{row.metric} {row.format_value()}" for row in rows)
        note(f"step {rows[0].step}/{self.steps}  {values}")

    def on_progress(self, what: str, done: int, total: int) -> None:
        """Show the progress of other long work while it lasts."""
        self(what, done, total)

    def on_warning(self, message: str) -> None:
        """Print a warning above the live display."""
        self.warnings += 1
        if self.prints_warnings:
            print_warning(message)

    def on_warning_end(self, warning: str, message: str) -> None:
        """Print that what was warned of has ended."""
        self.warnings = max(0, self.warnings - 1)
        note(message)

    def __exit__(self, *failure: object) -> None:
        """Remove the live display, and print the last samples of a run that finished."""
        self.seconds = time.monotonic() - self.first[0]
        super().__exit__(*failure)
        if self.progress and not any(failure):
            self.last_preview = float("-inf")
            self._preview()
            if self.progress.preview is not None:
                self.progress.console.print(self.progress.preview)

    def _preview(self) -> None:
        now = time.monotonic()
        too_soon = now - self.last_preview < SECONDS_BETWEEN_PREVIEWS
        if self.progress is None or self.picture is None or too_soon:
            return
        from ganzoo.display.preview import Preview, can_show

        if can_show(self.progress.console):
            self.progress.preview = Preview(*self.picture, self.rows_per_group)
        self.picture, self.last_preview = None, now

    def _seconds_left(self, step: int) -> float:
        began, first = self.first
        return (time.monotonic() - began) / max(1, step - first) * (self.steps - step)


class _LiveDisplay(Progress):
    """The newest samples, the terms of each network's loss, and bars, from top to bottom."""

    losses: Mapping[str, Mapping[str, float]] | None = None
    preview: Preview | None = None

    def __init__(self, console: Console) -> None:
        super().__init__(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[shown]}", markup=False),
            console=console,
            transient=True,
            refresh_per_second=REFRESHES,
        )

    def get_renderables(self) -> Iterator[RenderableType]:
        if self.preview is not None:
            yield self.preview
        if self.losses is not None:
            lines = Table.grid(padding=(0, 2))
            lines.add_column(no_wrap=True, min_width=max(map(len, self.losses)))
            lines.add_column(no_wrap=True, overflow="ellipsis")
            for network, terms in self.losses.items():
                lines.add_row(network, format_terms(terms))
            yield lines
        yield self.make_tasks_table(self.tasks)
