"""The table of ``ganzoo list runs``."""

from __future__ import annotations

import shlex
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.cli.common import print_json, print_table
from ganzoo.display.messages import note
from ganzoo.errors import GanzooError, InputError, first_line

if TYPE_CHECKING:
    from ganzoo.runs.folder import Run
    from ganzoo.runs.state import RunProgress

RUNNING, STOPPED, BROKEN = "running", "stopped", "broken"
"""States, beside those that a run's folder tells."""
SHORTENED = ("run", "score")
"""Columns that are shortened, in this order, if a terminal is too narrow."""


def list_runs(folder: Path | None, as_json: bool) -> None:
    """Print the runs in a folder, newest first; ``runs/`` in the working folder if None.

    Raises:
        InputError: there is no such folder.
    """
    from ganzoo.runs.folder import RUNS_FOLDER
    from ganzoo.storage.paths import user_path

    place = user_path(RUNS_FOLDER if folder is None else folder)
    if folder is not None and not place.is_dir():
        raise InputError(f"there is no folder {folder}")
    found = [_describe(run) for run in _find_runs(place)]
    found.sort(key=lambda row: row["started"] or "", reverse=True)
    if as_json:
        print_json(found)
        return
    if not found:
        note(f"there is no run in {place}; 'ganzoo train --help' says how to train one")
        return
    _print_rows([_format_row(row) for row in found])
    for row in found:
        if row["state"] == BROKEN:
            note(f"broken: {row['problem']}")
    stopped = [row for row in found if row["state"] == STOPPED]
    if stopped:
        run = shlex.quote(stopped[0]["run"])
        note(f"to continue a stopped run: ganzoo train --resume {run}")


def _print_rows(rows: list[dict[str, str]]) -> None:
    """Print a table of the columns in which anything is said."""
    columns = [name for name in rows[0] if any(row[name] for row in rows)]
    cells = [[row[name] for name in columns] for row in rows]
    print_table(columns, cells, [name for name in SHORTENED if name in columns])


def _find_runs(folder: Path) -> list[Run]:
    """Find the runs directly in a folder, or the folder itself if it is a run."""
    from ganzoo.runs.folder import Run

    if Run(folder).is_run():
        return [Run(folder)]
    found: list[Run] = []
    with suppress(FileNotFoundError, NotADirectoryError):
        for path in folder.iterdir():
            with suppress(OSError):  # somebody else's folder, for example
                if Run(path).is_run():
                    found.append(Run(path))
    return found


def _describe(run: Run) -> dict[str, Any]:
    """Describe a run as ``--json`` does; of a broken one, say why."""
    from ganzoo.runs.state import read_progress

    row = dict.fromkeys(("architecture", "loss", "data", "step", "steps", "score", "problem"))
    row = {"run": str(run.path), "started": _find_start(run), "state": BROKEN, **row}
    try:
        progress = read_progress(run)
        score = _find_score(run, progress)
    except (GanzooError, OSError) as error:
        return {**row, "problem": first_line(error)}
    config = progress.config
    return {
        **row,
        "state": _name_state(progress),
        "architecture": config.architecture.name,
        "loss": config.loss.name,
        "data": config.data.name,
        "step": max(progress.step, progress.saved_step),
        "steps": config.train.steps,
        "score": score,
    }


def _name_state(progress: RunProgress) -> str:
    from ganzoo.runs.state import INTERRUPTED, SILENT, TRAINING, WAITING

    state = progress.find_state()
    words = {TRAINING: RUNNING, WAITING: RUNNING, INTERRUPTED: STOPPED, SILENT: STOPPED}
    return words.get(state, state)


def _find_start(run: Run) -> str | None:
    """Return when a run began, in ISO 8601: when the first of its files was written."""
    from ganzoo.runs.folder import CONFIG_FILE

    times = []
    for path in (run.path / CONFIG_FILE, run.picture(0)):  # a resumed run may write the first anew
        with suppress(OSError):
            times.append(path.stat().st_mtime)
    with suppress(OSError, OverflowError, ValueError):
        return datetime.fromtimestamp(min(times)).astimezone().isoformat(timespec="seconds")
    return None


def _find_score(run: Run, progress: RunProgress) -> dict[str, Any] | None:
    """Return the score of the best snapshot, or else the newest score; None without any."""
    from pydantic import ValidationError

    from ganzoo.runs.scores import ScoreRow, read_scores
    from ganzoo.storage.json_files import read_last_rows

    rows: list[ScoreRow] = []
    for folder in (run.best, run.model):
        with suppress(InputError):  # damaged scores are no reason to hide the run
            rows = rows or read_scores(folder)
    if not rows:
        for line in read_last_rows(run.score_log):
            with suppress(ValidationError):
                rows = [ScoreRow.model_validate(line), *rows]
    wanted = progress.config.train.eval_metric
    row = next((row for row in rows if row.family in wanted), rows[0] if rows else None)
    if row is None:
        return None
    return {
        "metric": row.metric,
        "value": row.value,
        "higher_is_better": row.higher_is_better,
        "step": row.step,
    }


def _format_row(row: dict[str, Any]) -> dict[str, str]:
    is_broken, score = row["state"] == BROKEN, row["score"]
    return {
        "started": _format_time(row),
        "run": _format_run(row),
        "steps": "" if is_broken else f"{row['step']}/{row['steps']}",
        "score": f"{score['value']:.4g} {score['metric']}" if score else "",
        "state": row["state"],
    }


def _format_time(row: dict[str, Any]) -> str:
    """Format the start of a run for people: without the year if it is this one."""
    if row["started"] is None:
        return ""
    started = datetime.fromisoformat(row["started"])
    is_recent = started.year == datetime.now().year
    return started.strftime("%d %b %H:%M" if is_recent else "%d %b %Y")


def _format_run(row: dict[str, Any]) -> str:
    """Name a run, and its parts unless its own name begins with them."""
    name = Path(row["run"]).absolute().name
    parts = [row[word] for word in ("architecture", "loss", "data")]
    if row["state"] == BROKEN or name.startswith("-".join(parts)):
        return name
    return f"{name} ({', '.join(parts)})"
