"""A copy of a model's files as they are shared: verified, with a card, and without local paths."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from ganzoo.cards.card import PLACEHOLDER_PATH, build_card, merge_card, read_licence
from ganzoo.config import ModelConfig
from ganzoo.errors import InputError, first_line
from ganzoo.models.folder import FileRecord, ModelFolder, write_manifest
from ganzoo.models.hub import HubFolder
from ganzoo.models.model import load_folder
from ganzoo.models.sample_record import read_sample_record
from ganzoo.protocols.tracker import METRICS_FILE
from ganzoo.publishing.spaces import HUB_URL
from ganzoo.publishing.training_curve import draw_training_curve
from ganzoo.runs.file_names import (
    CARD_FILE,
    CONFIG_FILE,
    CURVE_FILE,
    DISCRIMINATOR_FILE,
    GENERATOR_FILE,
    LIMITS,
    ORIGIN_FILE,
    PICTURE_FILE,
    SAMPLES_FILE,
    SCORES_FILE,
)
from ganzoo.runs.scores import write_scores
from ganzoo.runs.training_facts import NO_FACTS, TrainingFacts, read_training_facts
from ganzoo.storage.files import (
    manifest,
    name_file,
    read_text,
    regular_size,
    sha256,
    write_text,
)
from ganzoo.storage.json_files import to_json
from ganzoo.storage.paths import FILE_NAME, strip_folders

OWN_FILES = {GENERATOR_FILE, DISCRIMINATOR_FILE, *LIMITS}
PARTS = ("architecture", "loss", "data")


class StagedModel:
    """A copy of the files to share, which nothing can change meanwhile.

    Args:
        folder: The model.
        place: An empty folder for the copy.

    Raises:
        InputError: the model cannot be loaded, or changes while it is copied.
    """

    def __init__(self, folder: ModelFolder, place: Path) -> None:
        self.place = place
        # A model that nobody could load is neither published nor copied: it may be of any size.
        model = load_folder(folder)
        if not folder.lacks_discriminator:
            model.discriminator  # noqa: B018 - the access reads and verifies it
        optional = {DISCRIMINATOR_FILE, ORIGIN_FILE, SAMPLES_FILE} & folder.records.keys()
        for name in sorted({GENERATOR_FILE, PICTURE_FILE} | optional):
            with name_file(place / name):
                copy = shutil.copyfile(folder.own_file(name), place / name)
            if sha256(copy) != folder.records[name].sha256:
                raise InputError(f"{name} of {folder.name} changed while it was read; try again")
        for name in {CONFIG_FILE, SCORES_FILE} & folder.records.keys():
            folder.own_file(name)  # checked here; what is read from it is written below
        self.config = folder.config()
        self.origin = folder.imported_from()
        self.samples = read_sample_record(folder)
        self.title = folder.title()
        """The message of the commit."""
        self.rows = [
            row.model_copy(update={"options": strip_folders(row.options)})
            for row in folder.scores()
        ]
        shared = strip_local(self.config)
        write_text(place / CONFIG_FILE, to_json(shared.model_dump(mode="json")))
        if self.rows:
            write_scores(place, self.rows)
        self.facts = find_training_facts(folder)
        if (curve := draw_curve(folder)) is not None:
            with name_file(place / CURVE_FILE):
                (place / CURVE_FILE).write_bytes(curve)
        for name in (PICTURE_FILE, CURVE_FILE):
            if (place / name).exists():
                _check_picture(place / name)

    @property
    def imported_licence(self) -> str | None:
        """The licence of weights that were imported; None if they were not, or it is not known."""
        return None if self.origin is None else self.origin.licence

    def build_card(self, license: str | list[str] | None, repo: str | None = None) -> str:
        """Build the card as ganzoo writes it, for a repository of the Hub or a folder."""
        curve = CURVE_FILE if (self.place / CURVE_FILE).exists() else None
        return build_card(
            self.config,
            self.rows,
            reference=repo or PLACEHOLDER_PATH,
            license=license,
            curve=curve,
            origin=self.origin,
            has_discriminator=(self.place / DISCRIMINATOR_FILE).exists(),
            facts=self.facts,
            samples=self.samples,
            thumbnail=repo and f"{HUB_URL}/{repo}/resolve/main/{PICTURE_FILE}",
        )

    def read_licence(self) -> str | list[str] | None:
        """Read the licence from the card, once it is written."""
        return read_licence((self.place / CARD_FILE).read_text(encoding="utf-8"))

    def add_files(self, files: Iterable[Path]) -> None:
        """Copy other files to publish.

        Raises:
            InputError: a file is missing, or its name is invalid or taken.
        """
        for path in files:
            regular_size(path)
            if not re.fullmatch(FILE_NAME, path.name):
                raise InputError(
                    f"--add {path}: name it with letters, digits, '.', '_' and '-' alone, and "
                    "with a letter or a digit first"
                )
            # On some systems, names that differ in case alone are the same.
            if path.name.lower() in {name.lower() for name in OWN_FILES}:
                raise InputError(f"--add {path}: this name is reserved for a file of the model")
            if path.name.lower() in {each.name.lower() for each in self.place.iterdir()}:
                raise InputError(f"--add {path}: another file is called {path.name} already")
            with name_file(self.place / path.name):
                shutil.copyfile(path, self.place / path.name)

    def write_card(self, generated: str, own: str | None, warn: Callable[[str], None]) -> None:
        """Write the card, with a person's edits of an earlier one, and the manifest."""
        text, edited = (generated, []) if own is None else merge_card(generated, own)
        for section in edited:
            warn(f"the section '{section}' of the card was edited by hand and stays as it is")
        write_text(self.place / CARD_FILE, text)
        write_manifest(self.place)

    def list_files(self) -> dict[str, FileRecord]:
        """Return the records of every file to publish, including the manifest."""
        return {name: FileRecord(**about) for name, about in manifest(self.place).items()}


