"""Which files a set has, and what is known of each: arrays, which stay on the disk.

A name as a Python object, with what belongs to it, takes several hundred bytes; of millions of them
that is gigabytes. Here they are sorted, written and read a part at a time.
"""

from __future__ import annotations

import heapq
import io
import os
import struct
import weakref
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, TypeVar, overload

import numpy as np

from ganzoo.errors import InputError
from ganzoo.storage.cache import KEY_FILE
from ganzoo.storage.files import manifest, write_text
from ganzoo.storage.json_files import read_json, to_json

Item = TypeVar("Item")

RUN = 1 << 17
"""Records that are sorted in memory; of more, each run is sorted and they are merged."""
BLOCK = 1 << 12
"""Records that are read or written at once."""
TEXT, ENDS, ROWS = FILES = ("names", "ends", "rows")
FACTS, MANIFEST = "facts.json", "manifest.json"
_LETTERS, _PLACES = np.dtype(np.uint8), np.dtype("<i8")
_LENGTHS = struct.Struct("<II")

Record = tuple[bytes, bytes]
"""A name as :func:`to_bytes` has it, and what is known of the file, of the same length for all."""


def to_bytes(name: str) -> bytes:
    """Return a name, whatever it holds, as bytes that sort as the names do."""
    return name.encode("utf-8", "surrogatepass")


def to_name(text: bytes) -> str:
    """Return the name that :func:`to_bytes` was given."""
    return text.decode("utf-8", "surrogatepass")


