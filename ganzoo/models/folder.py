"""Model folders: weights as safetensors, and a configuration that names components.

A run's ``model/``, a copy of it and a repository on the Hub have the same form: a few files of
fixed names, and a manifest with the size and the SHA-256 of each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ganzoo.component import explain_error
from ganzoo.config import ModelConfig, Name, Origin, read_config
from ganzoo.errors import InputError
from ganzoo.runs.file_names import (
    CONFIG_FILE,
    DISCRIMINATOR_FILE,
    LIMITS,
    MANIFEST_FILE,
    ORIGIN_FILE,
    SCORES_FILE,
)
from ganzoo.runs.folder import Run
from ganzoo.runs.scores import ScoreRow, read_logged_scores, read_scores
from ganzoo.storage.files import manifest, regular_size, sha256, write_text
from ganzoo.storage.json_files import read_json, to_json
from ganzoo.storage.paths import FILE_NAME


class FileRecord(BaseModel):
    """A file's entry in a manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


_FileName = Annotated[Name, Field(pattern=f"^{FILE_NAME}$")]
"""A bare file name: a manifest cannot list files outside its folder."""
MANIFEST_ADAPTER = TypeAdapter(dict[_FileName, FileRecord])
"""Validates the content of a manifest."""


class ModelFolder:
    """The files of a model, each verified on access.

    Args:
        path: The folder.
        name: The name that the user gave it, for messages.

    Raises:
        InputError: the manifest is missing or damaged.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.records = read_manifest(path / MANIFEST_FILE)

    @property
    def reference(self) -> str:
        """A reference to exactly these files, for :func:`ganzoo.load`."""
        return str(self.path)

    @property
    def short_name(self) -> str:
        """The name of its run's folder, or else of its own, without the path."""
        run = self.run()
        return (self.path if run is None else run.path).resolve().name

    @property
    def revision(self) -> str | None:
        """The commit of files from the Hub; None for local files."""
        return None

    def has(self, name: str) -> bool:
        """Tell whether the model has a file."""
        return name in self.records

    def size(self, name: str) -> int:
        """Return a file's size in bytes, according to the manifest.

        Raises:
            InputError: the model has no such file, or it exceeds the limit for such files.
        """
        if not self.has(name):
            raise InputError(f"{self.name} has no {name}: its {MANIFEST_FILE} does not list it")
        size = self.records[name].size
        if size > (limit := LIMITS.get(name, size)):
            raise InputError(
                f"{self.name}: {name} has {size:,} bytes, and may have at most {limit:,}"
            )
        return size

    def file(self, name: str) -> Path:
        """Return the path of a file, verified against the manifest.

        Raises:
            InputError: it is missing, damaged or changed.
        """
        size, path = self.size(name), self.path / name
        if regular_size(path) != size or sha256(path) != self.records[name].sha256:
            raise InputError(
                f"{path} is not the file that {MANIFEST_FILE} lists: it was changed or damaged; "
                "copy or train the model again"
            )
        return path

    def own_file(self, name: str) -> Path:
        """Return the path of a file that is not a link to another folder, verified.

        Raises:
            InputError: it is missing, damaged, or a link.
        """
        if (path := self.path / name).is_symlink():
            raise InputError(f"{path} is a link; replace it with the file itself")
        return self.file(name)

    def config(self) -> ModelConfig:
        """Read the model's configuration.

        Raises:
            InputError: the file is missing or damaged, or has another format.
        """
        return read_config(self.file(CONFIG_FILE), ModelConfig)

    @property
    def lacks_discriminator(self) -> bool:
        """Whether the model has a generator alone, as some that were imported or packaged."""
        return not self.has(DISCRIMINATOR_FILE)

    def imported_from(self) -> Origin | None:
        """Read where the weights were imported from; None if they were not.

        Raises:
            InputError: the file is damaged.
        """
        if not self.has(ORIGIN_FILE):
            return None
        path = self.file(ORIGIN_FILE)
        try:
            return Origin.model_validate(read_json(path))
        except ValidationError as error:
            raise InputError(f"{path} does not tell an origin: {explain_error(error)}") from None

    def origin(self) -> Origin | None:
        """Read where the weights come from, or those that training started from.

        Returns:
            None if neither was imported.

        Raises:
            InputError: a file is damaged.
        """
        if self.has(ORIGIN_FILE):
            return self.imported_from()
        init = self.config().init
        return None if init is None else init.origin

    def title(self) -> str:
        """Return the model in a few words: its components and its step, or its origin.

        Raises:
            InputError: its configuration or its origin is damaged.
        """
        config, origin = self.config(), self.imported_from()
        if origin is None:
            return f"{config.title}, step {config.step}"
        return name_import(config, origin)

    def run(self) -> Run | None:
        """Return the run that the model belongs to; None if it belongs to none."""
        run = Run(self.path.parent)
        return run if self.path in (run.model, run.best) and run.is_run() else None

    def scores(self) -> list[ScoreRow]:
        """Read the model's scores from its own files and its run's, the newest of each protocol.

        Raises:
            InputError: a file of scores is damaged.
        """
        rows = read_scores(self.file(SCORES_FILE).parent) if self.has(SCORES_FILE) else []
        if (run := self.run()) is not None:
            step = self.config().step
            logged = read_logged_scores(run.score_log)
            rows += [row.without_time() for row in logged if row.step == step]
        return list({row.key: row for row in rows}.values())


def name_import(config: ModelConfig, origin: Origin) -> str:
    """Return an imported model in a few words: ``dcgan, from netG.pth of the PyTorch examples``."""
    return f"{config.architecture.name}, from {origin.title}"


def read_manifest(path: Path) -> dict[str, FileRecord]:
    """Read the manifest of a model folder.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        records = MANIFEST_ADAPTER.validate_python(read_json(path))
    except ValidationError:
        records = None
    if records is None or MANIFEST_FILE in records:  # no file can contain its own hash
        raise InputError(f"{path} is not a list of files with their sizes and hashes")
    return records


def write_manifest(folder: Path) -> None:
    """Write the manifest of a folder: the size and SHA-256 of each file."""
    write_text(folder / MANIFEST_FILE, to_json(manifest(folder, MANIFEST_FILE)))
