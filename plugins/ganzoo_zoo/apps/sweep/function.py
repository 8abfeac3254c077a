"""``ganzoo.sweep``: a grid of runs from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.arguments import require_int, require_names, require_options, require_text
from ganzoo.config import name_keyword
from ganzoo.errors import GanzooError, InputError, warn_caller
from ganzoo.progress import report_progress
from ganzoo.runs.reproduce import format_argument
from ganzoo_zoo.apps.sweep.arguments import read_data
from ganzoo_zoo.apps.sweep.grid import Cell, Grid
from ganzoo_zoo.apps.sweep.observer import SweepObserver
from ganzoo_zoo.apps.sweep.sweep import sweep as train_grid

if TYPE_CHECKING:
    from ganzoo_zoo.apps.sweep.results import Results, Verdict


def sweep(
    architecture: str | Sequence[str],
    loss: str | Sequence[str] = (),
    data: str | Path | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    seeds: int | Sequence[int] = 1,
    metrics: Sequence[str] = (),
    samples: int | None = None,
    workers: int = 1,
    out: str | Path | None = None,
    **train_options: Any,
) -> Results:
    """Train a grid of runs, evaluate each, and rank them; as ``ganzoo sweep`` does.

    ``ganzoo.sweep("dcgan", loss=["wgan-gp", "hinge"], seeds=2, steps=400)``

    Every combination of the architectures, the losses and the values is trained with each seed, in
    processes of their own. With the ``out`` of an earlier call, the same sweep is resumed: finished
    runs are skipped, interrupted ones continue, and failed ones are retried.

    Args:
        architecture: Name of an architecture, or several.
        loss: Name of a loss, or several; if empty, each architecture's own.
        data: Name of a dataset, or a path; if None, each architecture's own.
        settings: Options by their full names. A list gives several values, each for runs of its
            own: ``{"loss.gp_weight": [1, 10]}``. A value that is a list itself is a tuple here.
        seeds: A number of seeds, counted from 0, or the seeds.
        metrics: Metrics that evaluate each run at its end, of which the first ranks; if empty, all
            that fit the data.
        samples: Number of fakes; as many as the reals, at most 10,000, if None.
        workers: Number of processes; each has its share of the threads.
        out: The sweep's folder, with a folder for each run; a new one under ``runs/`` if None.
        train_options: Options that :func:`ganzoo.train` takes by these names, such as
            ``steps=400``; a list gives several values.

    Returns:
        The results: ``results.table()``, ``results.folder``, and the runs that failed, about which
        there is a warning.

    Raises:
        InputError: a name, an option or a value is wrong, or the folder holds something else. No
            run was started.
        GanzooError: every run failed.
        ganzoo.errors.Interrupted: a signal stopped the sweep, and each run saved its state.
    """
    if data is not None:
        data = read_data(require_text("the name of a dataset or a path, as runs read it", data))
    given = {**require_options("settings", settings)}
    for name, value in train_options.items():
        if (full := name_keyword(name)) in given:
            raise InputError(f"{full} is given twice: in settings and as {name}=")
        given[full] = value
    grid = Grid(
        architectures=_list_names("architectures", architecture),
        losses=_list_names("losses", loss),
        data=data,
        settings={name: _list_values(name, value) for name, value in given.items()},
        seeds=_list_seeds(seeds),
    )
    metrics, workers = require_names("metrics", metrics), require_int("workers", workers, 1)
    samples = None if samples is None else require_int("samples", samples, 1)
    results = train_grid(
        grid, out, metrics=metrics, samples=samples, workers=workers, watcher=_Listener()
    )
    failures = [f"{cell.label}: {results.verdicts[cell.name].error}" for cell in results.failed]
    if len(failures) == len(results.cells):
        raise GanzooError(f"all {len(failures)} runs in {results.folder} failed; {failures[0]}")
    for failure in failures:
        warn_caller(f"a run failed: {failure}")
    return results


class _Listener(SweepObserver):
    """Reports the steps of all runs to whoever listens; warnings are Python's."""

    def __init__(self) -> None:
        self.steps = 0
        self.done: dict[str, int] = {}

    def on_start(self, folder: Path, what: str, done: int, steps: int) -> None:
        self.steps = steps

    def on_step(self, cell: Cell, step: int) -> None:
        self.done[cell.name] = step
        report_progress("steps of all runs", sum(self.done.values()), self.steps)

    def on_end(self, cell: Cell, verdict: Verdict, seconds: float, left: int, wait: float) -> None:
        self.on_step(cell, cell.config.train.steps)

    def on_warning(self, message: str) -> None:
        warn_caller(message)


def _list_names(what: str, given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else require_names(what, given)


def _list_seeds(given: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(given, Sequence) and not isinstance(given, str):
        return tuple(require_int("seeds", seed) for seed in given)
    return tuple(range(require_int("seeds", given, 1)))


def _list_values(name: str, given: Any) -> tuple[str, ...]:
    """Return the values of an option as texts, as a grid holds them.

    Raises:
        InputError: there is none, or it is no value of an option.
    """
    values = given if isinstance(given, list) else [given]
    if not values:
        raise InputError(f"{name} has no values: give one, or a list of them")
    kinds = {tuple: list, type(Path()): str}
    try:
        return tuple(
            format_argument(kinds.get(type(value), lambda one: one)(value)) for value in values
        )
    except TypeError:
        raise InputError(f"{name}: a value must be a number, a text, or a tuple of them") from None
