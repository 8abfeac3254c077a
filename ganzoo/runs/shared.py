"""A run's folder where several processes train one run: only the first one locks and writes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo import distributed
from ganzoo.runs.folder import Run

if TYPE_CHECKING:
    from ganzoo.config import RunConfig
    from ganzoo.runs.folder import StartingPoint


@contextmanager
def create_shared_run(
    config: RunConfig, path: Path | None = None, start: StartingPoint | None = None
) -> Iterator[Run]:
    """Create a run's folder in the first process, and lock it within the block.

    The other processes learn its path. The arguments and errors are those of
    :meth:`ganzoo.runs.folder.Run.create`.
    """
    team = distributed.current()
    if not team.is_first:
        yield Run(Path(team.run_on_first(str)))
        return
    with Run.create(config, path, start) as run:
        team.run_on_first(lambda: str(run.path))
        yield run


@contextmanager
def open_shared_run(path: Path) -> Iterator[Run]:
    """Open a run's folder, and lock it in the first process within the block.

    Raises:
        InputError: the folder is missing, is not a run, or another process is training it.
    """
    team = distributed.current()
    run = Run(Path(team.run_on_first(lambda: str(Run.open(path).path))))
    if not team.is_first:
        yield run
        return
    with run.lock():
        yield run
