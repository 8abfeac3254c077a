"""Spaces: pages that show a model, in a folder or in a repository of the Hub."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo import registry
from ganzoo.arguments import require_text
from ganzoo.cards.card import choose_licence, foreign_packages, valid_packages
from ganzoo.cards.markdown import code, prose
from ganzoo.cards.merge import choose
from ganzoo.cards.readme import Readme
from ganzoo.cards.sections import build_section
from ganzoo.component import parse_options
from ganzoo.errors import InputError, escape_text, warn_caller
from ganzoo.models.find import find_model
from ganzoo.models.folder import FileRecord, name_import, read_manifest, write_manifest
from ganzoo.models.hub import HubFolder, parse_reference
from ganzoo.publishing.repository import Publication, Repository
from ganzoo.registry import SPACE
from ganzoo.runs.file_names import CARD_FILE, MANIFEST_FILE
from ganzoo.storage.files import manifest, read_text, write_text
from ganzoo.storage.json_files import JSON_LIMIT
from ganzoo.storage.paths import FILE_NAME, user_path

if TYPE_CHECKING:
    from ganzoo.config import ModelConfig, Origin
    from ganzoo.models.folder import ModelFolder
    from ganzoo.protocols.space import Space
    from ganzoo.runs.folder import Run

HUB_URL = "https://huggingface.co"
HUB_TEMPLATE = re.compile(r"\s*Check out the configuration reference at \S+\s*")
"""The text that the Hub itself puts below the metadata of a new Space."""


@dataclass(frozen=True)
class SpaceModel:
    """The model that a Space shows."""

    config: ModelConfig
    repo: str
    """``user/name``."""
    licence: str | list[str] | None = None
    revision: str | None = None
    origin: Origin | None = None
    """Where the weights come from, if they were imported."""

    @property
    def reference(self) -> str:
        """The reference by which the page loads the model."""
        return self.repo if self.revision is None else f"{self.repo}@{self.revision}"


def choose_space(kind: bool | str) -> SpacePage:
    """Choose a kind of Space, and check that it can be used.

    Args:
        kind: Its name; if True, the only one that is installed.

    Raises:
        InputError: there is no kind of that name, or not exactly one is installed.
        GanzooError: a package that it needs is missing.
    """
    name = kind if isinstance(kind, str) else _find_only_space()
    space: Space = parse_options(registry.get(SPACE, name), {}, f"{name}.")
    space.check()
    return SpacePage(name, space)


def _find_only_space() -> str:
    entries = registry.entries(SPACE)
    if len(entries) == 1:
        return entries[0].qualified
    names = " or ".join(entry.qualified for entry in entries)
    if not names:
        raise InputError("no installed package provides a Space")
    raise InputError(f"several packages provide a Space: choose one with --space-kind: {names}")


def write_space(
    model: Run | str | Path | None,
    repo: str,
    folder: str | Path,
    *,
    kind: bool | str = True,
    license: str | None = None,
    warn: Callable[[str], None] = warn_caller,
) -> list[Path]:
    """Write the files of a Space that shows a model to a folder, and send nothing.

    A person's edits of files that are there already are kept, as on the Hub.

    Args:
        model: A run, a model folder or a model of the Hub; the newest run if None.
        repo: The model that the page loads: ``user/name`` or ``user/name@revision`` on the Hub.
        folder: The folder to write to.
        kind: As for :func:`choose_space`.
        license: Licence of the model; that of its card if None.
        warn: Called with each warning.

    Returns:
        The paths of the files.

    Raises:
        InputError: there is no such model or kind of Space, or ``repo`` is not a valid name.
    """
    reference = parse_reference(require_text("the model's name on the Hub, as user/name", repo))
    if reference is None:
        raise InputError(f"'{repo}' is not the name of a model on the Hub: write user/name")
    page, found, place = choose_space(kind), find_model(model), user_path(folder)
    revision = reference.revision
    if revision is None and isinstance(found, HubFolder) and found.repo == reference.repo:
        revision = found.commit
    licence = choose_licence(license, _read_card(found))
    origin = found.imported_from()
    subject = SpaceModel(found.config(), reference.repo, licence, revision, origin)
    listed = read_manifest(place / MANIFEST_FILE) if (place / MANIFEST_FILE).exists() else {}
    with tempfile.TemporaryDirectory(prefix="ganzoo-") as beside:
        records = page.stage(
            subject, Path(beside), lambda name: _read_if_exists(place / name), listed, warn
        )
        place.mkdir(parents=True, exist_ok=True)
        for name in records:
            write_text(place / name, (Path(beside) / name).read_text(encoding="utf-8"))
    return [place / name for name in records]


def _read_card(folder: ModelFolder) -> str | None:
    """Read the card of a model; a person may have edited that of a folder on this machine."""
    if isinstance(folder, HubFolder):
        return folder.file(CARD_FILE).read_text(encoding="utf-8")
    return _read_if_exists(folder.path / CARD_FILE)


def _read_if_exists(path: Path) -> str | None:
    """Read a text file that a person may have edited; None if it does not exist."""
    if path.is_symlink():
        raise InputError(f"{path} is a link; put the file itself there")
    if not path.exists():
        return None
    return read_text(path, JSON_LIMIT, "for a file of a Space")


class SpacePage:
    """A kind of Space, which can be written and published for any model.

    Args:
        name: The name of the kind.
        space: The component.
    """

    def __init__(self, name: str, space: Space) -> None:
        self.name = name
        self.space = space

    def preview(self, subject: SpaceModel) -> Publication:
        """Return what would be published, without asking the Hub."""
        with tempfile.TemporaryDirectory(prefix="ganzoo-") as place:
            records = self.stage(subject, Path(place), lambda name: None, {}, lambda message: None)
        return Publication(subject.repo, records)

    def publish(
        self, subject: SpaceModel, private: bool, warn: Callable[[str], None]
    ) -> Publication:
        """Publish the Space of a model in one commit.

        Args:
            subject: The model.
            private: Whether the Space is private.
            warn: Called with each warning.

        Raises:
            InputError: an existing file cannot be updated.
            GanzooError: the Hub cannot be reached, refuses, or has changed meanwhile.
        """
        sdk = self.space.metadata()["sdk"]
        repository = Repository(subject.repo, private=private, sdk=sdk)
        with tempfile.TemporaryDirectory(prefix="ganzoo-") as place:
            listed = repository.read_manifest()
            records = self.stage(subject, Path(place), repository.text, listed, warn)
            found = repository.publish(Path(place), records, f"{subject.reference}, as a page")
        if found.private:
            warn(
                "the Space is private, and needs a token to read a private model: set it in the "
                "Space's settings, as the secret HF_TOKEN"
            )
        return found

    def stage(
        self,
        subject: SpaceModel,
        place: Path,
        old: Callable[[str], str | None],
        listed: Mapping[str, FileRecord],
        warn: Callable[[str], None],
    ) -> dict[str, FileRecord]:
        """Write the files of a Space, its card and the manifest.

        Args:
            subject: The model.
            place: An empty folder.
            old: Returns the text of an existing file, or None.
            listed: The existing manifest.
            warn: Called with each warning about what a person edited.

        Returns:
            Size and SHA-256 of every file, by name.
        """
        config = subject.config
        packages = valid_packages(foreign_packages([config.architecture, config.loss, config.data]))
        requirements = [f"{name}=={version}" for name, version in packages]
        for name, text in self.space.files(subject.reference, requirements).items():
            _check_name(self.name, name)
            there = old(name)
            if there not in (None, text) and not _is_recorded(there, listed.get(name)):
                warn(f"{name} of the Space was edited by hand and stays as it is")
                text = there
            write_text(place / name, text)
        write_text(place / CARD_FILE, self._build_card(subject, old(CARD_FILE), warn))
        write_manifest(place)
        return {name: FileRecord(**about) for name, about in manifest(place).items()}

    def _build_card(self, subject: SpaceModel, old: str | None, warn: Callable[[str], None]) -> str:
        own = {**self.space.metadata(), "models": [subject.repo]}
        metadata: dict[str, Any] = {"title": subject.repo.partition("/")[2], **own}
        if subject.licence:
            metadata["license"] = subject.licence
        texts = {"about": _about(subject)}
        if old is None:
            return str(Readme.build(metadata, texts, metadata))
        readme = Readme.parse(old)
        if HUB_TEMPLATE.fullmatch("".join(piece.text for piece in readme.pieces)):
            readme = replace(readme, pieces=())
        # A person may have given it another title, and whatever else the Hub knows.
        metadata |= {**readme.metadata, **own, **_choose_licence(subject, readme)}
        sections = {name: build_section(name, text) for name, text in texts.items()}
        merged = readme.update(metadata, sections, metadata)
        if merged.edited:
            warn("what the card of the Space says was edited by hand and stays as it is")
        return str(merged)


def _choose_licence(subject: SpaceModel, readme: Readme) -> dict[str, Any]:
    """Return the model's licence, unless a person gave the Space one of its own."""
    theirs, written = readme.metadata.get("license"), readme.record.front.get("license")
    licence = choose(subject.licence, theirs, written) or theirs
    return {"license": licence} if licence else {}


def _about(subject: SpaceModel) -> str:
    config, origin = subject.config, subject.origin
    title = prose(config.title if origin is None else name_import(config, origin))
    repo = escape_text(subject.repo)
    return (
        f"# {repo}\n\n"
        f"A page to play with [{repo}]({HUB_URL}/{repo}), a generative adversarial network (GAN): "
        f"{title}. Its output is synthetic.\n\n"
        f"{code('ganzoo publish --space')} wrote this page. On your own machine, "
        f"{code(f'ganzoo demo {escape_text(subject.reference)}')} shows the same."
    )


def _check_name(kind: str, name: str) -> None:
    taken = {CARD_FILE.lower(), MANIFEST_FILE.lower()}
    if not re.fullmatch(FILE_NAME, name) or name.lower() in taken:
        raise InputError(f"the space '{kind}' has a file '{escape_text(name)}', which it must not")


def _is_recorded(text: str, record: FileRecord | None) -> bool:
    return record is not None and record.sha256 == hashlib.sha256(text.encode()).hexdigest()
