"""Observing a sweep."""

from __future__ import annotations

from pathlib import Path

from ganzoo_zoo.apps.sweep.grid import Cell
from ganzoo_zoo.apps.sweep.results import Verdict


class SweepObserver:
    """Observes a sweep; every method is optional."""

    def on_start(self, folder: Path, what: str, done: int, steps: int) -> None:
        """Runs are about to be trained.

        Args:
            folder: The sweep's folder.
            what: How many runs, and of what.
            done: Number of runs that are already evaluated.
            steps: Total number of steps of the other runs, at most.
        """

    def on_step(self, cell: Cell, step: int) -> None:
        """A run has reached a step."""

    def on_end(self, cell: Cell, verdict: Verdict, seconds: float, left: int, wait: float) -> None:
        """A run was evaluated, it failed, or a search ended it.

        Args:
            cell: The run.
            verdict: Its outcome.
            seconds: How long it took.
            left: Number of remaining runs.
            wait: Estimated seconds for the remaining runs.
        """

    def on_warning(self, message: str) -> None:
        """There is a warning."""
