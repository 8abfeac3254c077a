"""Publishing a model on the Hub: its files, by an explicit list, in one commit."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.arguments import require_names, require_text
from ganzoo.cards.card import choose_licence, merge_card
from ganzoo.errors import GanzooError, InputError, warn_caller
from ganzoo.models.find import find_model
from ganzoo.models.folder import ModelFolder
from ganzoo.models.hub import parse_reference, use_token
from ganzoo.models.model import Model
from ganzoo.publishing.repository import Publication, Repository
from ganzoo.publishing.spaces import SpaceModel, SpacePage, choose_space
from ganzoo.publishing.staging import (
    StagedModel,
    read_card,
    read_edited_card,
    read_unedited_card,
)
from ganzoo.runs.file_names import CARD_FILE
from ganzoo.storage.paths import user_path

if TYPE_CHECKING:
    from ganzoo.runs.folder import Run


def publish(
    model: Model | Run | str | Path | None,
    repo: str,
    *,
    private: bool = False,
    token: str | None = None,
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
    of this machine.

    Args:
        model: A run, a loaded model, a model folder or another model of the Hub; the newest run if
            None.
        repo: ``user/name``; the repository is created if it does not exist.
        private: Whether the repository is private.
        token: Your token of the Hub; that of the client's login, or ``HF_TOKEN``, if None.
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
    with use_token(token), tempfile.TemporaryDirectory(prefix="ganzoo-") as place:
        folder = model.find_files() if isinstance(model, Model) else find_model(model)
        if not dry_run and not permitted:
            require_permission(folder)
        staged = StagedModel(folder, Path(place))
        staged.add_files(map(user_path, require_names("files to add", add)))
        own = read_edited_card(folder) if card_file is None else read_card(user_path(card_file))
        repository = theirs = tagged = None
        if not dry_run:
            repository = Repository(wanted.repo, private=private)
            theirs = repository.text(CARD_FILE)
            tagged = None if revision is None else repository.find_tag(revision)
        unedited = read_unedited_card(folder) if own is None else None
        chosen = choose_licence(license, own, theirs, unedited) or staged.imported_licence
        generated = staged.build_card(chosen, wanted.repo)
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
