"""Saving a model: a folder with the files that publishing it would send."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ganzoo.cards.card import choose_licence
from ganzoo.errors import InputError, warn_caller
from ganzoo.models.folder import ModelFolder
from ganzoo.models.hub import HubFolder
from ganzoo.publishing.staging import StagedModel, read_edited_card, read_unedited_card
from ganzoo.runs.file_names import CARD_FILE, MANIFEST_FILE
from ganzoo.storage.files import atomic_folder


def save_model(source: ModelFolder, place: Path, warn: Callable[[str], None] = warn_caller) -> None:
    """Write a model folder with the files that :func:`ganzoo.publish` would send.

    Text that people wrote into the card stays, whether there already or in the model's own.

    Args:
        source: The model.
        place: The folder to write. It may hold an earlier model, which is replaced.
        warn: Called with each warning.

    Raises:
        InputError: the folder holds something else, or belongs to a run; or the model's files are
            damaged.
        GanzooError: a file of the model cannot be downloaded.
    """
    own = _check_place(source, place) or _read_card(source)
    with atomic_folder(place) as draft:
        staged = StagedModel(source, draft)
        licence = choose_licence(None, own) or staged.imported_licence
        staged.write_card(staged.build_card(licence), own, warn)


def _check_place(source: ModelFolder, place: Path) -> str | None:
    """Check that a model may be written to a folder, and return the edited card that is there.

    Raises:
        InputError: it must not.
    """
    if not place.exists():
        return None
    if not place.is_dir():
        raise InputError(f"{place} is a file, and a model is a folder: choose another")
    names = {path.name for path in place.iterdir()}
    if not names:
        return None
    if MANIFEST_FILE not in names:
        raise InputError(f"{place} is not empty, and no model: choose another folder")
    there = ModelFolder(place, str(place))
    if there.run() is not None or place.resolve() == source.path.resolve():
        raise InputError(f"{place} is the model of a run, or this model itself: choose another")
    if others := sorted(names - {MANIFEST_FILE, CARD_FILE, *there.records}):
        raise InputError(f"{place} holds '{others[0]}' beside a model: choose another folder")
    return read_edited_card(there)


def _read_card(source: ModelFolder) -> str | None:
    """Return a model's card as it is now, edited or not; None if it has none."""
    if isinstance(source, HubFolder):
        return source.card() if source.has(CARD_FILE) else None
    return read_edited_card(source) or read_unedited_card(source)
