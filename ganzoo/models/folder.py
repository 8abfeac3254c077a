"""A model is a folder: weights as safetensors, and a configuration that names components.

A run's ``model/``, a folder that somebody copied and a repository of the Hub are the same: a few
files of fixed names, and a manifest with the size and the SHA-256 of each.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ganzoo.config import ModelConfig, Name, read_config
from ganzoo.errors import InputError
from ganzoo.runs.file_names import (
    CONFIG_FILE,
    FILE_NAME,
    LIMITS,
    MANIFEST_FILE,
)
from ganzoo.runs.folder import Run
from ganzoo.runs.scores import SCORES_FILE, ScoreRow, read_logged_scores, read_scores
from ganzoo.storage.files import manifest, regular_size, sha256, write_text
from ganzoo.storage.json_files import read_json, to_json

if TYPE_CHECKING:
    pass


class FileRecord(BaseModel):
    """What a manifest says of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


_FileName = Annotated[Name, Field(pattern=f"^{FILE_NAME}$")]
"""No path: nothing that a manifest lists lies outside of its folder."""
MANIFEST_ADAPTER = TypeAdapter(dict[_FileName, FileRecord])
"""What a manifest holds."""


class ModelFolder:
    """The files of a model, each of which is verified when it is asked for.

    Args:
        path: The folder.
        name: What the model is called by whoever refers to it.

    Raises:
        InputError: there is no manifest, or it is damaged.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.records = read_manifest(path / MANIFEST_FILE)

    @property
    def reference(self) -> str:
        """What leads to these very files again."""
        return str(self.path)

    @property
    def short_name(self) -> str:
        """What it is called, without where it lies: the name of its run's folder or of its own."""
        run = self.run()
        return (self.path if run is None else run.path).resolve().name

    @property
    def revision(self) -> str | None:
        """The commit of the Hub that the files are of, if they are of the Hub."""
        return None

    def has(self, name: str) -> bool:
        """Tell whether the model has a file."""
        return name in self.records

    def size(self, name: str) -> int:
        """Return how many bytes a file has, as the manifest says.

        Raises:
            InputError: the model has no such file, or a larger one than may be.
        """
        if not self.has(name):
            raise InputError(f"{self.name} has no {name}: its {MANIFEST_FILE} does not list it")
        size = self.records[name].size
        if size > (limit := LIMITS.get(name, size)):
            raise InputError(f"{self.name}: {name} has {size:,} bytes, of at most {limit:,}")
        return size

    def file(self, name: str) -> Path:
        """Return the path of a file whose bytes are those that the manifest lists.

        Raises:
            InputError: it is missing, damaged, or was changed.
        """
        size, path = self.size(name), self.path / name
        if regular_size(path) != size or sha256(path) != self.records[name].sha256:
            raise InputError(
                f"{path} is not the file that {MANIFEST_FILE} lists: it was changed or damaged; "
                "copy or train the model anew"
            )
        return path

    def own_file(self, name: str) -> Path:
        """Return the path of a file that lies in the folder itself, verified.

        Raises:
            InputError: it is missing, damaged, or a link that leads elsewhere.
        """
        if (path := self.path / name).is_symlink():
            raise InputError(f"{path} is a link; put the file itself there")
        return self.file(name)

    def config(self) -> ModelConfig:
        """Read what the model is.

        Raises:
            InputError: the file is damaged, or of another format.
        """
        return read_config(self.file(CONFIG_FILE), ModelConfig)

    def run(self) -> Run | None:
        """Return the run that the model lies in, if it lies in one."""
        run = Run(self.path.parent)
        return run if self.path in (run.model, run.best) and run.is_run() else None

    def scores(self) -> list[ScoreRow]:
        """Read the scores of this model, the newest of each protocol: its own and its run's.

        Raises:
            InputError: a file of them is damaged.
        """
        kept = read_scores(self.file(SCORES_FILE).parent) if self.has(SCORES_FILE) else []
        if (run := self.run()) is not None:
            step = self.config().step
            kept += [row for row in read_logged_scores(run.scores) if row.step == step]
        return list({row.key: row for row in kept}.values())


def read_manifest(path: Path) -> dict[str, FileRecord]:
    """Read what a model folder should hold.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        records = MANIFEST_ADAPTER.validate_python(read_json(path))
    except ValidationError:
        records = None
    if records is None or MANIFEST_FILE in records:  # no file can hold its own hash
        raise InputError(f"{path} is no list of files with their sizes and hashes")
    return records


def write_manifest(folder: Path) -> None:
    """List the files of a folder, each with its size and SHA-256, in a file beside them."""
    write_text(folder / MANIFEST_FILE, to_json(manifest(folder, MANIFEST_FILE)))