def find_training_facts(folder: ModelFolder) -> TrainingFacts:
    """Read what the run that a model belongs to says of its training; nothing if there is none."""
    run = folder.run()
    return NO_FACTS if run is None else read_training_facts(run, folder.config().step)


def draw_curve(folder: ModelFolder) -> bytes | None:
    """Draw the training curve of the run that a model belongs to, or return the model's own."""
    run = folder.run()
    if run is None:
        return folder.own_file(CURVE_FILE).read_bytes() if folder.has(CURVE_FILE) else None
    path = run.path / METRICS_FILE
    return draw_training_curve(path) if path.exists() else None


def _check_picture(path: Path) -> None:
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as picture:
            picture.verify()
    except Exception as error:
        raise InputError(f"{path.name} is not a PNG file: {first_line(error)}") from None


def strip_local(config: ModelConfig) -> ModelConfig:
    """Return a configuration without what concerns this machine alone: trackers and folders.

    Paths among the options are shortened to their last names.
    """
    tree = config.model_dump(mode="json")
    tree["trackers"] = []
    for choice in (
        *(tree[part] for part in PARTS),
        *tree["augmentations"],
        *tree.get("penalties", ()),
    ):
        choice["options"] = strip_folders(choice["options"])
    return ModelConfig.model_validate(tree)


def read_edited_card(folder: ModelFolder) -> str | None:
    """Return the card of a model folder if a person has edited it, else None."""
    path = folder.path / CARD_FILE
    if isinstance(folder, HubFolder):
        return None
    if path.is_symlink():
        raise InputError(f"{path} is a link; put the file itself there")
    if not path.exists():
        return None
    text, record = read_card(path), folder.records.get(CARD_FILE)
    return None if record and sha256(path) == record.sha256 else text


def read_unedited_card(folder: ModelFolder) -> str | None:
    """Return the card as it was written, which names a licence if a package ships the model."""
    if isinstance(folder, HubFolder) or not folder.has(CARD_FILE):
        return None
    return read_card(folder.file(CARD_FILE))


def read_card(path: Path) -> str:
    """Read a card.

    Raises:
        InputError: it cannot be read, or is too long for one.
    """
    return read_text(path, LIMITS[CARD_FILE], "for a card")
