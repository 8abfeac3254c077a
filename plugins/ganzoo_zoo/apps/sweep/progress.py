"""Progress of a sweep on standard error."""

from __future__ import annotations

from pathlib import Path

from ganzoo.display.formats import format_duration
from ganzoo.display.messages import note, print_warning
from ganzoo.display.terminal import ProgressBar
from ganzoo_zoo.apps.sweep.grid import Cell
from ganzoo_zoo.apps.sweep.observer import SweepObserver
from ganzoo_zoo.apps.sweep.results import Verdict


class Progress(ProgressBar, SweepObserver):
    """Shows one progress bar for the steps of all runs, and a line for each finished run."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.done: dict[str, int] = {}

    def on_start(self, folder: Path, what: str, done: int, steps: int) -> None:
        """Print the size and the folder of the sweep."""
        going_on = f", {done} already done" if done else ""
        note(f"{what} in {folder}{going_on}")
        self.steps = steps

    def on_step(self, cell: Cell, step: int) -> None:
        """Update the progress bar."""
        self.done[cell.name] = step
        self("steps of all runs", sum(self.done.values()), self.steps)

    def on_end(self, cell: Cell, verdict: Verdict, seconds: float, left: int, wait: float) -> None:
        """Print the result of a run, and the number of remaining runs."""
        self.on_step(cell, cell.config.train.steps)
        found = f"failed: {verdict.error}"
        if verdict.pruned_at is not None:
            found = f"pruned at step {verdict.pruned_at}"
        elif verdict.error is None:
            first = verdict.scores[0]
            found = f"{first.metric} {first.format_value()}"
        more = f"; {left} left, about {format_duration(wait)}" if left else ""
        note(f"{cell.label}: {found}, after {format_duration(seconds)}{more}")

    def on_warning(self, message: str) -> None:
        """Print a warning."""
        print_warning(message)
