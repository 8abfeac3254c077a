"""Which files are read as images by their names, and an account of those that are left out."""

from __future__ import annotations

import os
from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ganzoo.errors import InputError, excerpt
from ganzoo_zoo.data.index import to_bytes, to_name

SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".bmp",
    ".gif",
    ".webp",
    ".avif",
    ".tif",
    ".tiff",
)
ARRAYS = (".npy",)
"""Suffixes of arrays, which count as images where there are no other images."""
OTHER_FORMATS = (".heic", ".heif", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".jxl")
"""Suffixes of photographs that are not read, and that a person may take for images."""
HIDDEN = (".", "__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN")
"""Prefixes of ignored files and folders: hidden ones, and those that systems leave behind."""
LEFTOVERS = (*HIDDEN[1:], "._", ".thumbnails", ".ipynb_checkpoints", ".Trash", ".git", ".cache")
"""Prefixes of hidden files and folders in which nobody keeps images."""
INDEXES_OF_WINDOWS = ("thumbs.db", "desktop.ini")
TABLES = ("dataset.json", "labels.csv", "metadata.jsonl", "metadata.csv")
"""Names of files that may tell the label of each image."""
MOST_TABLES = 100
LONGEST_TABLE_NAME = 1000
LONGEST_NAME = 200
"""Letters of a name in a message."""
MOST_SUFFIXES = 1000
LONGEST_SUFFIX = 12
SHOWN = 3
"""The most names and suffixes in a message."""


@dataclass
class SomeNames:
    """The number of names, and the first of them in sorted order."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Add a name, which may have been added before."""
        self.count += 1
        name = name[:LONGEST_NAME]
        if (len(self.first) < SHOWN or name < self.first[-1]) and name not in self.first:
            insort(self.first, name)
            del self.first[SHOWN:]

    def __str__(self) -> str:
        return join_words([excerpt(name, 100) for name in self.first])


