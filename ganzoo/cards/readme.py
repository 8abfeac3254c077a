"""A README that ganzoo writes and people edit: metadata, a record of what was written, sections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ganzoo.cards import front_matter, sections
from ganzoo.cards.sections import Record, Section


@dataclass(frozen=True)
class Readme:
    """A README in its parts."""

    yaml: str
    """Its metadata, as they are written."""
    record: Record
    pieces: tuple[Section, ...]

    @classmethod
    def build(
        cls, metadata: Mapping[str, Any], texts: Mapping[str, str], recorded: Mapping[str, Any]
    ) -> Readme:
        """Build a new README.

        Args:
            metadata: Its metadata.
            texts: The texts of its sections, by name.
            recorded: What it is to remember of the metadata.
        """
        built = [sections.build_section(name, text) for name, text in texts.items()]
        record = Record(blocks=tuple(texts), front=dict(recorded))
        pieces = tuple(sections.separate_sections(built))
        return cls(front_matter.to_yaml(dict(metadata)), record, pieces)

    @classmethod
    def parse(cls, text: str) -> Readme:
        """Split a README; one that ganzoo did not write has an empty record and no section."""
        yaml, body = front_matter.split(text.removeprefix("\ufeff").replace("\r\n", "\n"))
        record, pieces = sections.parse(body)
        return cls(yaml, record, tuple(pieces))

    def update(
        self,
        metadata: Mapping[str, Any],
        new: Mapping[str, Section],
        recorded: Mapping[str, Any],
    ) -> Readme:
        """Return this README written again; what a person edited or removed stays so.

        Args:
            metadata: The merged metadata.
            new: Its sections as ganzoo writes them now, by name.
            recorded: What it is to remember of the metadata.
        """
        pieces = sections.merge(new, self.pieces, self.record.blocks)
        before = {piece.name for piece in self.pieces}
        removed = [name for name in self.record.blocks if name not in before]
        # A person may have copied a section, and then there are two of its name.
        names = dict.fromkeys(piece.name for piece in pieces if piece.name)
        record = Record(blocks=(*names, *removed), front=dict(recorded))
        yaml = front_matter.update_yaml(self.yaml, dict(metadata))
        return Readme(yaml, record, tuple(pieces))

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata.

        Raises:
            InputError: they cannot be read.
        """
        return front_matter.read(self.yaml)

    @property
    def sections(self) -> dict[str, Section]:
        """The sections by name."""
        return {piece.name: piece for piece in self.pieces if piece.name}

    @property
    def edited(self) -> list[str]:
        """Names of the sections that a person edited."""
        edited = (piece.name for piece in self.pieces if piece.name and piece.edited)
        return list(dict.fromkeys(edited))

    def __str__(self) -> str:
        body = "".join(piece.text for piece in self.pieces)
        return f"---\n{self.yaml}---\n{self.record}{body}"
