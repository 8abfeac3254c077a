"""Files of records: where they are written, and what is there already."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.errors import InputError
from ganzoo.models.folder import ModelFolder
from ganzoo.runs.file_names import PICTURE_FILE
from ganzoo.runs.state import has_model
from ganzoo.storage.files import atomic_path, sha256
from ganzoo_zoo.apps.record.form import Picture, Record, read_record
from ganzoo_zoo.apps.record.gather import Recorded, compare_options

if TYPE_CHECKING:
    from ganzoo.runs.folder import Run

SUFFIX, PICTURE_SUFFIX = ".json", ".png"
MOST_NAMED = 4
"""Differences that a message names, at most."""


@dataclass(frozen=True)
class PlannedFile:
    """A file of a record that is about to be written, and its picture."""

    path: Path
    record: Record
    picture: Path | None
    """The picture to copy beside it; None to leave it as it is."""

    def write(self) -> None:
        """Write the record, and its picture beside it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.picture is not None:
            with atomic_path(self.path.with_suffix(PICTURE_SUFFIX)) as beside:
                shutil.copyfile(self.picture, beside)
        self.record.write(self.path)


def plan_files(
    found: Sequence[Recorded], out: Path, *, with_picture: bool = True
) -> list[PlannedFile]:
    """Return the files of records, each merged with what is there already.

    Args:
        found: New records.
        out: A file, if its name ends in ``.json``; else a folder.
        with_picture: Whether to write the picture of the first seed's model beside each.

    Raises:
        InputError: several records cannot be one file, or a file holds something else.
    """
    if out.suffix == SUFFIX:
        if len(found) > 1:
            raise InputError(
                f"these runs are of {len(found)} configurations, and {out} holds one: give a "
                f"folder as --out ({_say_difference(found[0], found[1])})"
            )
        return [_plan(out, found[0], with_picture)]
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is neither a folder nor a {SUFFIX} file; choose another --out")
    files = [_plan(out / f"{each.record.name}{SUFFIX}", each, with_picture) for each in found]
    if len({file.path for file in files}) < len(files):
        raise InputError(
            "two of these records have the same recipe and other data: write each to a file"
        )
    return files


def _plan(path: Path, found: Recorded, with_picture: bool) -> PlannedFile:
    before = read_record(path) if path.exists() else None
    source, record = _find_picture(found.run) if with_picture else None, found.record
    if source is not None:
        record = _add_picture(record, source, path.with_suffix(PICTURE_SUFFIX), before)
    picture = record.picture
    if before is not None:
        try:
            record = before.merge(record)
        except InputError as error:
            raise InputError(f"{path}: {error.message}; choose another --out") from None
    return PlannedFile(path, record, source if record.picture == picture else None)


def _add_picture(record: Record, source: Path, target: Path, before: Record | None) -> Record:
    """Return a record with the picture that will lie beside it.

    Raises:
        InputError: another picture lies there.
    """
    digest = sha256(source)
    own = {digest} | ({before.picture.sha256} if before and before.picture else set())
    if target.exists() and sha256(target) not in own:
        raise InputError(f"{target} exists already, and is not of this record: move it away")
    picture = Picture(file=target.name, sha256=digest, seed=record.seeds[0].seed)
    return record.model_copy(update={"picture": picture})


def _find_picture(run: Run) -> Path | None:
    """Return the picture of a run's model, verified; None without a model."""
    if not has_model(run):
        return None
    folder = ModelFolder(run.model, str(run.path))
    return folder.own_file(PICTURE_FILE) if folder.has(PICTURE_FILE) else None


def _say_difference(one: Recorded, other: Recorded) -> str:
    """Say in a few words how two configurations differ."""
    lines = compare_options(one.run, other.run)
    more = [f"and {len(lines) - MOST_NAMED} more"] if len(lines) > MOST_NAMED else []
    return "; ".join([*lines[:MOST_NAMED], *more]) or "their data differ"