class LeftOut:
    """An account of the files that a listing leaves out, in memory that does not grow with them."""

    def __init__(self) -> None:
        self.links, self.hidden, self.files = SomeNames(), SomeNames(), SomeNames()
        self.suffixes: Counter[str] = Counter()
        self.tables: list[tuple[int, str, bytes]] = []
        """Files that may be tables of labels, outermost first: depth, name, and row in an index."""

    def add_file(self, name: str, row: bytes = b"") -> None:
        """Add a file that is no image by its name.

        Args:
            name: Its path in the folder or zip.
            row: What is needed to read it, if it is a table.
        """
        base = name.rpartition("/")[2]
        if base in TABLES and len(to_bytes(name)) <= LONGEST_TABLE_NAME:
            insort(self.tables, (name.count("/"), name, row))
            if len(self.tables) <= MOST_TABLES:
                return
            _, name, _ = self.tables.pop()
        elif base.lower() in INDEXES_OF_WINDOWS:
            return
        self.files.add(name)
        suffix = PurePosixPath(name).suffix.lower() or "no suffix"
        known = suffix in self.suffixes or len(self.suffixes) < MOST_SUFFIXES
        self.suffixes[suffix if known and len(suffix) <= LONGEST_SUFFIX else "others"] += 1

    def add_link(self, name: str) -> None:
        """Add a link to a folder, which is not followed."""
        self.links.add(name)

    def add_hidden(self, name: str, is_folder: bool) -> None:
        """Add a hidden file or folder; only an image or a folder that a person may miss counts."""
        base = name.rpartition("/")[2]
        if not base.startswith(LEFTOVERS) and (is_folder or base.lower().endswith(SUFFIXES)):
            self.hidden.add(name)

    def describe(self, title: str, read: tuple[str, ...] = ()) -> list[str]:
        """Describe what was left out and why, in up to three lines.

        Args:
            title: Name of the folder or zip.
            read: Names of the tables that were read.
        """
        lines = []
        if self.links.count == 1:
            lines.append(f"{title}/{self.links} is a link to a folder and was left out")
        elif self.links.count:
            lines.append(
                f"{self.links.count:,} links to folders in {title} were left out, such as "
                f"{self.links}"
            )
        total = SomeNames(self.files.count, list(self.files.first))
        suffixes = Counter(self.suffixes)
        for name in {name for _, name, _ in self.tables} - set(read):
            total.add(name)
            suffixes[PurePosixPath(name).suffix] += 1
        if total.count:
            lines.append(_describe_files(title, total, suffixes))
        if self.hidden.count:
            lines.append(
                f"hidden files and folders in {title} were left out, such as {self.hidden}"
            )
        return lines

    def to_facts(self) -> dict[str, Any]:
        """Return the account as plain values, for an index in the cache."""
        return {
            **{
                word: [names.count, [to_bytes(name).hex() for name in names.first]]
                for word, names in self._names()
            },
            "suffixes": {to_bytes(name).hex(): count for name, count in self.suffixes.items()},
            "tables": [[to_bytes(name).hex(), row.hex()] for _, name, row in self.tables],
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> LeftOut:
        """Return the account that :meth:`to_facts` converted."""
        found = cls()
        for word, names in found._names():
            names.count, first = facts[word]
            names.first = [_name_of(name) for name in first]
        found.suffixes.update({_name_of(name): count for name, count in facts["suffixes"].items()})
        for text, row in facts["tables"]:
            name = _name_of(text)
            found.tables.append((name.count("/"), name, bytes.fromhex(row)))
        return found

    def _names(self) -> list[tuple[str, SomeNames]]:
        return [("links", self.links), ("hidden", self.hidden), ("files", self.files)]


def _describe_files(title: str, names: SomeNames, suffixes: Counter[str]) -> str:
    counts = [f"{suffix} {count:,}" for suffix, count in _most_frequent(suffixes)]
    more = [f"{len(counts) - 2 * SHOWN} more"] if len(counts) > 2 * SHOWN else []
    shown = excerpt(", ".join(counts[: 2 * SHOWN] + more), 200)
    if names.count == 1:
        what = f"1 file in {title} whose name does not end as that of an image"
    else:
        what = f"{names.count:,} files in {title} whose names do not end as those of images"
    photos = [suffix for suffix, _ in _most_frequent(suffixes) if suffix in OTHER_FORMATS]
    them = "it" if names.count == 1 else "them"
    advice = f"; convert {join_words(photos)} to JPEG or PNG to train on {them}" if photos else ""
    return f"left out {what} ({shown}), such as {names}{advice}"


def find_images(
    root: Path, left_out: LeftOut, suffixes: tuple[str, ...] = SUFFIXES
) -> Iterator[tuple[str, Callable[[], os.stat_result]]]:
    """Find all images in a folder and its subfolders, in any order.

    Args:
        root: The folder.
        left_out: Is told what is left out.
        suffixes: What the names of images end in.

    Yields:
        The path relative to ``root``, and a function that returns the file's metadata.

    Raises:
        InputError: a folder cannot be listed.
    """
    opened: list[tuple[str, Any]] = []
    try:
        opened.append(("", os.scandir(root)))
        while opened:
            prefix, entries = opened[-1]
            for entry in entries:
                is_folder = _is_folder(entry)
                if entry.name.startswith(HIDDEN):
                    left_out.add_hidden(prefix + entry.name, is_folder)
                elif is_folder and entry.is_symlink():
                    left_out.add_link(prefix + entry.name)
                elif is_folder:
                    opened.append((f"{prefix}{entry.name}/", os.scandir(entry.path)))
                    break
                elif entry.name.lower().endswith(suffixes):
                    yield prefix + entry.name, entry.stat
                else:
                    left_out.add_file(prefix + entry.name)
            else:
                opened.pop()
    except OSError as error:
        below = error.filename or root / opened[-1][0]
        raise InputError(f"the folder {below} cannot be read: {error.strerror}") from None
    finally:
        for _, entries in opened:
            entries.close()


def is_image(
    name: str, left_out: LeftOut, row: bytes = b"", suffixes: tuple[str, ...] = SUFFIXES
) -> bool:
    """Tell by its name whether a file of a zip is an image and not hidden.

    Args:
        name: Its path in the zip.
        left_out: Is told if it is not.
        row: What is needed to read it.
        suffixes: What the names of images end in.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    hidden = next((at for at, part in enumerate(parts) if part.startswith(HIDDEN)), None)
    if hidden is not None:
        left_out.add_hidden("/".join(parts[: hidden + 1]), hidden + 1 < len(parts))
    elif not parts or not parts[-1].lower().endswith(suffixes):
        left_out.add_file(name, row)
    else:
        return True
    return False


def join_words(words: list[str]) -> str:
    """Join words as a sentence does: ``a, b and c``."""
    return " and ".join([*filter(None, [", ".join(words[:-1])]), *words[-1:]])


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circle of links
        return False


def _most_frequent(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _name_of(text: str) -> str:
    return to_name(bytes.fromhex(text))
