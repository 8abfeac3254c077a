"""The folder of a sweep, which holds its plan and a folder for each run."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from ganzoo.component import Options, explain_error
from ganzoo.errors import InputError
from ganzoo.runs.folder import RUNS_FOLDER
from ganzoo.storage.files import write_text
from ganzoo.storage.json_files import read_json, to_json
from ganzoo_zoo.apps.sweep.grid import Cell, Grid

PLAN_FILE = "sweep.json"
STORAGE_FILE = "optuna.db"
"""The trials of a search."""
LOG_FILE = "workers.log"
"""Output of worker processes that belongs to no single run, such as why a process crashed."""


class SearchOptions(Options):
    """How a search chooses its runs."""

    sampler: Literal["optuna"] = "optuna"
    trials: int = Field(ge=1)
    """Number of runs."""


class Plan(Options):
    """All that is needed to resume a sweep."""

    format: Literal[1] = 1
    grid: Grid
    metrics: tuple[str, ...] = ()
    """If empty, all metrics that fit the data."""
    samples: int | None = Field(default=None, ge=1)
    """Number of fakes for the evaluation of each run."""
    threads: int = Field(ge=1)
    """Number of threads of each run, on which its exact results depend."""
    search: SearchOptions | None = None
    """None if every combination of the grid is trained."""


def read_plan(folder: Path) -> Plan:
    """Read the plan of a sweep.

    Raises:
        InputError: the folder does not hold a sweep, or its plan is damaged.
    """
    path = folder / PLAN_FILE
    if not path.is_file():
        raise InputError(f"{folder} is not a sweep: it has no {PLAN_FILE}")
    try:
        return Plan.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError(f"{path} is not a valid plan: {explain_error(error)}") from None


def write_plan(folder: Path, plan: Plan) -> None:
    """Write the plan of a sweep."""
    exclude = None if plan.search else {"search"}
    write_text(folder / PLAN_FILE, to_json(plan.model_dump(mode="json", exclude=exclude)))


def continue_plan(folder: Path, plan: Plan, cells: Iterable[Cell]) -> Plan:
    """Return the plan to resume a folder with; a new folder accepts any plan.

    A sweep can be extended, but not changed otherwise: all earlier runs must be among the cells,
    and a search must choose from the same space.
    Runs that were trained there by single commands are used.

    Raises:
        InputError: the folder holds another sweep, or something else; or its name is not UTF-8.
    """
    try:
        str(folder.resolve()).encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(f"{folder}: the name is not UTF-8; choose another --out") from None
    named = {cell.name: cell for cell in cells}
    if not (folder / PLAN_FILE).exists():
        if folder.exists() and not (folder.is_dir() and _list_content(folder) <= named.keys()):
            raise InputError(f"{folder} already exists and is not a sweep; choose another --out")
        return plan
    before = read_plan(folder)
    again = f"{folder} holds another sweep"
    ways = f"choose another --out, or resume it with --resume {folder}"
    for word, mine, theirs in (
        ("metric", plan.metrics, before.metrics),
        ("samples", plan.samples, before.samples),
    ):
        if mine != theirs:
            raise InputError(f"{again}, with another --{word}; {ways}")
    if plan.search or before.search:
        if plan.grid != before.grid or not (plan.search and before.search):
            raise InputError(f"{again}, with other options; {ways}")
        return plan.model_copy(update={"threads": before.threads})
    for cell in before.grid.cells():
        if cell.name not in named or not named[cell.name].is_same_run(cell):
            raise InputError(f"{again}, with a run {cell.name} that is not in this one; {ways}")
    return plan.model_copy(update={"threads": before.threads})


def _list_content(folder: Path) -> set[str]:
    """List a folder without hidden files, which a sweep may leave if it dies early."""
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def choose_folder(grid: Grid, cells: Iterable[Cell]) -> Path:
    """Choose a new folder under ``runs/``."""
    data = dict.fromkeys(cell.config.data.name for cell in cells)
    names = [*(name.rpartition(":")[2] for name in grid.architectures), *data]
    stem = "-".join(["sweep", *names])[:100] + datetime.now().strftime("-%Y%m%d-%H%M%S")
    path, taken = Path(RUNS_FOLDER) / stem, 1
    while path.exists():
        taken += 1
        path = Path(RUNS_FOLDER) / f"{stem}-{taken}"
    return path
