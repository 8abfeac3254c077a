"""Builds the package's long description from README, which a package index shows by itself.

Links to files beside README lead nowhere there, and pictures stay empty.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_FILE = r"\((?!https?:)([^)\s]+)\)"
_PICTURE = re.compile(rf"!\[([^\]]*)\]{_FILE}")
_LINK = re.compile(rf"\[([^\]]+)\]{_FILE}")
_NOTE = "The pages and pictures that this text names lie under `docs/` in the source distribution."


def make_whole(text: str) -> str:
    """Return a Markdown text in which nothing points to a file beside it."""
    text = _PICTURE.sub(r"\1 (`\2`)", text)
    text = _LINK.sub(r"\1", text)
    return f"{text.rstrip()}\n\n{_NOTE}\n"


class LongDescription(MetadataHookInterface):
    """Sets the field ``readme``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the text to the project's metadata."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": make_whole(text)}
