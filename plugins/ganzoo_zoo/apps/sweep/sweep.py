"""The functions behind ``ganzoo sweep``: training a grid, or resuming one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from ganzoo.errors import InputError, Interrupted
from ganzoo.runs.folder import Run
from ganzoo.storage.paths import user_path
from ganzoo_zoo.apps.sweep.check import check_cells
from ganzoo_zoo.apps.sweep.folder import (
    LOG_FILE,
    Plan,
    SearchOptions,
    choose_folder,
    continue_plan,
    read_plan,
    write_plan,
)
from ganzoo_zoo.apps.sweep.grid import Cell, Grid
from ganzoo_zoo.apps.sweep.observer import SweepObserver
from ganzoo_zoo.apps.sweep.picture import draw_picture
from ganzoo_zoo.apps.sweep.results import Results, Verdict
from ganzoo_zoo.apps.sweep.search import Search, require_optuna
from ganzoo_zoo.apps.sweep.space import Space
from ganzoo_zoo.apps.sweep.task import make_task, read_final_scores
from ganzoo_zoo.apps.sweep.workers import Ended, Workers


def sweep(
    grid: Grid,
    out: str | Path | None = None,
    *,
    metrics: Sequence[str] = (),
    samples: int | None = None,
    workers: int = 1,
    search: SearchOptions | None = None,
    watcher: SweepObserver | None = None,
) -> Results:
    """Train and evaluate every run of a grid, or search it, and write a table and a picture.

    A folder that holds a part of the same sweep is resumed: evaluated runs are skipped, interrupted
    ones continue from their checkpoints, and failed ones are retried.

    Args:
        grid: The grid.
        out: The sweep's folder; a new one under ``runs/`` if None.
        metrics: Metrics that evaluate each run at its end, of which the first ranks; if empty,
            those of ``ganzoo eval``.
        samples: Number of fakes for evaluation; if None, as in ``ganzoo eval``.
        workers: Number of processes; each has its share of the threads.
        search: How to choose from the grid's values and ranges; None to train every combination.
        watcher: Observer of the sweep.

    Raises:
        InputError: a name, an option or a value is wrong, parts do not fit together, or the folder
            holds something else. No run was started.
        ganzoo.errors.Interrupted: SIGINT, SIGTERM or SIGHUP stopped the sweep, and each run saved
            its state.
    """
    from ganzoo.compute.threads import choose_thread_count

    if workers < 1:
        raise InputError(f"--workers must be at least 1, not {workers}")
    if search is not None:
        require_optuna()
    cells = grid.cells() if search is None else Space(grid).corners()
    folder = user_path(out) if out else choose_folder(grid, cells)
    count = len(cells) if search is None else search.trials
    threads = max(1, choose_thread_count() // min(workers, count))
    plan = Plan(grid=grid, metrics=tuple(metrics), samples=samples, threads=threads, search=search)
    plan = continue_plan(folder, plan, cells)
    return _run(folder, plan, workers, watcher or SweepObserver())


def resume(folder: str | Path, workers: int = 1, watcher: SweepObserver | None = None) -> Results:
    """Resume a sweep by its saved plan.

    Raises:
        InputError: the folder does not hold a sweep.
        ganzoo.errors.Interrupted: SIGINT, SIGTERM or SIGHUP stopped the sweep.
    """
    if workers < 1:
        raise InputError(f"--workers must be at least 1, not {workers}")
    path = user_path(folder)
    plan = read_plan(path)
    if plan.search:
        require_optuna()
    return _run(path, plan, workers, watcher or SweepObserver())


def _run(folder: Path, plan: Plan, workers: int, watcher: SweepObserver) -> Results:
    cells: Sequence[Cell]
    if plan.search:
        cells = Space(plan.grid).corners()
        check_cells(cells, plan, watcher.on_warning)
    else:
        cells = plan.grid.cells()
        left = [cell for cell in cells if read_final_scores(folder / cell.name) is None]
        check_cells(left, plan, watcher.on_warning)
    folder.mkdir(parents=True, exist_ok=True)
    with Run(folder).lock():
        write_plan(folder, plan)
        if plan.search:
            cells, verdicts = Search(folder, plan, watcher).run(workers)
        else:
            verdicts = _train_cells(folder, plan, cells, workers, watcher)
        results = Results(folder, cells, verdicts)
        results.write()
        if results.metrics:
            draw_picture(results)
    return results


def _train_cells(
    folder: Path, plan: Plan, cells: Sequence[Cell], workers: int, watcher: SweepObserver
) -> dict[str, Verdict]:
    """Train and evaluate the remaining runs, and return the outcome of every run."""
    before = {cell.name: read_final_scores(folder / cell.name) for cell in cells}
    verdicts = {name: Verdict(rows) for name, rows in before.items() if rows is not None}
    left = {cell.name: cell for cell in cells if cell.name not in verdicts}
    steps = sum(cell.config.train.steps for cell in left.values())
    watcher.on_start(folder, plan.grid.describe(), len(verdicts), steps)
    tasks = {name: make_task(cell, folder, plan) for name, cell in left.items()}
    began = time.monotonic()
    with Workers(tasks, workers, folder / LOG_FILE) as pool:
        for news in pool.news():
            cell = left[news.name]
            if not isinstance(news, Ended):
                watcher.on_step(cell, news.step)
                continue
            verdicts[cell.name] = verdict = Verdict(news.scores or [], news.error)
            open_ones = len(cells) - len(verdicts)
            done = len(left) - open_ones
            wait = (time.monotonic() - began) / done * open_ones
            watcher.on_end(cell, verdict, news.seconds, open_ones, wait)
    if pool.signum is not None and len(verdicts) < len(cells):
        raise Interrupted(
            f"stopped with {len(verdicts)} of {len(cells)} runs done, states saved; resume with: "
            f"ganzoo sweep --resume {folder}",
            pool.signum,
        )
    return verdicts
