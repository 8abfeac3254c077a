"""Whether Python functions show their progress, and how: in a notebook, in a terminal, or not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ganzoo.display.notebook import is_notebook
from ganzoo.distributed import is_first
from ganzoo.errors import InputError
from ganzoo.training.observer import Observer, ObserverGroup

if TYPE_CHECKING:
    from ganzoo.progress import Listener


@contextmanager
def show_training(progress: bool | None, observer: Observer | None) -> Iterator[Observer]:
    """Show a training within the block, and yield the observer to train with.

    Args:
        progress: Whether to show it; if None, where a person looks.
        observer: Another observer, which is told everything too. Without one, warnings are
            Python's.

    Raises:
        InputError: the observer is none.
    """
    if not isinstance(observer, Observer | None):
        raise InputError(f"give as observer an Observer, not a {type(observer).__name__}")
    own = observer or Observer()
    if not _is_shown(progress):
        yield own
    elif is_notebook():
        from ganzoo.display.notebook import NotebookObserver

        with NotebookObserver() as shown:
            yield ObserverGroup(own, shown)
    else:
        from ganzoo.display.terminal import ProgressObserver

        with ProgressObserver(prints_warnings=False) as bars:
            yield ObserverGroup(own, bars)


@contextmanager
def show_work(progress: bool | Listener | None) -> Iterator[Listener | None]:
    """Show long work within the block, and yield what to tell of it, if anything is shown.

    Args:
        progress: Whether to show it; if None, where a person looks. Or a listener in its place.
    """
    if progress is not None and not isinstance(progress, bool):
        yield progress
    elif not _is_shown(progress):
        yield None
    elif is_notebook():
        from ganzoo.display.notebook import NotebookBar

        with NotebookBar() as bar:
            yield bar
    else:
        from ganzoo.display.terminal import ProgressBar

        with ProgressBar() as bars:
            yield bars


def _is_shown(progress: bool | None) -> bool:
    """Tell whether to show anything: if nothing is said, in a notebook and in a terminal."""
    if progress is not None and not isinstance(progress, bool):
        raise InputError(f"progress is True, False or None, not {progress!r}")
    if not is_first():
        return False
    return (is_notebook() or _is_terminal()) if progress is None else progress


def _is_terminal() -> bool:
    """Tell whether standard error is a terminal; a program without a console has none at all."""
    return sys.stderr is not None and sys.stderr.isatty()
