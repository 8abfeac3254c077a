"""The folder of a run."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ganzoo.config import RunConfig, read_config
from ganzoo.errors import GanzooError, InputError
from ganzoo.runs.scores import SCORE_LOG_FILE, ScoreTable, read_logged_scores
from ganzoo.runs.shown import describe_run, render_run
from ganzoo.storage.files import regular_size, write_text
from ganzoo.storage.json_files import to_json

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

RUNS_FOLDER = "runs"
CONFIG_FILE = "config.json"
LOCK_FILE = ".lock"
SKIPPED_FILE = "skipped.txt"
"""File that lists the images which could not be read, if there are any."""
PICTURE = re.compile(r"([0-9]{8,18})\.png")


class StartingPoint(Protocol):
    """What a run may start from; the run keeps a copy of it."""

    def save_copy(self, folder: Path) -> None:
        """Copy it to a folder atomically."""

    def is_copy(self, folder: Path) -> bool:
        """Tell whether a folder contains only what :meth:`save_copy` puts there."""


class Run:
    """A run's folder: its configuration, metrics, scores, pictures, checkpoints and models.

    Args:
        path: The folder, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.samples = path / "samples"
        self.model = path / "model"
        self.best = path / "best"
        self.init = path / "init"
        self.score_log = path / SCORE_LOG_FILE
        self._lock_file: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return describe_run(self)

    def _repr_html_(self) -> str:
        return render_run(self)

    @property
    def scores(self) -> ScoreTable:
        """All scores of the run, in their order; a prompt and a notebook show them as a table.

        Raises:
            InputError: their file is far too large.
            OSError: it cannot be read; the error names it.
        """
        return read_logged_scores(self.score_log)

    def show(self) -> Image.Image:
        """Return the newest samples as a PIL image, which a notebook shows.

        Raises:
            InputError: there are none yet.
        """
        from ganzoo.media.images import load_png, to_pil

        pictures = self.pictures()
        if not pictures:
            raise InputError(f"{self.path} has no samples yet")
        return to_pil(load_png(pictures[max(pictures)])[0])

    @classmethod
    @contextmanager
    def create(
        cls, config: RunConfig, path: Path | None = None, start: StartingPoint | None = None
    ) -> Iterator[Run]:
        """Make and lock a new run's folder, and write the configuration before any work begins.

        The lock is held until the context ends.

        Args:
            config: What the run is.
            path: The folder; a new one under ``runs/`` if None.
            start: What the run starts from. It is copied before the configuration is written,
                because a run needs it from the first moment.

        Raises:
            InputError: the folder exists and is not empty, or another process has just made it.
        """
        run = cls(path or _create_path(config))
        is_copy = (lambda folder: False) if start is None else start.is_copy
        run.refuse_taken(is_copy)
        run.samples.mkdir(parents=True, exist_ok=True)
        with run.lock():
            run.refuse_taken(is_copy)
            if start is not None:
                start.save_copy(run.init)
            run.write_config(config)
            yield run

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from training this run.

        The lock is an OS file lock, so it disappears when the process dies.

        Raises:
            InputError: another process is training the run, or the lock's path is taken by
                something that is not a regular file.
        """
        from filelock import FileLock, Timeout

        path = self.path / LOCK_FILE
        if path.is_symlink():  # a stranger's run could point it at a file of yours
            raise InputError(f"{path} is a link; remove it")
        if path.exists():
            regular_size(path)
        lock = FileLock(path, blocking=False)
        try:
            lock.acquire()
        except Timeout:
            raise InputError(
                f"another process is training {self.path}; wait for it, or stop it first"
            ) from None
        try:
            self._lock_file = _identify(path)
            yield
        finally:
            self._lock_file = None
            lock.release()

    def require_lock(self) -> None:
        """Check that the folder is still the one that this process has locked, before a write.

        Somebody may have moved the folder, put another one in its place, or removed the lock, so
        that another process may be training here. Without a lock, nothing is checked.

        Raises:
            GanzooError: it is another folder, or another lock.
        """
        if self._lock_file is None:
            return
        try:
            is_own = _identify(self.path / LOCK_FILE) == self._lock_file
        except (FileNotFoundError, NotADirectoryError):
            is_own = False
        if not is_own:
            raise GanzooError(
                f"{self.path} was moved, removed or replaced while it was trained, or its "
                f"{LOCK_FILE} was removed: nothing more is written there; continue with --resume "
                "where the run is"
            )

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open an existing run.

        Raises:
            InputError: the folder is missing, or is not a run.
        """
        if not path.is_dir():
            raise InputError(f"there is no run folder {path}")
        run = cls(path)
        if not run.is_run():
            raise InputError(f"{path} is not a run: it has no {CONFIG_FILE} of one")
        return run

    def is_run(self) -> bool:
        """Tell whether the folder has a configuration and a folder of samples, as runs do."""
        return (self.path / CONFIG_FILE).is_file() and self.samples.is_dir()

    def refuse_taken(self, is_copy: Callable[[Path], bool]) -> None:
        """Refuse a folder for a new run that exists and is not empty.

        What a run leaves that died before it began is no obstacle.

        Args:
            is_copy: Tells whether a folder is a copy of what the run starts from.

        Raises:
            InputError: there is something else.
        """
        if not self.path.exists() or (self.path.is_dir() and not self._list_content(is_copy)):
            return
        hint = f", or continue with --resume {self.path}" if self.is_run() else ""
        raise InputError(f"{self.path} exists already; choose another --out{hint}")

    def _list_content(self, is_copy: Callable[[Path], bool]) -> list[Path]:
        """List the folder, except for what a run leaves that died before it began."""
        return [
            path
            for path in self.path.iterdir()
            if path.name != LOCK_FILE
            and not (path == self.samples and path.is_dir() and not any(path.iterdir()))
            and not (
                path.name.startswith((f".{CONFIG_FILE}.", f".{self.init.name}."))
                and path.suffix == ".tmp"
            )
            and not (path == self.init and is_copy(path))
        ]

    def config(self) -> RunConfig:
        """Read the configuration.

        Raises:
            InputError: it is missing, damaged, or of another format.
        """
        return read_config(self.path / CONFIG_FILE, RunConfig)

    def write_config(self, config: RunConfig) -> None:
        """Write the configuration to the folder."""
        write_text(self.path / CONFIG_FILE, to_json(config.model_dump(mode="json")))

    def picture(self, step: int) -> Path:
        """Return the path of the sample picture of a step."""
        return self.samples / f"{step:08d}.png"

    def pictures(self) -> dict[int, Path]:
        """Return the paths of the sample pictures by step, in order."""
        found = [(PICTURE.fullmatch(path.name), path) for path in self.samples.glob("*.png")]
        return dict(sorted((int(match[1]), path) for match, path in found if match))

    def drop_pictures_after(self, step: int) -> None:
        """Remove the sample pictures of later steps."""
        for done, path in self.pictures().items():
            if done > step:
                path.unlink()

    def save_picture(self, picture: Tensor, step: int, texts: dict[str, str]) -> None:
        """Write the sample picture of a step.

        Args:
            picture: The picture, as :func:`~ganzoo.media.images.save_png` takes it.
            step: Generator updates.
            texts: Texts to store in the file, by keyword.
        """
        from ganzoo.media.images import save_png

        save_png(picture, self.picture(step), texts)


