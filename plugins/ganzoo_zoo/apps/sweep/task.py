"""One run of a sweep: training or resuming it, and evaluating it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganzoo.api.evaluation import evaluate
from ganzoo.api.training import resume, start
from ganzoo.component import Options
from ganzoo.config import RunConfig
from ganzoo.errors import GanzooError, InputError, first_line
from ganzoo.evaluation.metrics import choose_ranking_metrics
from ganzoo.models.model import load
from ganzoo.resolve import resolve
from ganzoo.runs.folder import Run
from ganzoo.runs.scores import ScoreRow, read_scores, write_scores
from ganzoo.storage.files import name_file
from ganzoo.training.observer import Observer
from ganzoo_zoo.apps.sweep.folder import Plan
from ganzoo_zoo.apps.sweep.grid import Cell
from ganzoo_zoo.apps.sweep.pruning import Pruned, Pruner

LOG_FILE = "sweep.log"
PATIENCE = 60.0
"""Seconds to wait for a process of a killed sweep, which saves the state of its run."""
SECONDS_BETWEEN_LINES = 10.0


class Task(Options):
    """The description of a run for a worker process."""

    folder: str
    architecture: str
    loss: str | None
    data: str | None
    settings: dict[str, str]
    metrics: tuple[str, ...]
    samples: int | None
    threads: int
    trial: int | None = None
    """Number of the trial, if a search may end it early."""
    storage: str = ""
    """URL of the search's database."""

    @property
    def names(self) -> dict[str, str]:
        """The components that are named; the architecture chooses the others."""
        named = {"architecture": self.architecture, "loss": self.loss, "data": self.data}
        return {word: name for word, name in named.items() if name is not None}


def make_task(cell: Cell, folder: Path, plan: Plan) -> Task:
    """Describe a run of a sweep.

    Args:
        cell: The run.
        folder: The sweep's folder.
        plan: The plan of the sweep.
    """
    return Task(
        folder=str(folder / cell.name),
        architecture=cell.architecture,
        loss=cell.loss,
        data=cell.data,
        settings=dict(cell.settings),
        metrics=plan.metrics,
        samples=plan.samples,
        threads=plan.threads,
    )


def read_final_scores(folder: Path) -> list[ScoreRow] | None:
    """Return the final scores of a run; None if it has not been evaluated yet.

    Raises:
        InputError: the scores are damaged.
    """
    return read_scores(folder) or None


def run_task(task: Task, stepped: Callable[[int], None]) -> list[ScoreRow]:
    """Train or resume a run, evaluate it, and return its scores.

    Messages go to a log in the run's folder.

    Args:
        task: The run.
        stepped: Called with the step at each line of ``metrics.jsonl``.

    Raises:
        GanzooError: the run cannot be trained or evaluated.
        ganzoo.errors.Interrupted: the run was stopped and has saved its state.
        Pruned: a search ended the run.
    """
    folder = Path(task.folder)
    config = resolve(task.architecture, task.loss, task.data, task.settings)
    pruner = None
    if task.trial is not None:
        pruner = Pruner(task.storage, task.trial, config.train.steps)
    log = RunLog(stepped, pruner)
    try:
        if Run(folder).is_run():
            _wait_for_lock(folder)
            run = resume(folder, {**task.names, **task.settings}, log, progress=False)
        else:
            run = start(config.model_copy(update={"threads": task.threads}), folder, log)
        rows = _judge(run, task, log.on_warning)
        write_scores(folder, rows)
    except GanzooError as error:
        log.write_line(str(error))
        raise
    except Pruned as pruned:
        log.write_line(f"pruned at step {pruned.step}")
        raise
    except Exception:
        log.write_line(traceback.format_exc())
        raise
    log.write_line("  ".join(f"{row.metric} {row.format_value()}" for row in rows))
    return rows


def describe_error(error: Exception) -> str:
    """Describe in one line why a run failed."""
    if isinstance(error, GanzooError):
        return "; ".join(str(error).splitlines())
    if isinstance(error, OSError):
        return str(error)
    return f"{type(error).__name__}: {first_line(error)}"


class RunLog(Observer):
    """Writes the messages of a run to a log in its folder, once the folder exists.

    Args:
        report_step: Called with the step at each line of metrics.
        pruner: Called with the scores of each snapshot.
    """

    def __init__(
        self,
        report_step: Callable[[int], None],
        pruner: Callable[[list[ScoreRow]], None] | None = None,
    ) -> None:
        self.report_step = report_step
        self.pruner = pruner
        self.file: Path | None = None
        self.early: list[str] = []
        self.last_write = 0.0

    def write_line(self, text: str) -> None:
        """Add a line."""
        if self.file is None:
            self.early.append(text)
            return
        opened = self.file.open("a", encoding="utf-8", errors="replace")
        with name_file(self.file), opened as file:
            file.write(f"{text}\n")

    def on_start(self, run: Run, config: RunConfig, step: int) -> None:
        """Start or continue the log."""
        if self.file is None:
            self.file = run.path / LOG_FILE
        going_on = f", from step {step}" if step else ""
        early, self.early = self.early, []
        for text in [*early, f"{config.title}: {config.train.steps} steps{going_on}"]:
            self.write_line(text)

    def on_log(self, row: dict[str, Any]) -> None:
        """Report the step, and write a line from time to time."""
        self.report_step(row["step"])
        if time.monotonic() - self.last_write >= SECONDS_BETWEEN_LINES:
            self.last_write = time.monotonic()
            self.write_line(f"step {row['step']}, {row['images_per_second']:.0f} images/s")

    def on_scores(self, rows: list[ScoreRow]) -> None:
        """Write the scores of a snapshot, and ask whether to go on.

        Raises:
            Pruned: a search ends the run.
        """
        self.write_line(
            "  ".join(
                [f"step {rows[0].step}", *(f"{row.metric} {row.format_value()}" for row in rows)]
            )
        )
        if self.pruner is not None:
            self.pruner(rows)

    def on_warning(self, message: str) -> None:
        """Write a warning."""
        self.write_line(f"warning: {message}")


def _judge(run: Run, task: Task, warn: Callable[[str], None]) -> list[ScoreRow]:
    """Evaluate a run; without explicit metrics, those that can rank snapshots come first."""
    model = load(run)
    device = task.settings.get("train.device", "auto")
    rows = evaluate(
        model,
        task.metrics or None,
        samples=task.samples,
        device=device,
        progress=False,
        warn=warn,
    )
    if task.metrics:
        return rows
    try:
        ranking = choose_ranking_metrics((), model.config.spec)
    except InputError:  # no metric ranks these samples
        return rows
    return sorted(rows, key=lambda row: row.family not in ranking)


def _wait_for_lock(folder: Path) -> None:
    """Wait for a process of a killed sweep that is still saving the state of the run."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            with Run(folder).lock():
                return
        except InputError:
            time.sleep(0.1)
