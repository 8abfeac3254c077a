"""Models with names, which packages ship."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from ganzoo import registry
from ganzoo.component import Options, explain_error
from ganzoo.errors import InputError, PluginError, warn_caller
from ganzoo.models.folder import ModelFolder
from ganzoo.registry import MODEL, Entry
from ganzoo.runs.file_names import PLACE_FILE
from ganzoo.storage.json_files import read_json


class HubPlace(Options):
    """One commit of a repository on the Hub."""

    repo: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """``user/name``."""
    commit: Annotated[str, Field(pattern="^[0-9a-f]{40}$")]


class NamedFolder(ModelFolder):
    """The files of a model that a package ships under a name.

    A package may ship the manifest and leave the files to the Hub: ``hub.json`` beside it then has
    a repository and a commit. A file that is not in the package is downloaded from there when it
    is used, and must be the one that the package's manifest lists.

    Args:
        entry: How the package announces the model.

    Raises:
        PluginError: the package is made for another ganzoo or does not hold the model, or its
            manifest is damaged.
    """

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        entry.require_fitting()
        path = entry.locate()
        try:
            super().__init__(path, registry.shorten_name(MODEL, entry.name, entry.package))
            self.place = _read_place(path / PLACE_FILE)
        except InputError as error:
            raise PluginError(f"{entry.title} is damaged: {error.message}") from None

    @property
    def reference(self) -> str:
        """The name by which :func:`ganzoo.load` finds it."""
        return self.name

    @property
    def short_name(self) -> str:
        """The name without the package."""
        return self.entry.name

    def run(self) -> None:
        """Return None: a model of a package belongs to no run."""
        return

    def file(self, name: str) -> Path:
        """Return the path of a file, verified against the manifest.

        Raises:
            InputError: it is damaged, or the Hub has another file.
            GanzooError: it cannot be downloaded.
        """
        if self.place is None or (self.path / name).exists():
            return super().file(name)
        from ganzoo.models import hub

        self.size(name)
        folder = hub.open_folder(hub.Reference(self.place.repo, self.place.commit))
        if folder.records.get(name) != self.records[name]:
            raise InputError(
                f"{self.name}: {name} of {self.place.repo} is not the file that "
                f"{self.entry.package} lists; tell the package's author"
            )
        return folder.file(name)


def find_named(name: str) -> NamedFolder | None:
    """Find the model that a package ships under a name; None if there is none.

    What a name means does not depend on the working folder: a warning says so where a folder has
    the same name.

    Args:
        name: ``name`` or ``package:name``.

    Raises:
        PluginError: several packages claim the name, or the model is damaged.
    """
    if not registry.find_all(MODEL, name):
        return None
    entry = registry.find(MODEL, name)
    if Path(name).exists():
        warn_caller(
            f"'{name}' is the model of that name of {entry.package}; for the folder, write ./{name}"
        )
    return NamedFolder(entry)


def _read_place(path: Path) -> HubPlace | None:
    if not path.exists():
        return None
    try:
        return HubPlace.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError(f"{path} names no commit of the Hub: {explain_error(error)}") from None