def _identify(path: Path) -> tuple[int, int]:
    """Return the numbers by which the system tells a file from others, whatever its name."""
    found = path.stat()
    return found.st_dev, found.st_ino


def check_place(path: Path | None, *, may_hold_start: bool = False) -> None:
    """Check that a new run can be made at a path, before any work is done for it.

    Args:
        path: The folder; a new one under ``runs/`` if None.
        may_hold_start: Whether the run starts from a model, whose copy a run leaves that died
            before it began.

    Raises:
        InputError: it exists and is not empty.
        GanzooError: the folder that it would be made in cannot be written to.
    """
    if path is not None:
        Run(path).refuse_taken(lambda folder: may_hold_start)
    place = (path or Path(RUNS_FOLDER)).absolute()
    nearest = next(each for each in (place, *place.parents) if each.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        why = "cannot be written to" if nearest.is_dir() else "is not a folder"
        raise GanzooError(f"{path or place} cannot be made: {nearest} {why}")


def newest_run(root: Path | None = None) -> Run:
    """Return the newest run in a folder.

    Args:
        root: The folder of runs; ``runs/`` in the working directory if None.

    Raises:
        InputError: there is no run in it.
    """
    root = root or Path(RUNS_FOLDER)
    found = [Run(path) for path in root.iterdir()] if root.is_dir() else []
    found = [run for run in found if run.is_run()]
    if not found:
        raise InputError(f"there is no run under {root.resolve()}; train one, or name a model")
    return max(found, key=lambda run: (run.path / CONFIG_FILE).stat().st_mtime_ns)


def _create_path(config: RunConfig) -> Path:
    """Make a new folder under ``runs/``, which no other process has made."""
    names = (config.architecture.name, config.loss.name, config.data.name)
    stem = "-".join([*names, datetime.now().strftime("%Y%m%d-%H%M%S")])
    taken = 0
    while True:
        path = Path(RUNS_FOLDER) / (f"{stem}-{taken + 1}" if taken else stem)
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            taken += 1
            continue
        return path
