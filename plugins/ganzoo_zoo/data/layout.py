"""How a folder or zip of images is laid out: what lies around the images, splits, and labels."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from ganzoo.errors import InputError, did_you_mean, excerpt, first_line
from ganzoo_zoo.data.image_source import ImageSource, IndexedSource
from ganzoo_zoo.data.index import FilteredNames, NameRange
from ganzoo_zoo.data.label_table import Label, LabelTable, number_labels, parse_table
from ganzoo_zoo.data.listing import SomeNames, join_words

SPLITS = ("train", "val", "valid", "validation", "test", "dev")
"""Names of folders, in any case, that are splits and no classes if there are no others."""
TRAIN, ALL = "train", "all"
AFTER_SLASH = "0"
"""The character that sorts right after a slash."""


@dataclass(frozen=True)
class Block:
    """Images that follow each other in sorted order and lie in one folder."""

    root: str
    """A folder that holds all of them, with a slash behind it; empty for none."""
    begin: int
    end: int


@dataclass
class Labels:
    """The labels of images that a table names."""

    tables: tuple[str, ...]
    """Names of the tables."""
    classes: tuple[str, ...]
    """Names of the classes; empty if the table says that there are none."""
    numbers: dict[str, int] = field(default_factory=dict)
    """Class of each image, by its name."""


class ArrangedSource(ImageSource):
    """The images of a source that belong to one split, and that have a label if there is a table.

    Args:
        source: The source.
        split: Name of the split; None for the training split, if there are splits.
        labelled: Whether to look for tables of labels.
    """

    def __init__(self, source: IndexedSource, split: str | None, labelled: bool = True) -> None:
        self.source = source
        self.title = source.title
        self.wanted = split
        self.labelled = labelled

    def find_files(self, *, verified: bool = False) -> None:
        """List the files, and find out how they are laid out.

        Raises:
            InputError: they cannot be listed, there is no such split, or a table is damaged.
        """
        self.source.find_files(verified=verified)
        self.blocks: tuple[Block, ...] = ()
        self.split = None
        self.labels: Labels | None = None
        self._selection = ""
        self.names = self.source.names
        notes: list[str] = []
        if self.names:
            self._choose_split(notes)
            if self.labelled:
                self._read_labels(notes)
        self.labels_stand_apart = self.labels is not None
        read = () if self.labels is None else self.labels.tables
        name = Path(self.title).name
        self.notes = (*notes, *self.source.left_out.describe(name, read))

    def blocks_of(self, names: Sequence[str]) -> Iterator[Block]:
        """Yield the blocks of some of the images, which are named in order."""
        at = 0
        for block in self.blocks:
            end = len(names)
            if block.root:
                end = bisect_left(names, block.root[:-1] + AFTER_SLASH, at)
            yield Block(block.root, at, end)
            at = end

    def read(self, place: int) -> bytes:
        """Return the bytes of one file."""
        names = self.names
        while names is not self.source.names:
            assert isinstance(names, NameRange | FilteredNames)
            place, names = names.locate(place), names.names
        return self.source.read(place)

    def total_bytes(self) -> int:
        """Return the size of all files of the source, chosen or not."""
        return self.source.total_bytes()

    def content_hash(self) -> str:
        """Hash the source, and which of its files are chosen."""
        content = self.source.content_hash()
        if self.names is self.source.names:
            return content
        return hashlib.sha256(f"{content} {self._selection}".encode()).hexdigest()

    def _choose_split(self, notes: list[str]) -> None:
        around = common_folder(self.names)
        whole = Block(around, 0, len(self.names))
        splits = _find_splits(self.names, whole)
        if self.wanted is not None and self.wanted != ALL:
            if not splits:  # the only split may be a folder around all images
                found = [name for name in around.split("/") if name.lower() == self.wanted.lower()]
                splits = dict.fromkeys(found, whole)
            if not splits:
                raise InputError(
                    f"{self.title} has no splits, such as {TRAIN} and val; drop data.split"
                )
        if not splits:
            self.blocks = (whole,)
            return
        known, what = join_words(list(splits)), self.wanted or TRAIN
        if what == ALL:
            chosen = list(splits)
        else:
            same = (name for name in splits if name.lower() == what.lower())
            chosen = [what] if what in splits else list(same)[:1]
            self.split = what.lower()
        if not chosen:
            what = excerpt(what)
            hint = did_you_mean(what, splits) or "; choose one with data.split, or all"
            raise InputError(f"{self.title} has the splits {known}, and no {what}{hint}")
        if self.wanted is None:
            notes.append(
                f"{Path(self.title).name} has the splits {known}: {chosen[0]} is read; "
                "choose another with data.split, or all"
            )
        self.blocks = tuple(splits[name] for name in chosen)
        if len(chosen) == 1 and len(splits) > 1:
            (block,) = self.blocks
            self.names = NameRange(self.names, block.begin, block.end)
            self._selection = f"{block.begin} to {block.end}"
            self.blocks = (Block(common_folder(self.names), 0, len(self.names)),)

    def _read_labels(self, notes: list[str]) -> None:
        found = self._match_tables()
        if found is None:
            return
        tables, labels, all_numbers, unmatched = found
        listed = join_words([excerpt(name) for name in tables])
        if unmatched and not labels:
            notes.append(f"{listed} names none of the images, and is not used")
            return
        try:
            classes, numbers = number_labels(labels, all_numbers)
        except ValueError as error:
            raise InputError(f"{listed} in {self.title}: {first_line(error)}") from None
        if len(classes) < 2:
            self.labels = Labels(tables, ())
            notes.append(f"the images have no classes: {listed} names fewer than two")
            return
        self.labels = Labels(tables, classes, numbers)
        notes.append(f"the classes are those of {listed}")
        skipped = [place for place, name in enumerate(self.names) if name not in numbers]
        if skipped:
            without = SomeNames()
            for place in skipped:
                without.add(self.names[place])
            notes.append(
                f"left out {len(skipped):,} images without a label in {listed}, such as {without}"
            )
            digest = hashlib.sha256(np.asarray(skipped, np.int64).tobytes()).hexdigest()
            self._selection += f" without {digest}"
            self.names = FilteredNames(self.names, skipped)
        if unmatched:
            notes.append(f"{unmatched:,} files that {listed} names are not there")

    def _match_tables(self) -> tuple[tuple[str, ...], dict[str, Label], bool, int] | None:
        """Find the label of each image.

        Returns:
            The tables, the label of each image by its name, whether all numbers are classes, and
            how many files are named that are not there; None if there are no tables.
        """
        labels: dict[str, Label] = {}
        parsed: dict[str, LabelTable] = {}
        missing: dict[str, set[str]] = {}
        for block in self.blocks:
            name, table = self._nearest_table(block, parsed)
            if table is None:
                continue
            folder = name[: name.rfind("/") + 1]
            absent = missing.setdefault(name, set(table.labels))
            for place in range(block.begin, block.end):
                image = self.names[place]
                for key in (image[len(folder) :], image[len(block.root) :]):
                    if key in table.labels:
                        labels[image] = table.labels[key]
                        absent.discard(key)
                        break
        if not missing:
            return None
        all_numbers = all(parsed[name].all_numbers for name in missing)
        if not all_numbers and any(isinstance(label, str) for label in labels.values()):
            labels = {image: str(label) for image, label in labels.items()}
        return tuple(missing), labels, all_numbers, sum(map(len, missing.values()))

    def _nearest_table(
        self, block: Block, parsed: dict[str, LabelTable]
    ) -> tuple[str, LabelTable | None]:
        """Return the table in the innermost folder around a block's images, and its name."""
        for _, name, row in sorted(self.source.left_out.tables, key=lambda each: -each[0]):
            if block.root.startswith(name[: name.rfind("/") + 1]):
                if name not in parsed and (table := self._parse(name, row)) is not None:
                    parsed[name] = table
                if name in parsed:
                    return name, parsed[name]
        return "", None

    def _parse(self, name: str, row: bytes) -> LabelTable | None:
        try:
            return parse_table(PurePosixPath(name).name, self.source.read_table(name, row))
        except Exception as error:  # a table in a zip may be damaged in many ways
            raise InputError(
                f"the labels in {self.title}/{name} cannot be read: {first_line(error)}; mend the "
                "file, or move it away"
            ) from None


