"""Forks: a run may start from the whole state of another run, and keeps a copy of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.config import ForkedState, RunConfig, versions
from ganzoo.errors import InputError, excerpt
from ganzoo.resolve import change_config, split_changes
from ganzoo.runs.folder import Run
from ganzoo.storage.files import atomic_folder, atomic_path, regular_size, sha256
from ganzoo.storage.json_files import read_json
from ganzoo.storage.paths import user_path
from ganzoo.training import checkpoint

if TYPE_CHECKING:
    from ganzoo.training.checkpoint import TrainState


@dataclass(frozen=True)
class StartingState:
    """The state that a run starts from: a checkpoint of another run."""

    origin: ForkedState
    """The checkpoint, as the run's configuration describes it."""
    path: Path
    """Its folder, or the run's copy of it."""

    @classmethod
    def find(cls, place: str | Path | Run) -> tuple[StartingState, Run]:
        """Find the newest whole checkpoint of a run, or the one that a path names.

        Args:
            place: The run, its folder, or the folder of one of its checkpoints.

        Returns:
            The state, and the run that it is of.

        Raises:
            InputError: there is no such run, or no such checkpoint that is whole.
        """
        path = place.path if isinstance(place, Run) else user_path(place)
        above = Run(path.absolute().parent.parent)
        if checkpoint.STEP_FOLDER.fullmatch(path.name) and above.is_run():
            run, found = above, [path]
        else:
            run = Run.open(path)
            steps = checkpoint.steps(run.checkpoints)
            found = [run.checkpoints / f"{step:08d}" for step in reversed(steps)]
        for folder in found:
            if (state := cls._read(folder, run.path.resolve().name)) is not None:
                return state, run
        raise InputError(f"{path} has no whole checkpoint to start from")

    @classmethod
    def load_copy(cls, folder: Path, origin: ForkedState) -> StartingState:
        """Return a run's own copy of the state that it started from.

        Args:
            folder: Folder of the copy.
            origin: The checkpoint, as the run's configuration describes it.

        Raises:
            InputError: the copy is missing, or was changed.
        """
        state = cls._read(folder / f"{origin.step:08d}", origin.name)
        if state is None or state.origin != origin:
            raise InputError(
                f"{folder} is not what the run started from: it was changed or damaged; put it "
                "back, or start another run"
            )
        return state

    @classmethod
    def _read(cls, folder: Path, name: str) -> StartingState | None:
        """Return a checkpoint if it is whole, else None."""
        listed = folder / checkpoint.MANIFEST_FILE
        try:
            if read_json(listed) != checkpoint.list_files(folder):
                return None
            origin = ForkedState(name=name, step=int(folder.name), manifest_sha256=sha256(listed))
        except (InputError, OSError, ValueError):
            return None
        return cls(origin, folder)

    def save_copy(self, folder: Path) -> None:
        """Copy the checkpoint into a folder of a run, as a whole or not at all.

        Raises:
            InputError: it has changed or gone since it was found.
        """
        with atomic_folder(folder) as beside:
            copy = beside / self.path.name
            copy.mkdir()
            try:
                for file in sorted(self.path.iterdir()):
                    regular_size(file)
                    with atomic_path(copy / file.name) as path:
                        shutil.copyfile(file, path)
            except FileNotFoundError:
                pass  # the other run is being trained, and has removed it
            state = self._read(copy, self.origin.name)
            if state is None or state.origin != self.origin:
                raise InputError(f"{self.path} was changed while it was copied: try again")

    @staticmethod
    def is_copy(folder: Path) -> bool:
        """Tell whether a folder holds exactly what :meth:`save_copy` writes."""
        found = list(folder.iterdir()) if folder.is_dir() else []
        return len(found) == 1 and StartingState._read(found[0], "") is not None

    def resolve(
        self,
        run: Run,
        names: Mapping[str, str | Path | None],
        settings: Mapping[str, Any],
        trackers: Iterable[str] | None,
    ) -> RunConfig:
        """Resolve overrides to the configuration of a run that starts from this state.

        Args:
            run: The run that the state is of; what is not overridden is as there.
            names: Names of other components, by ``architecture``, ``loss`` or ``data``.
            settings: Overrides, as for :func:`ganzoo.resolve.resolve`.
            trackers: Names of trackers; None for those of ``run``.

        Raises:
            InputError: a name, an option or a value is wrong, or does not fit the state.
        """
        given = {word: name for word, name in names.items() if name is not None}
        own = run.config()
        config = change_config(own, *split_changes({**given, **settings}), trackers)
        fixed = [
            f"{key}: {mine} -> {theirs}"
            for key, (mine, theirs) in own.changes(config).items()
            if key.startswith("architecture.") or key == "train.optimizer"
            if not key.endswith(".version")
        ]
        if fixed:
            raise InputError(
                f"the state of {self.origin.name} does not fit: {'; '.join(fixed)}; "
                "drop them, or train a new run"
            )
        if config.train.steps <= self.origin.step:
            raise InputError(
                f"{self.origin.name} has done {self.origin.step} steps already, and train.steps is "
                f"{config.train.steps}: give more --steps"
            )
        update = {"fork": self.origin, "data_fingerprint": None, "regular_until": 0}
        return config.model_copy(update={**update, "threads": None, "versions": versions()})

    def restore(self, state: TrainState) -> None:
        """Put the checkpoint into the state of a training, which has all of its retries again.

        Raises:
            InputError: it does not fit.
        """
        try:
            checkpoint.restore(self.path, state)
        except (InputError, RuntimeError, LookupError, TypeError, ValueError) as error:
            raise InputError(
                f"the state of {self.origin.name} does not fit this run: "
                f"{excerpt(' '.join(str(error).split()), 300)}"
            ) from None
        state.retries = 0
