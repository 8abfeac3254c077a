"""Sources of image files, with a cached index for large ones."""

from __future__ import annotations

import os
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from ganzoo.storage.cache import find_folder, get_or_make_folder
from ganzoo_zoo.data.index import Index, Record, write_facts
from ganzoo_zoo.data.listing import LeftOut

FEW_FILES = 2000
"""The index of a source with more files than this is kept in the cache."""
LISTING_VERSION = 2
"""Version of how files are found and sorted; increase it when either changes."""
KIND = "index"
"""The kind of cache entry that an index is."""
SETTLE_TIME = 60 * 10**9
"""Age in nanoseconds from which the last change of a file is trusted.

Some file systems count in seconds, and the clock of a file server may lag behind.
"""
TELLS_CHANGES = os.name == "posix"
"""Whether the system records a change time that programs cannot set."""
_STATE = struct.Struct("<Qqqq")
STATE = np.dtype([("inode", "<u8"), ("size", "<i8"), ("written", "<i8"), ("changed", "<i8")])
"""File metadata: while all of these are equal, the content is too."""
NO_STATE = bytes(_STATE.size)


class ImageSource(ABC):
    """Image files in a fixed order, named with forward slashes."""

    title: str
    """Name of the source in messages."""
    names: Sequence[str]
    """Names of the files, set by :meth:`find_files`."""
    notes: tuple[str, ...] = ()
    """What a person should know about the listing, set by :meth:`find_files`."""
    split: str | None = None
    """Name of the split that :meth:`find_files` chose, if there are splits."""
    chosen_options: Mapping[str, Any] = MappingProxyType({})
    """Options of the dataset that :meth:`find_files` chose because nobody gave them."""
    labels_stand_apart: bool = False
    """Whether labels come from a file beside the images, and not from their names."""

    @abstractmethod
    def find_files(self, *, verified: bool = False) -> None:
        """List the files; call it before any other method.

        Args:
            verified: Whether another process of this machine has just done so, which makes its
                cached index valid.

        Raises:
            InputError: the files cannot be listed.
        """

    @abstractmethod
    def read(self, place: int) -> bytes:
        """Return the bytes of the file at an index of ``names``. Thread-safe."""

    @abstractmethod
    def total_bytes(self) -> int:
        """Return the size of all files on disk."""

    @abstractmethod
    def content_hash(self) -> str:
        """Hash the names and bytes of all files; reads every file if the hash is not known."""


class IndexedSource(ImageSource):
    """Base of sources whose index is kept in the cache.

    A cached index is used while the metadata of all files are unchanged. They include the change
    time, which programs cannot set. A file that changed shortly before it was read might change
    again within the resolution of the clock, so it is not settled and is read again.
    """

    kind: ClassVar[np.dtype]
    """Type of an index row, which describes one file."""
    index: Index
    count: int = 0
    """Number of files at the last listing."""
    left_out: LeftOut
    """What the last listing left out."""

    def find_files(self, *, verified: bool = False) -> None:
        """Open the cached index, or make one."""
        self._current_state: str | None = None
        self.left_out = LeftOut()
        folder = find_folder(KIND, self._key()) if TELLS_CHANGES else None
        index = self._open_valid(folder, verified) if folder else None
        self.index = index or self._make_index()
        self.names = self.index.names
        self._content: str | None = self.index.facts.get("content")

    def content_hash(self) -> str:
        """Return the hash from the index, or read every file."""
        if self._content is None:
            self._content = self._hash_content()
        return self._content

    @abstractmethod
    def read_table(self, name: str, row: bytes) -> bytes:
        """Return the bytes of a table among the files that were left out.

        Raises:
            ValueError: it is too large. Reading it may raise other errors too.
        """

    @abstractmethod
    def _key(self) -> dict[str, Any]:
        """Return the key of the index in the cache."""

    @abstractmethod
    def _records(self) -> Iterator[Record]:
        """Yield a record of each file in any order; the last one of a name counts."""

    @abstractmethod
    def _compute_state(self) -> str:
        """Return a hash that changes when a file is changed, added or removed."""

    @abstractmethod
    def _hash_content(self) -> str:
        """Compute the content hash by reading every file."""

    @abstractmethod
    def _write_index(self, folder: Path, before: Index | None) -> dict[str, Any]:
        """Write an index and return its facts.

        Args:
            folder: Folder to write to.
            before: An earlier index, whose digests may be reused.

        Returns:
            ``state``, ``content``, and whether all files were ``settled``.
        """

    def _open_valid(self, folder: Path, verified: bool = False) -> Index | None:
        """Open an index; return None if it is damaged or outdated."""
        index = Index.load(folder, self.kind, verified=verified)
        if index is None:
            return None
        self.left_out = LeftOut.from_facts(index.facts["left_out"])
        if verified:
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
            with suppress(OSError):  # the cache may be full or read-only
                if (index := self._make_cached()) is not None:
                    return index
        return Index.of(chain(few, records), self.kind)

    def _make_cached(self) -> Index | None:
        key = self._key()
        found: list[Index] = []

        def is_valid(folder: Path) -> bool:
            """Tell whether another process has made the index in the meantime."""
            found.extend(filter(None, [self._open_valid(folder)]))
            return bool(found)

        def make(folder: Path) -> None:
            before = find_folder(KIND, key)
            facts = self._write_index(folder, Index.load(before, self.kind) if before else None)
            write_facts(folder, {**facts, "left_out": self.left_out.to_facts()})

        folder = get_or_make_folder(KIND, key, make, is_valid)
        return found[0] if found else Index.load(folder, self.kind, verified=True)


def pack_state(stat: os.stat_result) -> bytes:
    """Return the metadata of a file as one :data:`STATE` row."""
    return _STATE.pack(stat.st_ino % 2**64, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def is_settled(stat: os.stat_result) -> bool:
    """Tell whether a change of the file from now on is sure to change its metadata."""
    return time.time_ns() - stat.st_ctime_ns > SETTLE_TIME