def outermost_folders(
    names: Sequence[str], block: Block | None = None
) -> Iterator[tuple[str | None, int]]:
    """Yield runs of sorted names with the same outermost folder.

    Args:
        names: The names.
        block: Which of them to look at, from its root on; all if None.

    Yields:
        The folder, or None for a file outside any folder, and the number of names. A folder may
        occur several times.
    """
    block = block or Block("", 0, len(names))
    at = block.begin
    while at < block.end:
        name = names[at][len(block.root) :]
        folder, slash, _ = name.partition("/")
        if slash and folder not in ("", "."):
            count = bisect_left(names, block.root + folder + AFTER_SLASH, at, block.end) - at
            yield folder, count
        else:  # outside any folder, or written with "." or a leading slash, as in some zips
            parts, count = PurePosixPath(name).parts, 1
            yield (parts[0] if len(parts) > 1 else None), count
        at += count


def common_folder(names: Sequence[str]) -> str:
    """Return the innermost folder that holds all of some sorted names, with a slash behind it."""
    first, last = names[0], names[len(names) - 1]
    same = next(
        (at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b),
        min(len(first), len(last)),
    )
    return first[: first.rfind("/", 0, same) + 1]


def _find_splits(names: Sequence[str], block: Block) -> dict[str, Block]:
    """Return the splits by their folders; none if a folder is another, or an image in none."""
    found: dict[str, Block] = {}
    at = block.begin
    for folder, count in outermost_folders(names, block):
        if folder is None or folder.lower() not in SPLITS or folder in found:
            return {}
        found[folder] = Block(f"{block.root}{folder}/", at, at + count)
        at += count
    return found if len(found) > 1 else {}
