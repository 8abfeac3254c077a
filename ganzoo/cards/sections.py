"""Sections of a text that ganzoo writes again, unless a person has edited them.

A section stands between two comments. The first one holds a hash of the text between them, which
no longer fits once a person has changed that text.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ganzoo.cards.merge import choose, find_place

_SECTION = re.compile(
    r"^<!-- ganzoo:([a-z]+) sha256=([0-9a-f]{12}) -->[ \t]*\n"
    r"((?:(?!<!-- /?ganzoo:).*\n)*)<!-- /ganzoo:\1 -->[ \t]*(?:\n|\Z)",
    re.MULTILINE,
)
"""No section contains a comment of another: if its end is missing, it must not run to the next."""
_RECORD = re.compile(r"^<!-- ganzoo (\{.*\}) -->[ \t]*(?:\n|\Z)", re.MULTILINE)


class Record(BaseModel):
    """What ganzoo wrote, in a comment of its own: a person removed what is missing now."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    blocks: tuple[str, ...] = ()
    """Names of the sections, also of those that a person has removed."""
    front: dict[str, Any] = {}
    """Metadata, without the results."""

    def __str__(self) -> str:
        text = json.dumps(self.model_dump(mode="json"))
        for mark, escape in (("<", "\\u003c"), (">", "\\u003e"), ("--", "-\\u002d")):
            text = text.replace(mark, escape)
        return f"<!-- ganzoo {text} -->\n"


@dataclass(frozen=True)
class Section:
    """A section with its comments, or the text between two sections."""

    text: str
    name: str | None = None
    """The section's name; None for text between sections."""
    edited: bool = False
    """Whether a person changed it."""


def build_section(name: str, text: str) -> Section:
    """Return a section that holds a text."""
    text = text.strip("\n") + "\n"
    whole = f"<!-- ganzoo:{name} sha256={_hash(text)} -->\n{text}<!-- /ganzoo:{name} -->\n"
    return Section(whole, name)


def separate_sections(sections: Iterable[Section]) -> list[Section]:
    """Return sections with an empty line before each."""
    return [piece for section in sections for piece in (Section("\n"), section)]


def parse(text: str) -> tuple[Record, list[Section]]:
    """Return the record of a text, an empty one if it has none, and its pieces in order."""
    record = Record()
    for found in _RECORD.finditer(text):
        try:
            record = Record.model_validate_json(found[1])
        except ValidationError:
            continue
        text = text[: found.start()] + text[found.end() :]
        break
    pieces: list[Section] = []
    end = 0
    for found in _SECTION.finditer(text):
        pieces += [Section(text[end : found.start()])] if end < found.start() else []
        pieces.append(Section(found[0], found[1], edited=_hash(found[3]) != found[2]))
        end = found.end()
    return record, pieces + ([Section(text[end:])] if end < len(text) else [])


def merge(
    new: Mapping[str, Section], old: Sequence[Section], written: Sequence[str]
) -> list[Section]:
    """Write the sections of a text again, except those that a person has edited or removed.

    Text between sections stays, and so does the order. A section that has become empty vanishes;
    a new one is put before the next one that is there, or at the end.

    Args:
        new: Sections by name, in their order.
        old: The pieces of the text that is there.
        written: Names of the sections that ganzoo wrote then.
    """
    pieces: list[Section] = []
    for piece in old:
        if piece.name is None:
            pieces.append(piece)
        elif chosen := choose(new.get(piece.name), piece, None if piece.edited else piece):
            pieces.append(chosen)
        elif pieces and pieces[-1].name is None and ("\n" + pieces[-1].text).endswith("\n\n"):
            pieces[-1] = Section(pieces[-1].text.removesuffix("\n"))  # its own empty line
    present = {piece.name for piece in old}
    names = list(new)
    for i, (name, section) in enumerate(new.items()):
        if name not in present and choose(True, False, name in written):
            _insert(pieces, section, names[i + 1 :])
    return pieces


def _insert(pieces: list[Section], new: Section, followers: Sequence[str]) -> None:
    """Put a section before the first of its followers, or at the end."""
    place = find_place([piece.name for piece in pieces], followers)
    if place < len(pieces):
        pieces[place:place] = [new, Section("\n")]
        return
    if pieces and not pieces[-1].text.endswith("\n"):
        pieces.append(Section("\n"))
    pieces += [Section("\n"), new]


def _hash(text: str) -> str:
    """Hash a text, whatever its line ends and the empty lines around it."""
    lines = [line.rstrip() for line in text.split("\n")]
    return hashlib.sha256("\n".join(lines).strip("\n").encode()).hexdigest()[:12]
