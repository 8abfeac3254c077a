"""Checks of Spaces: what they give for a made-up model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ganzoo.protocols.space import Space
from ganzoo.runs.file_names import CARD_FILE, FILE_NAME, MANIFEST_FILE
from ganzoo.testing.common import check_options, explain_errors, require

REFERENCE = f"user/name@{'0123456789' * 4}"
REQUIREMENTS = ("acme-gan==1.2", "acme-data==3.4.5")
SDKS = ("gradio", "docker", "static")
"""What the Hub runs."""


def check_metadata(space: Space) -> None:
    """The metadata say what runs the Space, and which of its files is the first."""
    found = _metadata(space)
    require(
        all(isinstance(part, str) for pair in found.items() for part in pair),
        f"metadata must be texts by their names, and they are {dict(found)!r}",
    )
    require(
        found.get("sdk") in SDKS,
        f"metadata must have an sdk that the Hub runs, {', '.join(SDKS)}: {found.get('sdk')!r}",
    )
    first, files = found.get("app_file"), _files(space)
    require(
        first in files, f"app_file must be one of the files, {', '.join(files)}, and is {first!r}"
    )
    own = sorted({"models", "license", "title"} & set(found))
    require(not own, f"{', '.join(own)} of the metadata come from the model: leave them away")


def check_files(space: Space) -> None:
    """Files are texts that lie in one folder, and none is the card or the manifest."""
    for name, text in _files(space).items():
        require(
            isinstance(name, str) and re.fullmatch(FILE_NAME, name) is not None,
            f"a file's name is letters, digits, '.', '_' and '-', and begins with no '.': {name!r}",
        )
        require(
            name.lower() not in (CARD_FILE.lower(), MANIFEST_FILE.lower()),
            f"{name} is written by ganzoo itself",
        )
        require(isinstance(text, str), f"{name} must be a text, and is a {type(text).__name__}")


def check_model(space: Space) -> None:
    """The page loads the very model, and the packages that gave its components are installed."""
    whole = "\n".join(map(str, _files(space).values()))
    asked = {REFERENCE: "the page must load the reference that it is given"}
    asked |= dict.fromkeys(REQUIREMENTS, "each of the requirements must be installed")
    for word, reason in asked.items():
        require(word in whole, f"{reason}, and '{word}' stands in no file")


def check_same(space: Space) -> None:
    """The same model gives the same files, so that what is there is not sent again."""
    require(
        _files(space) == _files(space) and _metadata(space) == _metadata(space),
        "files and metadata must be the same each time: no dates, and nothing that is drawn",
    )


space_checks: list[Callable[[Space], None]] = [
    check_options,
    check_metadata,
    check_files,
    check_model,
    check_same,
]


def _metadata(space: Space) -> Mapping[str, str]:
    with explain_errors("metadata must be given once check has refused nothing"):
        space.check()
        return dict(space.metadata())


def _files(space: Space) -> Mapping[str, str]:
    with explain_errors("files must be given once check has refused nothing"):
        space.check()
        return dict(space.files(REFERENCE, REQUIREMENTS))
