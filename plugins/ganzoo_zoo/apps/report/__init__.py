"""Runs as one self-contained HTML page: what was trained, how it went, and what came out.

``ganzoo report`` is the command for it; ``--tracker report`` writes it at the end of training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from ganzoo.errors import InputError
from ganzoo_zoo.apps.report.summary import Report, Reports

if TYPE_CHECKING:
    from ganzoo.runs.folder import Run

REPORT_FILE = "report.html"
"""Name of the report in the run's folder."""
NEIGHBOURS = 8
"""Default number of fakes that are shown beside their nearest training samples."""
MOST_NEIGHBOURS = 32
MOST_RUNS = 8
"""The most runs of a page: as many as there are colours."""


@overload
def report(  # type: ignore[overload-overlap]  # a str is also a sequence of str
    run: Run | str | Path | None = None,
    path: str | Path | None = None,
    *,
    neighbours: int = NEIGHBOURS,
    replace: bool = False,
) -> Report: ...


@overload
def report(
    run: Sequence[Run | str | Path],
    path: str | Path | None = None,
    *,
    neighbours: int = NEIGHBOURS,
    replace: bool = False,
) -> Reports: ...


def report(
    run: Run | str | Path | Sequence[Run | str | Path] | None = None,
    path: str | Path | None = None,
    *,
    neighbours: int = NEIGHBOURS,
    replace: bool = False,
) -> Report | Reports:
    """Write a run, or several side by side, as one HTML file that needs no network.

    The file is written atomically. With the same packages, the same run gives the same bytes. Parts
    that are missing or damaged, such as the data of somebody else's run, are listed in the report.

    Args:
        run: The run, or its folder; the newest run if None; or a list of at most 8.
        path: The file; if None, ``report.html`` in the run's folder, which replaces an older one.
            For several runs, ``report.html`` in the current folder.
        neighbours: Number of fakes to show beside their nearest training samples, at most 32. With
            0, neither the model nor the data are read, and no real sample is shown. Several runs
            have no neighbours; real samples are shown if all were trained on the same data.
        replace: Whether to overwrite an existing file at ``path``.

    Returns:
        What the report has: a ``Report``, or ``Reports`` for a list.

    Raises:
        InputError: there is no such run, its configuration is damaged, there are too many, or the
            path is not usable.
    """
    from ganzoo.runs.folder import newest_run
    from ganzoo.storage.paths import user_path

    if not 0 <= neighbours <= MOST_NEIGHBOURS:
        raise InputError(f"neighbours must be 0 to {MOST_NEIGHBOURS}, not {neighbours}")
    several = isinstance(run, Sequence) and not isinstance(run, str)
    if isinstance(run, Sequence) and not isinstance(run, str):
        if not 1 <= len(run) <= MOST_RUNS:
            raise InputError(f"a report has 1 to {MOST_RUNS} runs, not {len(run)}")
        runs = [_open(each) for each in run]
    else:
        runs = [newest_run() if run is None else _open(run)]
    if path is None and several:
        path = REPORT_FILE
    if path is not None:
        path = user_path(path)
        _check_path(path, replace)
    from ganzoo_zoo.apps.report.page import write_report  # which loads torch
    from ganzoo_zoo.apps.report.several import write_reports

    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    if several:
        assert path is not None
        return write_reports(runs, path, neighbours)
    return write_report(runs[0], path or runs[0].path / REPORT_FILE, neighbours)


def _open(run: Run | str | Path) -> Run:
    from ganzoo.runs.folder import Run
    from ganzoo.storage.paths import user_path

    return run if isinstance(run, Run) else Run.open(user_path(run))


def _check_path(path: Path, replace: bool) -> None:
    """Check that a report can be written to a path.

    Raises:
        InputError: it cannot.
    """
    from ganzoo.storage.paths import refuse_existing

    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out {path}: the report must be a .html")
    if path.is_dir():
        raise InputError(f"{path} is a folder; choose another --out")
    refuse_existing(path, replace)
