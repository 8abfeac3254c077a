"""An index of image files: sorted names, and a row of facts about each, in arrays on disk.

A name as a Python object, with its row, takes several hundred bytes. For millions of files that
would be gigabytes. So names are sorted, written and read in blocks.
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
from ganzoo.storage.files import manifest, name_file, write_text
from ganzoo.storage.json_files import read_json, to_json

Item = TypeVar("Item")

RUN = 1 << 17
"""Records that are sorted in memory at once; longer input is sorted in runs and merged."""
BLOCK = 1 << 12
"""Records per read or write."""
TEXT, ENDS, ROWS = FILES = ("names", "ends", "rows")
FACTS, MANIFEST = "facts.json", "manifest.json"
_LETTERS: np.dtype = np.dtype(np.uint8)
_PLACES: np.dtype = np.dtype("<i8")
_LENGTHS = struct.Struct("<II")

Record = tuple[bytes, bytes]
"""A file name encoded by :func:`to_bytes`, and the row of the file, of one length for all."""


def to_bytes(name: str) -> bytes:
    """Encode any name, so that the bytes sort as the names do."""
    return name.encode("utf-8", "surrogatepass")


def to_name(text: bytes) -> str:
    """Decode a name that :func:`to_bytes` encoded."""
    return text.decode("utf-8", "surrogatepass")


class FileArray:
    """A one-dimensional array in a file, read by slices.

    A memory map would let the system keep far more of the file in memory.

    Args:
        path: The file.
        kind: Type of an element.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, kind: np.dtype) -> None:
        self._path = path
        self._kind = kind
        self._handle = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._handle)
        self._length = os.fstat(self._handle).st_size // kind.itemsize

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> np.ndarray:
        begin, end, _ = part.indices(self._length)
        size = self._kind.itemsize
        with name_file(self._path):
            data = os.pread(self._handle, max(0, end - begin) * size, begin * size)
        return np.frombuffer(data, self._kind)


