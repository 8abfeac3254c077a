"""A run as one self-contained HTML page: what was trained, how it went, and what came out.

``ganzoo report`` is the command for it; ``--tracker report`` writes it at the end of training.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.errors import InputError
from ganzoo_zoo.apps.report.summary import Report

if TYPE_CHECKING:
    from ganzoo.runs.folder import Run

REPORT_FILE = "report.html"
"""Name of the report in the run's folder."""
NEIGHBOURS = 8
"""Default number of fakes that are shown beside their nearest training samples."""
MOST_NEIGHBOURS = 32


def report(
    run: Run | str | Path | None = None,
    path: str | Path | None = None,
    *,
    neighbours: int = NEIGHBOURS,
    replace: bool = False,
) -> Report:
    """Write a run as one HTML file that needs no network. The file is written atomically.

    With the same packages, the same run gives the same bytes. Parts that are missing or damaged,
    such as the data of somebody else's run, are listed in the report.

    Args:
        run: The run, or its folder; the newest run if None.
        path: The file; if None, ``report.html`` in the run's folder, which replaces an older one.
        neighbours: Number of fakes to show beside their nearest training samples, at most 32. With
            0, neither the model nor the data are read.
        replace: Whether to overwrite an existing file at ``path``.

    Raises:
        InputError: there is no such run, its configuration is damaged, or the path is not usable.
    """
    from ganzoo.runs.folder import Run, newest_run
    from ganzoo.storage.paths import user_path

    if not 0 <= neighbours <= MOST_NEIGHBOURS:
        raise InputError(f"neighbours must be 0 to {MOST_NEIGHBOURS}, not {neighbours}")
    if run is None:
        run = newest_run()
    elif not isinstance(run, Run):
        run = Run.open(user_path(run))
    if path is not None:
        path = user_path(path)
        _check_path(path, replace)
    from ganzoo_zoo.apps.report.page import write_report  # which loads torch

    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    return write_report(run, path or run.path / REPORT_FILE, neighbours)


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
