"""Image files in a folder, in a zip, or in several of these."""

from __future__ import annotations

import hashlib
import os
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import numpy as np

from ganzoo.errors import GanzooError, InputError, first_line
from ganzoo.progress import report_progress
from ganzoo.storage.files import regular_size
from ganzoo_zoo.data import archive
from ganzoo_zoo.data.image_source import (
    LISTING_VERSION,
    NO_STATE,
    STATE,
    ImageSource,
    IndexedSource,
    is_settled,
    pack_state,
)
from ganzoo_zoo.data.index import (
    Index,
    JoinedNames,
    Record,
    blocks,
    sort_records,
    to_bytes,
    to_name,
    write_index,
)
from ganzoo_zoo.data.layout import ArrangedSource
from ganzoo_zoo.data.listing import LeftOut, find_images, is_image
from ganzoo_zoo.data.parallel import map_in_order

COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Accepted compressions of zip members. Others may unpack to any size before it can be checked."""
BYTE_LIMIT = 256_000_000
"""The most bytes of an image file."""
FILES_AT_ONCE = 64
"""Files that a thread hashes per task."""
REPORT_EVERY = 10_000
"""Files listed between two progress reports."""
UNREAD = bytes(hashlib.sha256().digest_size)
"""Digest of a file that was not read."""
ZIP_FIELDS = [
    ("header_offset", "<i8"),
    ("compress_size", "<u8"),
    ("file_size", "<u8"),
    ("CRC", "<u4"),
    ("compress_type", "<u2"),
    ("flag_bits", "<u2"),
]
"""Attributes of ``zipfile.ZipInfo`` that are needed to read a member, with their types."""


class FileChanged(GanzooError):
    """A file changed while it was read."""


class FolderSource(IndexedSource):
    """The image files of a folder.

    Args:
        root: The folder.
        chosen: Files relative to ``root``; if None, all images in the folder and its subfolders.
    """

    kind = np.dtype([("state", STATE), ("digest", "V32")])

    def __init__(self, root: Path, chosen: Sequence[str] | None = None) -> None:
        self.root = root
        self.title = str(root)
        self.chosen = chosen

    def read(self, place: int) -> bytes:
        """Return the bytes of one file.

        Raises:
            FileChanged: the file differs from the one that :meth:`content_hash` read.
        """
        path = self.root / self.names[place]
        data = read_file(path)
        if self._content is not None and not self._is_unchanged(place, data):
            raise FileChanged(f"{path} has changed while it was read; start again")
        return data

    def _is_unchanged(self, place: int, data: bytes) -> bool:
        return hashlib.sha256(data).digest() == self.index.row(place)["digest"].tobytes()

    def read_table(self, name: str, row: bytes) -> bytes:
        """Return the bytes of a table."""
        return read_file(self.root / name)

    def total_bytes(self) -> int:
        """Add up the sizes of all files."""
        return int(self.index.rows[:]["state"]["size"].sum())

    def _key(self) -> dict[str, Any]:
        key = {"listing": LISTING_VERSION, "folder": os.fsencode(self.root.absolute()).hex()}
        if self.chosen is not None:
            names = b"\0".join(map(to_bytes, self.chosen))
            key["chosen"] = hashlib.sha256(names).hexdigest()
        return key

    def _records(self) -> Iterator[Record]:
        before, self.count, left_out = self.count, 0, LeftOut()
        for name, stat in self._list_files(left_out):
            self.count += 1
            if self.count % REPORT_EVERY == 0:
                report_progress(f"listing {self.root.name}", self.count, max(before, self.count))
            try:
                state = pack_state(stat())
            except (OSError, ValueError):
                state = NO_STATE
            yield to_bytes(name), state + UNREAD
        self.left_out = left_out

    def _list_files(self, left_out: LeftOut) -> Iterator[tuple[str, Callable[[], os.stat_result]]]:
        """Yield the name of each file, and a function that returns its metadata."""
        if self.chosen is None:
            return find_images(self.root, left_out)
        return ((name, (self.root / name).stat) for name in self.chosen)

    def _compute_state(self) -> str:
        total = _RecordHash()
        for record in self._records():
            total.add(record)
        return self._describe_state(total)

    def _describe_state(self, total: _RecordHash) -> str:
        # Processes that trust an index must find the same tables as the one that verified it.
        for _, name, row in self.left_out.tables:
            total.add((to_bytes(name), row))
        return str(total)

    def _hash_content(self) -> str:
        joint = hashlib.sha256()
        rows = [row for _, row in self._add_digests(self.index.records(), joint)]
        self.index.rows = np.frombuffer(b"".join(rows), self.kind)
        return joint.hexdigest()

    def _write_index(self, folder: Path, before: Index | None) -> dict[str, Any]:
        total, joint, settled = _RecordHash(), hashlib.sha256(), True

        def list_records() -> Iterator[Record]:
            for record in self._records():
                total.add(record)
                yield record

        def read_records() -> Iterator[Record]:
            nonlocal settled
            records = _reuse_digests(sort_records(list_records(), folder), before)
            for name, row in self._add_digests(records, joint):
                settled = settled and not row.startswith(NO_STATE)
                yield name, row

        write_index(read_records(), folder)
        state = self._describe_state(total)
        return {"state": state, "content": joint.hexdigest(), "settled": settled}

    def _add_digests(self, records: Iterable[Record], joint: Any) -> Iterator[Record]:
        """Yield records with the digests of the files, and add the digests to a joint hash."""
        done = 0
        for block in map_in_order(self._digest_all, blocks(records, FILES_AT_ONCE)):
            for name, row, word in block:
                # The error message stands in for the digest of an unreadable file.
                joint.update(_encode_pair(os.fsencode(to_name(name)), word))
                yield name, row
            done += len(block)
            report_progress(f"hashing {self.root.name}", done, self.count)

    def _digest_all(self, records: list[Record]) -> list[tuple[bytes, bytes, str]]:
        return [(name, *self._digest(to_name(name), row)) for name, row in records]

    def _digest(self, name: str, row: bytes) -> tuple[bytes, str]:
        if not row.endswith(UNREAD):
            return row, row[len(NO_STATE) :].hex()
        path = self.root / name
        try:
            stat = path.stat()  # before reading, so that a change in between is noticed later
            state = pack_state(stat) if is_settled(stat) else NO_STATE
            digest = hashlib.sha256(read_file(path)).digest()
        except Exception as error:  # decoding treats errors the same way
            return NO_STATE + UNREAD, first_line(error)
        return state + digest, digest.hex()


class ZipSource(IndexedSource):
    """The image files of an open zip.

    Args:
        path: Path of the zip.
        file: The zip, opened for reading.
    """

    kind = np.dtype(ZIP_FIELDS)
    _row = struct.Struct("<qQQLHH")

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.title = str(path)
        self._file = file
        self._archive = archive.open_without_directory(file)
        self._before = os.fstat(file.fileno())
        self._reading = Lock()

    def read(self, place: int) -> bytes:
        """Return the unpacked bytes of one file.

        Raises:
            FileChanged: the zip has changed since it was opened.
            ValueError: the file is too large, or its compression is not accepted.
        """
        return self._unpack(self.names[place], self.index.row(place).item())

    def read_table(self, name: str, row: bytes) -> bytes:
        """Return the unpacked bytes of a table."""
        return self._unpack(name, self._row.unpack(row))

    def _unpack(self, name: str, values: Iterable[int]) -> bytes:
        member = zipfile.ZipInfo(name)
        for (field, _), value in zip(ZIP_FIELDS, values, strict=True):
            setattr(member, field, value)
        _check_size(member.file_size)
        if member.compress_type not in COMPRESSIONS:
            raise ValueError("it is compressed by another method than deflate; compress it again")
        # zipfile counts its open members without a lock.
        with self._reading:
            stored = archive.read_name(self._file, member)
            if with_slashes(stored) == name:
                member.orig_filename = stored  # zipfile compares the two
            with self._archive.open(member) as file:
                # With a size, no more is unpacked than the zip declares.
                data = file.read(member.file_size + 1)
        if pack_state(os.fstat(self._file.fileno())) != pack_state(self._before):
            raise FileChanged(f"{self.path} has changed while it was read; start again")
        return data

    def total_bytes(self) -> int:
        """Return the size of the zip."""
        return self._before.st_size

    def _key(self) -> dict[str, Any]:
        return {"listing": LISTING_VERSION, "zip": os.fsencode(self.path.absolute()).hex()}

    def _records(self) -> Iterator[Record]:
        left_out = LeftOut()
        try:
            # The later of two members with the same name counts, as it would after unpacking.
            for member in archive.read_members(self._file):
                name = with_slashes(member.filename)
                row = self._row.pack(*(getattr(member, field) for field, _ in ZIP_FIELDS))
                if not name.endswith("/") and is_image(name, left_out, row):
                    yield to_bytes(name), row
        except Exception as error:  # a directory can be damaged in many ways
            flaw = f"{self.path} is not a readable zip: {first_line(error)}"
            raise InputError(flaw) from None
        self.left_out = left_out

    def _compute_state(self) -> str:
        return pack_state(self._before).hex()

    def _hash_content(self) -> str:
        """Hash the zip file itself."""
        digest, size, done = hashlib.sha256(), self.total_bytes(), 0
        with self.path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
                done += len(block)
                report_progress(f"hashing {self.path.name}", done, size)
        return digest.hexdigest()

    def _write_index(self, folder: Path, before: Index | None) -> dict[str, Any]:
        settled = is_settled(self._before)
        write_index(sort_records(self._records(), folder), folder)
        return {"state": self._compute_state(), "content": self._hash_content(), "settled": settled}


class JoinedSource(ImageSource):
    """Several sources, whose file names are prefixed by their source.

    Args:
        parts: The sources, by prefix.
    """

    names: JoinedNames

    def __init__(self, parts: Mapping[str, ImageSource]) -> None:
        self.parts = parts
        self.title = " and ".join(part.title for part in parts.values())

    def find_files(self, *, verified: bool = False) -> None:
        """List the files of all parts.

        Raises:
            InputError: one of them has no images.
        """
        for part in self.parts.values():
            part.find_files(verified=verified)
            if not part.names:
                raise InputError("; ".join([f"there are no images in {part.title}", *part.notes]))
        self.notes = tuple(note for part in self.parts.values() for note in part.notes)
        splits = {part.split for part in self.parts.values()}
        self.split = splits.pop() if len(splits) == 1 else None
        self.names = JoinedNames({word: part.names for word, part in self.parts.items()})

    def read(self, place: int) -> bytes:
        """Return the bytes of one file."""
        word, inner = self.names.locate(place)
        return self.parts[word].read(inner)

    def total_bytes(self) -> int:
        """Add up the sizes of all parts."""
        return sum(part.total_bytes() for part in self.parts.values())

    def content_hash(self) -> str:
        """Hash the content hashes of all parts."""
        joint = hashlib.sha256()
        for word, part in self.parts.items():
            joint.update(_encode_pair(os.fsencode(word), part.content_hash()))
        return joint.hexdigest()


@contextmanager
def open_folder(path: str) -> Iterator[FolderSource]:
    """Open a folder of images and its subfolders; links to folders are not followed.

    Raises:
        InputError: the folder does not exist.
    """
    root = Path(path)
    if not root.is_dir():
        raise InputError(f"there is no folder {root}")
    yield FolderSource(root)


@contextmanager
def open_zip(path: str) -> Iterator[ZipSource]:
    """Open a zip of images; nothing is unpacked to disk.

    Raises:
        InputError: the file does not exist or cannot be opened.
    """
    regular_size(Path(path))
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(path).open("rb"))
        except OSError as error:
            raise InputError(f"{path} is not a readable zip: {first_line(error)}") from None
        yield ZipSource(Path(path), file)


@contextmanager
def open_joined(paths: Mapping[str, str], split: str | None = None) -> Iterator[JoinedSource]:
    """Open several folders or zips, by prefix.

    Args:
        paths: Their paths.
        split: The split to read of each; None for the training split, if there are splits.

    Raises:
        InputError: one of them does not exist or cannot be opened.
    """
    with ExitStack() as stack:
        yield JoinedSource(
            {
                word: ArrangedSource(stack.enter_context(open_path(path)), split, labelled=False)
                for word, path in paths.items()
            }
        )


def with_slashes(name: str) -> str:
    """Return a zip member's name with forward slashes; some tools of Windows write the others."""
    return name.replace("\\", "/")