class FileArray:
    """An array in a file, of which parts are read; to map it would have the system map much more.

    Args:
        path: The file.
        kind: What it holds, one after another.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, kind: np.dtype) -> None:
        self._kind = kind
        self._handle = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._handle)
        self._length = os.fstat(self._handle).st_size // kind.itemsize

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> np.ndarray:
        begin, end, _ = part.indices(self._length)
        size = self._kind.itemsize
        data = os.pread(self._handle, max(0, end - begin) * size, begin * size)
        return np.frombuffer(data, self._kind)


class _NameSequence(Sequence[str]):
    """Base of sequences of names that are no list of them."""

    @abstractmethod
    def _at(self, place: int) -> str:
        """Return one of the names, counted from 0."""

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...

    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        if isinstance(place, slice):
            return tuple(map(self._at, range(*place.indices(len(self)))))
        if not -len(self) <= place < len(self):
            raise IndexError(f"there are {len(self)} names, and none at {place}")
        return self._at(place % len(self))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, (str, bytes)):
            return NotImplemented
        return len(self) == len(other) and all(map(str.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]


class Names(_NameSequence):
    """Names, as bytes end to end.

    Args:
        text: All of them, uint8.
        ends: Where each ends, int64.
    """

    def __init__(self, text: np.ndarray | FileArray, ends: np.ndarray | FileArray) -> None:
        self.text = text
        self.ends = ends

    def __len__(self) -> int:
        return len(self.ends)

    def _at(self, place: int) -> str:
        *begin, end = self.ends[max(0, place - 1) : place + 1].tolist()
        return to_name(self.text[begin[0] if begin else 0 : end].tobytes())

    def iter_bytes(self) -> Iterator[bytes]:
        """Yield each as :func:`to_bytes` has it."""
        begin = 0
        for at in range(0, len(self), BLOCK):
            ends = self.ends[at : at + BLOCK].tolist()
            text, first = self.text[begin : ends[-1]].tobytes(), begin
            for end in ends:
                yield text[begin - first : end - first]
                begin = end


class FilteredNames(_NameSequence):
    """Names, but for those at some places.

    Args:
        names: Any names.
        places: Which are left out, in order.
    """

    def __init__(self, names: Sequence[str], places: Sequence[int]) -> None:
        self.names = names
        self._gaps = np.asarray(places, np.int64) - np.arange(len(places))

    def __len__(self) -> int:
        return len(self.names) - len(self._gaps)

    def _at(self, place: int) -> str:
        return self.names[place + int(np.searchsorted(self._gaps, place, side="right"))]


class JoinedNames(_NameSequence):
    """Names of several sets, one set after another, each name behind its set's word.

    Args:
        parts: The names, by word.
    """

    def __init__(self, parts: dict[str, Sequence[str]]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return sum(map(len, self.parts.values()))

    def _at(self, place: int) -> str:
        word, inner = self.locate(place)
        return f"{word}/{self.parts[word][inner]}"

    def locate(self, place: int) -> tuple[str, int]:
        """Return the word of the set that a name is of, and its place there."""
        for word, names in self.parts.items():
            if place < len(names):
                return word, place
            place -= len(names)
        raise IndexError("there are fewer names")


class Index:
    """Files in the order of their names.

    Args:
        names: Their names.
        rows: What is known of each, one after another.
        facts: What is known of all of them, as JSON has it.
    """

    def __init__(
        self, names: Names, rows: np.ndarray | FileArray, facts: Mapping[str, Any] | None = None
    ) -> None:
        self.names = names
        self.rows = rows
        self.facts = facts or {}

    @classmethod
    def of(cls, records: Iterable[Record], kind: np.dtype) -> Index:
        """Sort records in memory.

        Args:
            records: The last of a name counts.
            kind: What is known of a file.
        """
        files = [io.BytesIO() for _ in FILES]
        _write_records(_keep_last(sorted(records, key=itemgetter(0))), *files)
        text, ends, rows = (
            np.frombuffer(bytearray(file.getvalue()), each)
            for file, each in zip(files, (_LETTERS, _PLACES, kind), strict=True)
        )
        return cls(Names(text, ends), rows)

    @classmethod
    def load(cls, folder: Path, kind: np.dtype, *, verified: bool = False) -> Index | None:
        """Open what :func:`write_index` and :func:`write_facts` have left; None if it is damaged.

        Args:
            folder: Where it lies.
            kind: What is known of a file.
            verified: Whether its bytes were looked at a moment ago.
        """
        try:
            place = folder.stat().st_ino
            listed = read_json(folder / MANIFEST)
            if not verified and manifest(folder, MANIFEST, KEY_FILE) != listed:
                return None
            text, ends, rows = (
                FileArray(folder / name, each)
                for name, each in zip(FILES, (_LETTERS, _PLACES, kind), strict=True)
            )
            found = cls(Names(text, ends), rows, read_json(folder / FACTS))
            # Another process may have put another one there meanwhile.
            return found if folder.stat().st_ino == place else None
        except (InputError, OSError):
            return None

    def row(self, place: int) -> np.void:
        """Return what is known of one file."""
        return self.rows[place : place + 1][0]

    def records(self) -> Iterator[Record]:
        """Yield every record, in order."""
        return zip(self.names.iter_bytes(), self._iter_row_bytes(), strict=True)

    def _iter_row_bytes(self) -> Iterator[bytes]:
        for at in range(0, len(self.rows), BLOCK):
            rows = self.rows[at : at + BLOCK]
            block, size = rows.tobytes(), rows.itemsize
            yield from (block[begin : begin + size] for begin in range(0, len(block), size))


def sort_records(records: Iterable[Record], folder: Path) -> Iterator[Record]:
    """Sort records by their names, with no more than a part of them in memory.

    Args:
        records: In any order; the last of a name counts.
        folder: Where there is room for all of them meanwhile.
    """
    with TemporaryDirectory(dir=folder) as room:
        runs: list[Iterable[Record]] = []
        for run in blocks(records, RUN):
            run.sort(key=itemgetter(0))
            if len(run) == RUN:
                runs.append(_spill(run, Path(room) / str(len(runs))))
            else:
                runs.append(run)
            del run  # or the next one would be read beside it
        yield from _keep_last(heapq.merge(*runs, key=itemgetter(0)))


def write_index(records: Iterable[Record], folder: Path) -> None:
    """Write sorted records, of which there must be some, into a folder."""
    with (
        (folder / TEXT).open("wb") as text,
        (folder / ENDS).open("wb") as ends,
        (folder / ROWS).open("wb") as rows,
    ):
        _write_records(records, text, ends, rows)


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write what is known of all files beside what :func:`write_index` has left, and a manifest."""
    write_text(folder / FACTS, to_json(dict(facts)))
    write_text(folder / MANIFEST, to_json(manifest(folder)))


def blocks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of so many items; the last may be shorter."""
    items = iter(items)
    while block := list(islice(items, size)):
        yield block
        block = []


def _write_records(
    records: Iterable[Record], text: BinaryIO, ends: BinaryIO, rows: BinaryIO
) -> None:
    end = 0
    for block in blocks(records, BLOCK):
        names, known = zip(*block, strict=True)
        text.write(b"".join(names))
        rows.write(b"".join(known))
        reached = end + np.cumsum([len(name) for name in names], dtype=_PLACES)
        ends.write(reached.tobytes())
        end = int(reached[-1])


def _keep_last(records: Iterable[Record]) -> Iterator[Record]:
    """Yield of sorted records the last of each name."""
    before: Any = None
    for record in records:
        if before is not None and before[0] != record[0]:
            yield before
        before = record
    if before is not None:
        yield before


def _spill(run: list[Record], path: Path) -> Iterator[Record]:
    """Write records to a file, and return what reads them."""
    with path.open("wb") as file:
        for name, known in run:
            file.write(b"%b%b%b" % (_LENGTHS.pack(len(name), len(known)), name, known))
    return _read_spilled(path)


def _read_spilled(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        while head := file.read(_LENGTHS.size):
            name, known = _LENGTHS.unpack(head)
            yield file.read(name), file.read(known)
