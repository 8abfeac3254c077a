"""Blocks of a text that are written again, around and in which a person may have edited.

A block stands between two comments, of which the first holds a hash of what is between them:
whoever changes the text leaves the hash, and so says that the block is theirs from now on.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

_BLOCK = re.compile(
    r"^<!-- ganzoo:([a-z]+) sha256=([0-9a-f]{12}) -->[ \t]*\n"
    r"((?:(?!<!-- /?ganzoo:).*\n)*)<!-- /ganzoo:\1 -->[ \t]*(?:\n|\Z)",
    re.MULTILINE,
)
"""None holds the comment of another: one whose end is missing must not reach for the next end."""
_RECORD = re.compile(r"^<!-- ganzoo (\{.*\}) -->[ \t]*(?:\n|\Z)", re.MULTILINE)


class Record(BaseModel):
    """What was written, in a comment of its own: what is missing now, a person took away."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    blocks: tuple[str, ...] = ()
    """Names of the blocks."""
    front: dict[str, Any] = {}
    """Metadata, without the results."""

    def __str__(self) -> str:
        text = json.dumps(self.model_dump(mode="json"))
        for mark, escape in (("<", "\\u003c"), (">", "\\u003e"), ("--", "-\\u002d")):
            text = text.replace(mark, escape)
        return f"<!-- ganzoo {text} -->\n"


@dataclass(frozen=True)
class Section:
    """A block with its comments, or what is between two blocks."""

    text: str
    name: str | None = None
    """The block's name."""
    edited: bool = False
    """Whether a person changed it."""


def build_section(name: str, text: str) -> Section:
    """Return a block that holds a text."""
    text = text.strip("\n") + "\n"
    whole = f"<!-- ganzoo:{name} sha256={_hash(text)} -->\n{text}<!-- /ganzoo:{name} -->\n"
    return Section(whole, name)


def join_sections(record: Record, pieces: Sequence[Section]) -> str:
    """Return the text of a record and of pieces."""
    return str(record) + "".join(piece.text for piece in pieces)


def separate_sections(blocks: Sequence[Section]) -> list[Section]:
    """Return blocks with an empty line before each."""
    return [piece for each in blocks for piece in (Section("\n"), each)]


def parse(text: str) -> tuple[Record | None, list[Section]]:
    """Return the record of a text, if it has one, and its pieces."""
    record = None
    for found in _RECORD.finditer(text):
        try:
            record = Record.model_validate_json(found[1])
        except ValidationError:
            continue
        text = text[: found.start()] + text[found.end() :]
        break
    pieces: list[Section] = []
    end = 0
    for found in _BLOCK.finditer(text):
        pieces += [Section(text[end : found.start()])] if end < found.start() else []
        pieces.append(Section(found[0], found[1], edited=_hash(found[3]) != found[2]))
        end = found.end()
    return record, pieces + ([Section(text[end:])] if end < len(text) else [])


def merge(
    new: Mapping[str, Section], old: Sequence[Section], written: Sequence[str]
) -> tuple[list[Section], list[str]]:
    """Return old pieces with their blocks written again, but for those that a person edited.

    What is between blocks stays, and so does their order. A block that has nothing to say any
    more vanishes; one that is new stands before the next one that is there, or at the end.

    Args:
        new: Blocks by name, in their order.
        old: What is there.
        written: Names of the blocks that were written then; one that is missing was taken away.

    Returns:
        The pieces, and the names of the blocks that were taken away and stay away.
    """
    made: list[Section] = []
    for piece in old:
        if piece.name is None or piece.edited:
            made.append(piece)
        elif piece.name in new:
            made.append(new[piece.name])
        elif made and made[-1].name is None and ("\n" + made[-1].text).endswith("\n\n"):
            made[-1] = Section(made[-1].text.removesuffix("\n"))  # its own empty line
    there = {piece.name for piece in old}
    away = [name for name in written if name not in there]
    names = list(new)
    for i, name in enumerate(names):
        if name not in there and name not in away:
            _insert(made, new[name], names[i + 1 :])
    return made, away


def _insert(pieces: list[Section], new: Section, followers: Sequence[str]) -> None:
    """Put a block before the first of its followers, or at the end."""
    places = {piece.name: place for place, piece in enumerate(pieces)}
    for name in followers:
        if name in places:
            pieces[places[name] : places[name]] = [new, Section("\n")]
            return
    if pieces and not pieces[-1].text.endswith("\n"):
        pieces.append(Section("\n"))
    pieces += [Section("\n"), new]


def _hash(text: str) -> str:
    """Hash a text, whatever ends its lines and itself."""
    lines = [line.rstrip() for line in text.split("\n")]
    return hashlib.sha256("\n".join(lines).strip("\n").encode()).hexdigest()[:12]
