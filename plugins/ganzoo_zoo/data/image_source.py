"""Sources of images, of which an index is kept where there are many files."""

from __future__ import annotations

import os
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ganzoo.storage.cache import find_folder, get_or_make_folder
from ganzoo_zoo.data.index import Index, Record, write_facts

FEW_FILES = 2000
"""Files that are listed and read in a moment; of more, an index is kept in the cache."""
LISTING_VERSION = 1
"""Number of how files are found and put in order: one more when others are."""
KIND = "index"
"""What an index is kept as."""
SETTLE_TIME = 60 * 10**9
"""Nanoseconds between the last change of a file and the time at which it is read.

Some systems count in seconds, and the clock of another machine may be behind.
"""
TELLS_CHANGES = os.name == "posix"
"""Whether the system has a time of the last change that no program can set."""
_STATE = struct.Struct("<Qqqq")
STATE = np.dtype([("inode", "<u8"), ("size", "<i8"), ("written", "<i8"), ("changed", "<i8")])
"""What the system knows of a file: where all of these are the same, its content is."""
NO_STATE = bytes(_STATE.size)


class ImageSource(ABC):
    """Image files, with forward slashes in their names, in the order in which they are read."""

    title: str
    """What messages call it."""
    names: Sequence[str]
    """Those of the files, once they were found."""

    @abstractmethod
    def find_files(self, *, led: bool = False) -> None:
        """Find out which files there are, before anything else is asked.

        Args:
            led: Whether another process of this machine has just done so: what it kept is right.

        Raises:
            InputError: that cannot be found out.
        """

    @abstractmethod
    def read(self, place: int) -> bytes:
        """Return the bytes of the file whose name has some place; any thread may ask."""

    @abstractmethod
    def total_bytes(self) -> int:
        """Return how many bytes the files take, as they lie on the disk."""

    @abstractmethod
    def content_hash(self) -> str:
        """Hash all names and all bytes; where that is not known every file is read."""


class IndexedSource(ImageSource):
    """Base of sources of which an index is kept in the cache.

    It is used as long as it is right, which is told by the state of the files. The time at which
    anything about a file has changed is part of that, and no program can set it. A file that had
    changed shortly before it was read could change again at what counts as the same time: it is not
    settled, and read anew.
    """

    kind: ClassVar[np.dtype]
    """What the index holds of a file."""
    index: Index
    count: int = 0
    """How many files there were when they were last listed."""

    def find_files(self, *, led: bool = False) -> None:
        """Open the index that is kept, or make one."""
        self._current_state: str | None = None
        folder = find_folder(KIND, self._key()) if TELLS_CHANGES else None
        index = self._open_valid(folder, led) if folder else None
        self.index = index or self._make_index()
        self.names = self.index.names
        self._content: str | None = self.index.facts.get("content")

    def content_hash(self) -> str:
        """Return what the index has, or read every file."""
        if self._content is None:
            self._content = self._hash_content()
        return self._content

    @abstractmethod
    def _key(self) -> dict[str, Any]:
        """Return what tells the index from others."""

    @abstractmethod
    def _records(self) -> Iterator[Record]:
        """Find all files, in any order; the last of a name counts."""

    @abstractmethod
    def _compute_state(self) -> str:
        """Return what is another once a file has changed, has come or is gone."""

    @abstractmethod
    def _hash_content(self) -> str:
        """Find the content by reading every file."""

    @abstractmethod
    def _write_index(self, folder: Path, before: Index | None) -> dict[str, Any]:
        """Write an index, and return its ``state``, its ``content`` and whether it is ``settled``.

        Args:
            folder: Where it goes.
            before: One that was right earlier.
        """

    def _open_valid(self, folder: Path, led: bool = False) -> Index | None:
        """Open an index, if it is right."""
        index = Index.load(folder, self.kind, verified=led)
        if index is None or led:
            return index
        self.count = len(index.names)
        return index if index.facts["settled"] and self._is_current(index.facts["state"]) else None

    def _is_current(self, state: str) -> bool:
        if self._current_state is None:
            self._current_state = self._compute_state()
        return self._current_state == state

    def _make_index(self) -> Index:
        records = self._records()
        few = list(islice(records, FEW_FILES + 1))
        if TELLS_CHANGES and len(few) > FEW_FILES:
            with suppress(OSError):  # a cache that is full or read-only
                if (index := self._make_cached()) is not None:
                    return index
        return Index.of(chain(few, records), self.kind)

    def _make_cached(self) -> Index | None:
        key = self._key()
        found: list[Index] = []

        def valid(folder: Path) -> bool:
            """Tell whether another process has made it meanwhile."""
            found.extend(filter(None, [self._open_valid(folder)]))
            return bool(found)

        def make(folder: Path) -> None:
            before = find_folder(KIND, key)
            facts = self._write_index(folder, before and Index.load(before, self.kind))
            write_facts(folder, facts)

        folder = get_or_make_folder(KIND, key, make, valid)
        return found[0] if found else Index.load(folder, self.kind, verified=True)


def pack_state(stat: os.stat_result) -> bytes:
    """Return what the system knows of a file, as :data:`STATE` has it."""
    return _STATE.pack(stat.st_ino % 2**64, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def is_settled(stat: os.stat_result) -> bool:
    """Tell whether a file that is read from now on is the same as long as its state is."""
    return time.time_ns() - stat.st_ctime_ns > SETTLE_TIME
