"""Publishing a model on the Hub: its files, by an explicit list, in one commit."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.arguments import require_names, require_text
from ganzoo.cards.card import build_card, choose_licence, merge_card, read_licence
from ganzoo.config import ModelConfig
from ganzoo.errors import GanzooError, InputError, first_line, warn_caller
from ganzoo.models.find import find_model
from ganzoo.models.folder import FileRecord, ModelFolder, write_manifest
from ganzoo.models.hub import HubFolder, parse_reference
from ganzoo.models.model import load_folder
from ganzoo.models.sample_record import read_sample_record
from ganzoo.protocols.tracker import METRICS_FILE
from ganzoo.publishing.repository import Publication, Repository
from ganzoo.publishing.spaces import HUB_URL, SpaceModel, SpacePage, choose_space
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
from ganzoo.storage.paths import FILE_NAME, strip_folders, user_path

if TYPE_CHECKING:
    from ganzoo.runs.folder import Run

OWN_FILES = {GENERATOR_FILE, DISCRIMINATOR_FILE, *LIMITS}
PARTS = ("architecture", "loss", "data")


def publish(
    model: Run | str | Path | None,
    repo: str,
    *,
    private: bool = False,
    revision: str | None = None,
    license: str | None = None,
    card_file: str | Path | None = None,
    add: Iterable[str | Path] = (),
    space: bool | str = False,
    permitted: bool = False,
    dry_run: bool = False,
    warn: Callable[[str], None] = warn_caller,
) -> Publication:
    """Publish a model on the Hub, and on request a Space that shows it.

    Only the known files of the model folder, the picture of the training curve and the files in
    ``add`` are published. The configuration is published without trackers and without the folders
    of this machine. The token is that of the client's login, or ``HF_TOKEN``.

    Args:
        model: A run, a model folder or another model of the Hub; the newest run if None.
        repo: ``user/name``; the repository is created if it does not exist.
        private: Whether the repository is private.
        revision: A tag for the commit.
        license: Licence of the model, by the Hub's identifier; if None, the licence in the
            existing card, if any.
        card_file: Text for the card, in place of edits in the folder's or the repository's card.
        add: Other files to publish, such as exports.
        space: Whether to publish a Space of the same name too; or the name of a kind of Space, if
            several are installed.
        permitted: Whether you may publish weights that were imported, or that training started
            from, although their licence does not allow it to everybody or is not known.
        dry_run: Whether to stop before anything is sent or requested.
        warn: Called with each warning; by default, it is a Python warning.

    Raises:
        InputError: there is no such model, or it must not be published as it is.
        GanzooError: the Hub cannot be reached, refuses, or has changed meanwhile.
    """
    wanted = parse_reference(require_text("the model's name on the Hub, as user/name", repo))
    if wanted is None or wanted.revision is not None:
        raise InputError(f"'{repo}' is not the name of a model on the Hub: write user/name")
    parse_reference(repo, revision)  # refuses a tag by which nobody could load the model
    page = None if space in (False, None) else choose_space(space)
    folder = find_model(model)
    if not dry_run and not permitted:
        require_permission(folder)
    with tempfile.TemporaryDirectory(prefix="ganzoo-") as place:
        staged = _StagedModel(folder, Path(place))
        staged.add_files(map(user_path, require_names("files to add", add)))
        own = _read_edited_card(folder) if card_file is None else _read_card(user_path(card_file))
        repository = theirs = tagged = None
        if not dry_run:
            repository = Repository(wanted.repo, private=private)
            theirs = repository.text(CARD_FILE)
            tagged = None if revision is None else repository.find_tag(revision)
        unedited = _read_unedited_card(folder) if own is None else None
        chosen = choose_licence(license, own, theirs, unedited) or staged.imported_licence
        generated = staged.build_card(wanted.repo, chosen)
        if repository and theirs is not None and card_file is None:
            own = _choose_card(own, theirs, generated, repository, warn)
        staged.write_card(generated, own, warn)
        licence = staged.read_licence()
        subject = SpaceModel(staged.config, wanted.repo, licence, origin=staged.origin)
        if repository is None:
            preview = None if page is None else page.preview(subject)
            return Publication(wanted.repo, staged.list_files(), space=preview)
        found = repository.publish(
            staged.place, staged.list_files(), staged.title, revision, tagged
        )
        return found if page is None else _publish_space(found, page, subject, private, warn)


def require_permission(folder: ModelFolder) -> None:
    """Refuse imported weights that not everybody may pass on.

    Raises:
        InputError: their licence does not allow it, or is not known.
    """
    origin = folder.origin()
    if origin is not None and not origin.may_pass_on:
        raise InputError(
            f"{folder.name}: {origin.terms}",
            "if you may publish them, say so with --permitted",
        )


def _publish_space(
    found: Publication,
    page: SpacePage,
    subject: SpaceModel,
    private: bool,
    warn: Callable[[str], None],
) -> Publication:
    """Publish the Space of a model that has just been published."""
    at = replace(subject, revision=found.commit)
    try:
        return replace(found, space=page.publish(at, private or bool(found.private), warn))
    except GanzooError as error:
        kind = InputError if isinstance(error, InputError) else GanzooError
        raise kind(
            f"{found.repo} is published as {found.commit}, without its Space: {error}"
        ) from error


def _read_edited_card(folder: ModelFolder) -> str | None:
    """Return the card of a model folder if a person has edited it, else None."""
    path = folder.path / CARD_FILE
    if isinstance(folder, HubFolder):
        return None
    if path.is_symlink():
        raise InputError(f"{path} is a link; put the file itself there")
    if not path.exists():
        return None
    text, record = _read_card(path), folder.records.get(CARD_FILE)
    return None if record and sha256(path) == record.sha256 else text


def _read_unedited_card(folder: ModelFolder) -> str | None:
    """Return the card as it was written, which names a licence if a package ships the model."""
    if isinstance(folder, HubFolder) or not folder.has(CARD_FILE):
        return None
    return _read_card(folder.file(CARD_FILE))


def _choose_card(
    own: str | None,
    theirs: str,
    generated: str,
    repository: Repository,
    warn: Callable[[str], None],
) -> str:
    """Choose the card whose edits are kept: the folder's or the repository's.

    Args:
        own: The folder's card; None if nobody has edited it.
        theirs: The repository's card.
        generated: The card as ganzoo writes it.
        repository: The repository.
        warn: Called with each warning.

    Raises:
        InputError: both were edited since the last publication, in different ways.
    """
    if own is None:
        return theirs
    with_theirs = merge_card(generated, theirs)[0]
    if with_theirs in (generated, merge_card(generated, own)[0]):
        return own
    record = repository.read_manifest().get(CARD_FILE)
    if record and record.sha256 == hashlib.sha256(theirs.encode()).hexdigest():
        # Nobody has edited it there since, so that the folder's card is the newer one.
        warn(f"the {CARD_FILE} of the model folder replaces that on the Hub")
        return own
    raise InputError(
        f"the card was edited here and on the Hub: {CARD_FILE} of the model folder and that of "
        f"{repository.name} differ",
        "choose one of them with --card FILE; the other is kept there",
    )


def _read_card(path: Path) -> str:
    return read_text(path, LIMITS[CARD_FILE], "for a card")


class _StagedModel:
    """A copy of the files to publish, which nothing can change while they are sent.

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

    def build_card(self, repo: str, license: str | list[str] | None) -> str:
        """Build the card as ganzoo writes it."""
        curve = CURVE_FILE if (self.place / CURVE_FILE).exists() else None
        return build_card(
            self.config,
            self.rows,
            reference=repo,
            license=license,
            curve=curve,
            origin=self.origin,
            has_discriminator=(self.place / DISCRIMINATOR_FILE).exists(),
            facts=self.facts,
            samples=self.samples,
            thumbnail=f"{HUB_URL}/{repo}/resolve/main/{PICTURE_FILE}",
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