class NameSequence(Sequence[str]):
    """Base of sequences that make each name when it is read."""

    @abstractmethod
    def _at(self, place: int) -> str:
        """Return the name at an index from 0."""

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...

    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        if isinstance(place, slice):
            return tuple(map(self._at, range(*place.indices(len(self)))))
        if not -len(self) <= place < len(self):
            raise IndexError(f"index {place} is out of range for {len(self)} names")
        return self._at(place % len(self))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, (str, bytes)):
            return NotImplemented
        return len(self) == len(other) and all(map(str.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]


class Names(NameSequence):
    """Names stored as concatenated bytes.

    Args:
        text: All names, uint8.
        ends: End of each name in ``text``, int64 ``(N,)``.
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
        """Yield each name as :func:`to_bytes` encodes it."""
        begin = 0
        for at in range(0, len(self), BLOCK):
            ends = self.ends[at : at + BLOCK].tolist()
            text, first = self.text[begin : ends[-1]].tobytes(), begin
            for end in ends:
                yield text[begin - first : end - first]
                begin = end


class NameRange(NameSequence):
    """Names that follow each other in a longer sequence.

    Args:
        names: The longer sequence.
        begin: Index of the first name.
        end: Index after the last one.
    """

    def __init__(self, names: Sequence[str], begin: int, end: int) -> None:
        self.names = names
        self._begin, self._end = begin, end

    def __len__(self) -> int:
        return self._end - self._begin

    def _at(self, place: int) -> str:
        return self.names[self.locate(place)]

    def locate(self, place: int) -> int:
        """Return the index among all names of the name at an index."""
        return self._begin + place


class FilteredNames(NameSequence):
    """Names without some of them.

    Args:
        names: All names.
        places: Indices of the names to skip, in ascending order.
    """

    def __init__(self, names: Sequence[str], places: Sequence[int]) -> None:
        self.names = names
        self._gaps = np.asarray(places, np.int64) - np.arange(len(places))

    def __len__(self) -> int:
        return len(self.names) - len(self._gaps)

    def _at(self, place: int) -> str:
        return self.names[self.locate(place)]

    def locate(self, place: int) -> int:
        """Return the index among all names of the name at an index."""
        return place + int(np.searchsorted(self._gaps, place, side="right"))


class ChosenNames(NameSequence):
    """Some names of a sequence, in any order, of which one may occur several times.

    Args:
        names: All names.
        places: Index of each chosen name, int64 ``(N,)``.
    """

    def __init__(self, names: Sequence[str], places: np.ndarray) -> None:
        self.names = names
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def _at(self, place: int) -> str:
        return self.names[self.locate(place)]

    def locate(self, place: int) -> int:
        """Return the index among all names of the name at an index."""
        return int(self.places[place])


class JoinedNames(NameSequence):
    """The names of several sets, one set after another, each prefixed by its set.

    Args:
        parts: The names of each set, by prefix.
    """

    def __init__(self, parts: dict[str, Sequence[str]]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return sum(map(len, self.parts.values()))

    def _at(self, place: int) -> str:
        word, inner = self.locate(place)
        return f"{word}/{self.parts[word][inner]}"

    def locate(self, place: int) -> tuple[str, int]:
        """Return the prefix of the set that holds a name, and the index of the name there."""
        for word, names in self.parts.items():
            if place < len(names):
                return word, place
            place -= len(names)
        raise IndexError("index out of range")


class Index:
    """Files sorted by name.

    Args:
        names: Names of the files.
        rows: A row of facts about each file.
        facts: Facts about all files together, as plain values.
    """

    def __init__(
        self, names: Names, rows: np.ndarray | FileArray, facts: Mapping[str, Any] | None = None
    ) -> None:
        self.names = names
        self.rows = rows
        self.facts = facts or {}

    @classmethod
    def of(cls, records: Iterable[Record], kind: np.dtype) -> Index:
        """Make an index in memory.

        Args:
            records: Records in any order; the last one of a name counts.
            kind: Type of a row.
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
        """Open an index that :func:`write_index` and :func:`write_facts` wrote.

        Args:
            folder: The folder of the index.
            kind: Type of a row.
            verified: Whether its bytes were verified a moment ago.

        Returns:
            The index; None if it is damaged.
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
            # Another process may have replaced the folder in the meantime.
            return found if folder.stat().st_ino == place else None
        except (InputError, OSError):
            return None

    def row(self, place: int) -> np.void:
        """Return the row of one file."""
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
    """Sort records by name in bounded memory.

    Args:
        records: Records in any order; the last one of a name counts.
        folder: Folder for temporary files, which may take as much space as all records.
    """
    with TemporaryDirectory(dir=folder) as room:
        runs: list[Iterable[Record]] = []
        for run in blocks(records, RUN):
            run.sort(key=itemgetter(0))
            if len(run) == RUN:
                runs.append(_spill(run, Path(room) / str(len(runs))))
            else:
                runs.append(run)
            del run  # otherwise two runs would be in memory at once
        yield from _keep_last(heapq.merge(*runs, key=itemgetter(0)))


def write_index(records: Iterable[Record], folder: Path) -> None:
    """Write sorted records, at least one, into a folder."""
    with (
        (folder / TEXT).open("wb") as text,
        (folder / ENDS).open("wb") as ends,
        (folder / ROWS).open("wb") as rows,
    ):
        _write_records(records, text, ends, rows)


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the facts about all files into the folder of an index, and a manifest."""
    write_text(folder / FACTS, to_json(dict(facts)))
    write_text(folder / MANIFEST, to_json(manifest(folder)))


def blocks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of ``size`` items; the last one may be shorter."""
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
    """Yield the last record of each name from sorted records."""
    before: Any = None
    for record in records:
        if before is not None and before[0] != record[0]:
            yield before
        before = record
    if before is not None:
        yield before


def _spill(run: list[Record], path: Path) -> Iterator[Record]:
    """Write records to a file, and return an iterator that reads them back."""
    with path.open("wb") as file:
        for name, known in run:
            file.write(b"%b%b%b" % (_LENGTHS.pack(len(name), len(known)), name, known))
    return _read_spilled(path)


def _read_spilled(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        while head := file.read(_LENGTHS.size):
            name, known = _LENGTHS.unpack(head)
            yield file.read(name), file.read(known)