def open_path(path: str) -> AbstractContextManager[IndexedSource]:
    """Open a folder or a zip of images.

    Raises:
        InputError: it does not exist or cannot be opened.
    """
    return open_folder(path) if Path(path).is_dir() else open_zip(path)


class _RecordHash:
    """An order-independent hash of records: the sum of their hashes."""

    def __init__(self) -> None:
        self._sum = 0

    def add(self, record: Record) -> None:
        digest = hashlib.sha256(b"%b\0%b" % record).digest()
        self._sum = (self._sum + int.from_bytes(digest)) % 2**256

    def __str__(self) -> str:
        return f"{self._sum:064x}"


def _reuse_digests(records: Iterable[Record], before: Index | None) -> Iterator[Record]:
    """Yield sorted records, with the earlier digests of unchanged files."""
    known = iter(()) if before is None else before.records()
    old = next(known, None)
    for name, row in records:
        while old is not None and old[0] < name:
            old = next(known, None)
        if old is not None and old[0] == name and old[1].startswith(row[: len(NO_STATE)]):
            yield name, old[1]
        else:
            yield name, row


def read_file(path: Path) -> bytes:
    """Return the bytes of an image file.

    Raises:
        ValueError: it is too large. Reading it may raise other errors too.
    """
    _check_size(regular_size(path))
    return path.read_bytes()


def _check_size(size: int) -> None:
    if size > BYTE_LIMIT:
        raise ValueError(f"{size} bytes are more than the limit of {BYTE_LIMIT} for an image")


def _encode_pair(name: bytes, content: str) -> bytes:
    return repr((name, content)).encode()
