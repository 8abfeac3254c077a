"""Names of the runs on a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ganzoo.errors import InputError

if TYPE_CHECKING:
    from ganzoo.runs.folder import Run


def name_runs(runs: Sequence[Run]) -> list[str]:
    """Return each run's folder, after as many folders above it as tell it from the others.

    Raises:
        InputError: a run is named twice.
    """
    paths = [run.path.resolve() for run in runs]
    for i, path in enumerate(paths):
        if path in paths[:i]:
            raise InputError(f"{runs[i].path} is named twice")
    for length in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names
