"""The curves and scores of runs as a table in a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.errors import InputError
from ganzoo.protocols.tracker import METRICS_FILE
from ganzoo.runs.scores import read_logged_scores
from ganzoo.storage.files import write_text
from ganzoo.storage.paths import refuse_existing
from ganzoo_zoo.apps.report import scores
from ganzoo_zoo.apps.report.history import metric_name, read_history
from ganzoo_zoo.apps.report.names import name_runs
from ganzoo_zoo.apps.report.numbers import PREFIX, read_numbers
from ganzoo_zoo.apps.report.tracker_files import TrackerFiles

if TYPE_CHECKING:
    from ganzoo.runs.folder import Run
    from ganzoo.runs.metrics import Curve
    from ganzoo.runs.scores import ScoreRow

HEADER = ("run", "metric", "step", "value")


def check_csv_path(path: Path, replace: bool) -> None:
    """Check that a table can be written to a path.

    Raises:
        InputError: it cannot.
    """
    if path.suffix.lower() != ".csv":
        raise InputError(f"--csv {path}: the table must be a .csv")
    refuse_existing(path, replace, "--csv")


def write_csv(runs: Sequence[Run], path: Path) -> int:
    """Write the curves and scores of runs, a line for each value: run, metric, step, value.

    A curve has the points that :class:`ganzoo.runs.metrics.CurveReader` keeps: all of them, up to
    16,384. Two scores of a metric that were taken in different ways are told apart by a number
    after the metric. The file is written atomically.

    Args:
        runs: The runs, each once.
        path: The file, which is overwritten.

    Returns:
        The number of values.

    Raises:
        ganzoo.errors.InputError: a file of a run is damaged, or a run is named twice.
        OSError: a file cannot be read or written.
    """
    rows = [read_logged_scores(run.score_log) for run in runs]
    names = scores.name_metrics(row for each in rows for row in each)
    text, count = io.StringIO(), 0
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for name, run, own in zip(name_runs(runs), runs, rows, strict=True):
        for metric, curve in (*_read_curves(run), *_score_curves(own, names)):
            writer.writerows((name, metric, step, curve[step]) for step in sorted(curve))
            count += len(curve)
    write_text(path, text.getvalue())
    return count


def _read_curves(run: Run) -> Iterator[tuple[str, Curve]]:
    logits = TrackerFiles(run.path).read_logits()
    history = read_history(run.path / METRICS_FILE, run.config(), logits)
    for title, curves in history.curves.items():
        for label, curve in curves.items():
            yield metric_name(title, label), curve
    for name, curve in read_numbers(run.path).curves.items():
        yield f"{PREFIX}/{name}", curve


def _score_curves(rows: Sequence[ScoreRow], names: dict[str, str]) -> Iterator[tuple[str, Curve]]:
    for same in scores.group_comparable(rows):
        yield names[same[0].key], scores.score_curve(same)
