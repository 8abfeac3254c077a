"""A run as one page: what was trained, how it went, and what came out, in a file of its own.

``ganzoo report`` is this from the command line, ``--tracker report`` at the end of a training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.errors import InputError

if TYPE_CHECKING:
    from ganzoo.runs.folder import Run

REPORT_FILE = "report.html"
"""In the run's folder."""
NEIGHBOURS = 8
"""Fakes beside their nearest training samples, unless another number is asked for."""
MOST_NEIGHBOURS = 32


@dataclass(frozen=True)
class Report:
    """A report that was written, and what is in it."""

    run: Path
    file: Path
    bytes: int
    finished: bool
    """Whether all steps were done and the model is there."""
    step: int
    """The last step that anything in the run's folder is of."""
    steps: int
    """How many were asked for."""
    curves: tuple[str, ...]
    """Titles of the plots."""
    scores: int
    warnings: int
    pictures: int
    """Sample pictures that are in it."""
    pictures_found: int
    """Sample pictures that the run has."""
    surfaces: int
    """Pictures behind which the discriminator's logits are drawn."""
    neighbours: int
    """Fakes that are shown beside their nearest training samples."""
    missing: tuple[str, ...]
    """What could not be shown, each with the reason."""


def report(
    run: Run | str | Path | None = None,
    path: str | Path | None = None,
    *,
    neighbours: int = NEIGHBOURS,
    replace: bool = False,
) -> Report:
    """Write a run as one HTML file that needs no network, whole or not at all.

    The same run gives the same bytes, with the same packages. What is missing or damaged, such as
    the data of somebody else's run, is said in the report and does not end it.

    Args:
        run: The run, or its folder; the newest run if None.
        path: The file; ``report.html`` in the run's folder if None, where an older one is replaced.
        neighbours: Fakes that are shown beside their nearest training samples, at most 32. For 0
            neither the model nor the data are read.
        replace: Whether a file that is there may be replaced.

    Raises:
        InputError: there is no such run, its configuration is damaged, or the path does not suit.
    """
    from ganzoo.runs.folder import Run, newest_run
    from ganzoo.storage.paths import user_path
    from ganzoo_zoo.apps.report.page import write_report

    if not 0 <= neighbours <= MOST_NEIGHBOURS:
        raise InputError(f"neighbours must be 0 to {MOST_NEIGHBOURS}, not {neighbours}")
    if run is None:
        run = newest_run()
    elif not isinstance(run, Run):
        run = Run.open(user_path(run))
    if path is None:
        return write_report(run, run.path / REPORT_FILE, neighbours)
    path = user_path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out {path}: a report is written to a .html")
    if path.is_dir():
        raise InputError(f"{path} is a folder; choose another --out")
    if path.exists() and not replace:
        raise InputError(f"{path} is there already; choose another --out, or add --force")
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_report(run, path, neighbours)
