"""Where image files lie: in a folder, in a zip, or in several of these together."""

from __future__ import annotations

import hashlib
import os
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
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
from ganzoo_zoo.data.parallel import map_in_order

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
HIDDEN = (".", "__MACOSX")
"""How the names of files and folders begin that are passed over."""
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How members of a zip may be packed: others unpack to any size before it can be looked at."""
BYTE_LIMIT = 256_000_000
FILES_AT_ONCE = 64
"""Files that a thread hashes for one result."""
REPORT_EVERY = 10_000
"""Files that are listed between two reports."""
UNREAD = bytes(hashlib.sha256().digest_size)


class FileChanged(GanzooError):
    """A file is not what it was a moment ago."""


class FolderSource(IndexedSource):
    """Files of a folder.

    Args:
        root: The folder.
        chosen: Paths in it, if not all images that it and all below it hold.
    """

    kind = np.dtype([("state", STATE), ("digest", "V32")])

    def __init__(self, root: Path, chosen: Sequence[str] | None = None) -> None:
        self.root = root
        self.title = str(root)
        self.chosen = chosen

    def read(self, place: int) -> bytes:
        """Return the bytes of one file.

        Raises:
            Changed: they are not those that :meth:`content_hash` has read.
        """
        path = self.root / self.names[place]
        data = _read_file(path)
        if self._content is not None and not self._is_unchanged(place, data):
            raise FileChanged(f"{path} has changed while it was read; start again")
        return data

    def _is_unchanged(self, place: int, data: bytes) -> bool:
        return hashlib.sha256(data).digest() == self.index.row(place)["digest"].tobytes()

    def total_bytes(self) -> int:
        """Add up the sizes of all files that are there."""
        return int(self.index.rows["state"]["size"].sum())

    def _key(self) -> dict[str, Any]:
        key = {"listing": LISTING_VERSION, "folder": os.fsencode(self.root.absolute()).hex()}
        if self.chosen is not None:
            names = b"\0".join(map(to_bytes, self.chosen))
            key["chosen"] = hashlib.sha256(names).hexdigest()
        return key

    def _records(self) -> Iterator[Record]:
        before, self.count = self.count, 0
        for name, stat in self._list_files():
            self.count += 1
            if self.count % REPORT_EVERY == 0:
                report_progress(f"listing {self.root.name}", self.count, max(before, self.count))
            try:
                state = pack_state(stat())
            except (OSError, ValueError):
                state = NO_STATE
            yield to_bytes(name), state + UNREAD

    def _list_files(self) -> Iterator[tuple[str, Callable[[], os.stat_result]]]:
        """Yield the name of each file, and what asks the system about it."""
        if self.chosen is None:
            return find_images(self.root)
        return ((name, (self.root / name).stat) for name in self.chosen)

    def _compute_state(self) -> str:
        total = _RecordHash()
        for record in self._records():
            total.add(record)
        return str(total)

    def _hash_content(self) -> str:
        joint = hashlib.sha256()
        rows = [row for _, row in self._add_digests(self.index.records(), joint)]
        self.index.rows[:] = np.frombuffer(b"".join(rows), self.kind)
        return joint.hexdigest()

    def _write_index(self, folder: Path, before: Index | None) -> dict[str, Any]:
        total, joint, settled = _RecordHash(), hashlib.sha256(), True

        def counted() -> Iterator[Record]:
            for record in self._records():
                total.add(record)
                yield record

        def read() -> Iterator[Record]:
            nonlocal settled
            records = _reuse_digests(sort_records(counted(), folder), before)
            for name, row in self._add_digests(records, joint):
                settled = settled and not row.startswith(NO_STATE)
                yield name, row

        write_index(read(), folder)
        return {"state": str(total), "content": joint.hexdigest(), "settled": settled}

    def _add_digests(self, records: Iterable[Record], joint: Any) -> Iterator[Record]:
        """Yield records with the digests of the files, and add all of them to a hash."""
        done = 0
        for block in map_in_order(self._digest_all, blocks(records, FILES_AT_ONCE)):
            for name, row, word in block:
                # Of a file that cannot be read the reason counts.
                joint.update(_encode_pair(os.fsencode(to_name(name)), word))
                yield name, row
            done += len(block)
            report_progress(f"looking through {self.root.name}", done, self.count)

    def _digest_all(self, records: list[Record]) -> list[tuple[bytes, bytes, str]]:
        return [(name, *self._digest(to_name(name), row)) for name, row in records]

    def _digest(self, name: str, row: bytes) -> tuple[bytes, str]:
        if not row.endswith(UNREAD):
            return row, row[len(NO_STATE) :].hex()
        path = self.root / name
        try:
            stat = path.stat()  # before it is read: of a change in between the state would be known
            state = pack_state(stat) if is_settled(stat) else NO_STATE
            digest = hashlib.sha256(_read_file(path)).digest()
        except Exception as error:  # as when it is read for its pixels
            return NO_STATE + UNREAD, first_line(error)
        return state + digest, digest.hex()


class ZipSource(IndexedSource):
    """Image files of an open zip.

    Args:
        path: The file.
        file: The same, opened.
    """

    kind = np.dtype(
        [
            ("header_offset", "<i8"),
            ("compress_size", "<u8"),
            ("file_size", "<u8"),
            ("CRC", "<u4"),
            ("compress_type", "<u2"),
            ("flag_bits", "<u2"),
        ]
    )
    _row = struct.Struct("<qQQLHH")

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.title = str(path)
        self._file = file
        self._archive = archive.open_without_directory(file)
        self._before = os.fstat(file.fileno())
        self._reading = Lock()

    def read(self, place: int) -> bytes:
        """Return the bytes of one file, unpacked.

        Raises:
            Changed: the zip has changed since it was opened.
        """
        member = zipfile.ZipInfo(self.names[place])
        for field, value in zip(self.kind.names, self.index.row(place).item(), strict=True):
            setattr(member, field, value)
        _check_size(member.file_size)
        if member.compress_type not in COMPRESSIONS:
            raise ValueError("it is packed by another method than deflate; pack it anew")
        # zipfile counts what is open of it without a lock.
        with self._reading, self._archive.open(member) as file:
            # A size is asked for, as no more is then unpacked than the zip says there is.
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
        try:
            # Of two members with one name the later counts, as it would if they were unpacked.
            for member in archive.read_members(self._file):
                if not member.filename.endswith("/") and is_image(member.filename):
                    values = (getattr(member, field) for field in self.kind.names)
                    yield to_bytes(member.filename), self._row.pack(*values)
        except Exception as error:  # a list of members can be broken in many ways
            flaw = f"{self.path} is not a readable zip: {first_line(error)}"
            raise InputError(flaw) from None

    def _compute_state(self) -> str:
        return pack_state(self._before).hex()

    def _hash_content(self) -> str:
        """Hash the zip as it is."""
        digest, size, done = hashlib.sha256(), self.total_bytes(), 0
        with self.path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
                done += len(block)
                report_progress(f"looking through {self.path.name}", done, size)
        return digest.hexdigest()

    def _write_index(self, folder: Path, before: Index | None) -> dict[str, Any]:
        settled = is_settled(self._before)
        write_index(sort_records(self._records(), folder), folder)
        return {"state": self._compute_state(), "content": self._hash_content(), "settled": settled}


class JoinedSource(ImageSource):
    """Several sources, whose names are put behind a word for each.

    Args:
        parts: The sources, by word.
    """

    def __init__(self, parts: Mapping[str, ImageSource]) -> None:
        self.parts = parts
        self.title = " and ".join(part.title for part in parts.values())

    def find_files(self, *, led: bool = False) -> None:
        """Find the files of all parts.

        Raises:
            InputError: there are none in one of them.
        """
        for part in self.parts.values():
            part.find_files(led=led)
            if not part.names:
                raise InputError(f"there are no images in {part.title}")
        self.names = JoinedNames({word: part.names for word, part in self.parts.items()})

    def read(self, place: int) -> bytes:
        """Return the bytes of one file."""
        word, inner = self.names.locate(place)
        return self.parts[word].read(inner)

    def total_bytes(self) -> int:
        """Add up the parts."""
        return sum(part.total_bytes() for part in self.parts.values())

    def content_hash(self) -> str:
        """Hash all parts."""
        joint = hashlib.sha256()
        for word, part in self.parts.items():
            joint.update(_encode_pair(os.fsencode(word), part.content_hash()))
        return joint.hexdigest()


@contextmanager
def open_folder(path: str) -> Iterator[ImageSource]:
    """Open a folder of images, with all below it; links to folders are not followed.

    Raises:
        InputError: it is not there.
    """
    root = Path(path)
    if not root.is_dir():
        raise InputError(f"there is no folder {root}")
    yield FolderSource(root)


@contextmanager
def open_zip(path: str) -> Iterator[ImageSource]:
    """Open a zip of images; nothing is unpacked to the disk.

    Raises:
        InputError: it is not there, or is no zip.
    """
    regular_size(Path(path))
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(path).open("rb"))
        except OSError as error:
            raise InputError(f"{path} is not a readable zip: {first_line(error)}") from None
        yield ZipSource(Path(path), file)


@contextmanager
def open_joined(paths: Mapping[str, str]) -> Iterator[JoinedSource]:
    """Open several folders or zips, each behind its word.

    Raises:
        InputError: one is not there.
    """
    with ExitStack() as stack:
        yield JoinedSource(
            {
                word: stack.enter_context((open_folder if Path(path).is_dir() else open_zip)(path))
                for word, path in paths.items()
            }
        )


def find_images(root: Path) -> Iterator[tuple[str, Callable[[], os.stat_result]]]:
    """Yield each image in a folder and all below it, in any order, and what asks for its state.

    Raises:
        InputError: a folder cannot be listed.
    """
    opened: list[tuple[str, Any]] = []
    try:
        opened.append(("", os.scandir(root)))
        while opened:
            prefix, entries = opened[-1]
            for entry in entries:
                if entry.name.startswith(HIDDEN):
                    continue
                is_folder = _is_folder(entry)
                if is_folder and not entry.is_symlink():
                    opened.append((f"{prefix}{entry.name}/", os.scandir(entry.path)))
                    break
                if not is_folder and entry.name.lower().endswith(SUFFIXES):
                    yield prefix + entry.name, entry.stat
            else:
                opened.pop()
    except OSError as error:
        below = error.filename or root / opened[-1][0]
        raise InputError(f"the folder {below} cannot be read: {error.strerror}") from None
    finally:
        for _, entries in opened:
            entries.close()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links that lead in a circle
        return False


def is_image(name: str) -> bool:
    """Tell whether a file is an image, and not hidden, by its name."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    hidden = any(part.startswith(HIDDEN) for part in parts)
    return bool(parts) and not hidden and parts[-1].lower().endswith(SUFFIXES)


class _RecordHash:
    """A hash of records that does not depend on their order: the sum of their hashes."""

    def __init__(self) -> None:
        self._sum = 0

    def add(self, record: Record) -> None:
        digest = hashlib.sha256(b"%b\0%b" % record).digest()
        self._sum = (self._sum + int.from_bytes(digest)) % 2**256

    def __str__(self) -> str:
        return f"{self._sum:064x}"


def _reuse_digests(records: Iterable[Record], before: Index | None) -> Iterator[Record]:
    """Yield sorted records; of those that are as they were before, with their digests."""
    known = iter(()) if before is None else before.records()
    old = next(known, None)
    for name, row in records:
        while old is not None and old[0] < name:
            old = next(known, None)
        same = old is not None and old[0] == name and old[1].startswith(row[: len(NO_STATE)])
        yield name, old[1] if same else row


def _read_file(path: Path) -> bytes:
    _check_size(regular_size(path))
    return path.read_bytes()


def _check_size(size: int) -> None:
    if size > BYTE_LIMIT:
        raise ValueError(f"{size} bytes are more than the {BYTE_LIMIT} that an image may have")


def _encode_pair(name: bytes, content: str) -> bytes:
    return repr((name, content)).encode()
