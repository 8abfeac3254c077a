"""The folder of a sweep: what it is, and a folder for each of its runs."""

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
LOG_FILE = "workers.log"
"""What processes say that is of no single run, such as why they fell over."""


class Plan(Options):
    """All that is needed to go on with a sweep."""

    format: Literal[1] = 1
    grid: Grid
    metrics: tuple[str, ...] = ()
    """None for all that fit the data."""
    samples: int | None = Field(default=None, ge=1)
    """Fakes that each run is judged by."""
    threads: int = Field(ge=1)
    """Threads of each run, on which the bytes that it ends in depend."""


def read_plan(folder: Path) -> Plan:
    """Read what a sweep is.

    Raises:
        InputError: the folder is no sweep's, or its file is damaged.
    """
    path = folder / PLAN_FILE
    if not path.is_file():
        raise InputError(f"{folder} is no sweep: it has no {PLAN_FILE}")
    try:
        return Plan.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError(f"{path} is not what a sweep is: {explain_error(error)}") from None


def write_plan(folder: Path, plan: Plan) -> None:
    """Write what a sweep is."""
    write_text(folder / PLAN_FILE, to_json(plan.model_dump(mode="json")))


def continue_plan(folder: Path, plan: Plan, cells: Iterable[Cell]) -> Plan:
    """Return the plan under which a folder is gone on with; a fresh folder takes any.

    More may be asked for than before, but nothing else: all runs that were planned must be among
    the cells. Runs that single commands trained there are taken over.

    Raises:
        InputError: the folder holds another sweep, or something else.
    """
    cells = {cell.name: cell for cell in cells}
    if not (folder / PLAN_FILE).exists():
        if folder.exists() and not (folder.is_dir() and _list_content(folder) <= cells.keys()):
            raise InputError(f"{folder} exists already and is no sweep; choose another --out")
        return plan
    before = read_plan(folder)
    again = f"{folder} holds another sweep"
    ways = f"choose another --out, or go on with --resume {folder}"
    for word, mine, theirs in (
        ("metric", plan.metrics, before.metrics),
        ("samples", plan.samples, before.samples),
    ):
        if mine != theirs:
            raise InputError(f"{again}, of another --{word}; {ways}")
    for cell in before.grid.cells():
        if cell.name not in cells or not cells[cell.name].is_same_run(cell):
            raise InputError(f"{again}, with a run {cell.name} that is not in this one; {ways}")
    return plan.model_copy(update={"threads": before.threads})


def _list_content(folder: Path) -> set[str]:
    """List what is in a folder, but for what a sweep leaves that died before it wrote its plan."""
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def choose_folder(grid: Grid, cells: Iterable[Cell]) -> Path:
    """Choose a folder under ``runs/`` that is not there."""
    data = dict.fromkeys(cell.config.data.name for cell in cells)
    names = [*(name.rpartition(":")[2] for name in grid.architectures), *data]
    stem = "-".join(["sweep", *names])[:100] + datetime.now().strftime("-%Y%m%d-%H%M%S")
    path, taken = Path(RUNS_FOLDER) / stem, 1
    while path.exists():
        taken += 1
        path = Path(RUNS_FOLDER) / f"{stem}-{taken}"
    return path
