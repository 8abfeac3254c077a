"""Checks of Spaces, for a made-up model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ganzoo.protocols.space import Space
from ganzoo.runs.file_names import CARD_FILE, MANIFEST_FILE
from ganzoo.storage.paths import FILE_NAME
from ganzoo.testing.common import check_options, explain_errors, require

REFERENCE = f"user/name@{'0123456789' * 4}"
REQUIREMENTS = ("acme-gan==1.2", "acme-data==3.4.5")
SDKS = ("gradio", "docker", "static")
"""SDKs that the Hub runs."""


def check_metadata(space: Space) -> None:
    """The metadata name an SDK of the Hub and one of the files to start with."""
    found = _metadata(space)
    require(
        all(isinstance(part, str) for pair in found.items() for part in pair),
        f"metadata must be strings by name, not {dict(found)!r}",
    )
    require(
        found.get("sdk") in SDKS,
        f"sdk must be one that the Hub runs, {', '.join(SDKS)}, not {found.get('sdk')!r}",
    )
    first, files = found.get("app_file"), _files(space)
    require(first in files, f"app_file must be one of the files, {', '.join(files)}, not {first!r}")
    own = sorted({"models", "license", "title"} & set(found))
    require(not own, f"ganzoo adds {', '.join(own)} to the metadata: drop them")


def check_files(space: Space) -> None:
    """Files are texts in one folder, and none is the card or the manifest."""
    for name, text in _files(space).items():
        require(
            isinstance(name, str) and re.fullmatch(FILE_NAME, name) is not None,
            f"a file's name consists of letters, digits, '.', '_' and '-', and does not begin with "
            f"'.': {name!r}",
        )
        require(
            name.lower() not in (CARD_FILE.lower(), MANIFEST_FILE.lower()),
            f"ganzoo writes {name} itself",
        )
        require(isinstance(text, str), f"{name} must be a str, not {type(text).__name__}")


def check_model(space: Space) -> None:
    """The Space loads the model by its reference, and installs the packages of its components."""
    whole = "\n".join(map(str, _files(space).values()))
    asked = {REFERENCE: "the Space must load the reference that it is given"}
    asked |= dict.fromkeys(REQUIREMENTS, "the Space must install each of the requirements")
    for word, reason in asked.items():
        require(word in whole, f"{reason}, but no file contains '{word}'")


def check_same(space: Space) -> None:
    """The same model gives the same files, so that unchanged ones are not uploaded again."""
    require(
        _files(space) == _files(space) and _metadata(space) == _metadata(space),
        "files and metadata must be the same each time: no dates, no random numbers",
    )


space_checks: list[Callable[[Space], None]] = [
    check_options,
    check_metadata,
    check_files,
    check_model,
    check_same,
]
"""Checks of Spaces."""


def _metadata(space: Space) -> Mapping[str, str]:
    with explain_errors("metadata() must work if check() raises nothing"):
        space.check()
        return dict(space.metadata())


def _files(space: Space) -> Mapping[str, str]:
    with explain_errors("files() must work if check() raises nothing"):
        space.check()
        return dict(space.files(REFERENCE, REQUIREMENTS))
