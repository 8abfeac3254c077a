"""Where image files lie: in a folder, in a zip, or in several of these together."""

from __future__ import annotations

import hashlib
import os
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Lock

from ganzoo.errors import GanzooError, InputError, first_line
from ganzoo.files import regular_size
from ganzoo.progress import report
from ganzoo_data.parallel import in_order

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How members of a zip may be packed: others unpack to any size before it can be looked at."""
BYTE_LIMIT = 256_000_000


class Changed(GanzooError):
    """A file is not what it was a moment ago."""


class Source(ABC):
    """Image files by name, with forward slashes, in the order in which they are read."""

    called: str
    """What messages call it."""
    names: list[str]

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return the bytes of one file; any thread may ask."""

    @abstractmethod
    def weight(self) -> int:
        """Return how many bytes all files take, as they lie on the disk."""

    @abstractmethod
    def content(self) -> str:
        """Hash all names and all bytes; every file is read."""


class Folder(Source):
    """Files of a folder.

    Args:
        root: The folder.
        names: Paths in it.
    """

    def __init__(self, root: Path, names: Iterable[str]) -> None:
        self.root = root
        self.called = str(root)
        self.names = list(names)
        self._seen: dict[str, str] = {}

    def read(self, name: str) -> bytes:
        """Return the bytes of one file.

        Raises:
            Changed: they are not those that :meth:`content` has read.
        """
        _check_size(regular_size(self.root / name))
        data = (self.root / name).read_bytes()
        if self._seen and hashlib.sha256(data).hexdigest() != self._seen[name]:
            raise Changed(f"{self.root / name} has changed while it was read; start again")
        return data

    def weight(self) -> int:
        """Add up the sizes of all files that are there."""
        return sum(_size(self.root / name) for name in self.names)

    def content(self) -> str:
        """Hash all names and all bytes; of a file that cannot be read, why not."""
        self._seen = {}
        seen, count = {}, len(self.names)
        for name, digest in zip(self.names, in_order(self._digest, self.names), strict=True):
            seen[name] = digest
            report(f"looking through {self.root.name}", len(seen), count)
        self._seen = seen
        return _joint((os.fsencode(name), digest) for name, digest in seen.items())

    def _digest(self, name: str) -> str:
        try:
            return hashlib.sha256(self.read(name)).hexdigest()
        except Exception as error:  # as when it is read for its pixels
            return first_line(error)


class Zip(Source):
    """Image files of an open zip.

    Args:
        path: The file.
        archive: The same, opened.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self.archive = archive
        self.called = str(path)
        # Of two members with one name the later counts, as it would if they were unpacked.
        self.members = {
            info.filename: info for info in archive.infolist() if not info.filename.endswith("/")
        }
        self.names = images_among(self.members)
        self._reading = Lock()

    def read(self, name: str) -> bytes:
        """Return the bytes of one file, unpacked."""
        member = self.members[name]
        _check_size(member.file_size)
        if member.compress_type not in PACKINGS:
            raise ValueError("it is packed by another method than deflate; pack it anew")
        # zipfile counts what is open of it without a lock.
        with self._reading, self.archive.open(member) as file:
            # A size is asked for, as no more is then unpacked than the zip says there is.
            return file.read(member.file_size + 1)

    def weight(self) -> int:
        """Return the size of the zip."""
        return regular_size(self.path)

    def content(self) -> str:
        """Hash the zip as it is."""
        digest, size, done = hashlib.sha256(), self.weight(), 0
        with self.path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
                done += len(block)
                report(f"looking through {self.path.name}", done, size)
        return digest.hexdigest()


@dataclass
class Joined(Source):
    """Several sources, whose names are put behind a word for each."""

    parts: Mapping[str, Source]

    def __post_init__(self) -> None:
        self.called = " and ".join(part.called for part in self.parts.values())
        self.names = [f"{word}/{name}" for word, part in self.parts.items() for name in part.names]

    def read(self, name: str) -> bytes:
        """Return the bytes of one file."""
        word, _, inner = name.partition("/")
        return self.parts[word].read(inner)

    def weight(self) -> int:
        """Add up the parts."""
        return sum(part.weight() for part in self.parts.values())

    def content(self) -> str:
        """Hash all parts."""
        return _joint((os.fsencode(word), part.content()) for word, part in self.parts.items())


@contextmanager
def folder(path: str) -> Iterator[Source]:
    """Open the images in a folder and all below it, in sorted order.

    Links to folders are not followed.

    Raises:
        InputError: it is not there, or cannot be listed.
    """
    root = Path(path)
    if not root.is_dir():
        raise InputError(f"there is no folder {root}")

    def refuse(error: OSError) -> None:
        raise InputError(f"the folder {error.filename} cannot be read: {error.strerror}")

    found = (
        (Path(parent) / name).relative_to(root).as_posix()
        for parent, _, names in os.walk(root, onerror=refuse, followlinks=False)
        for name in names
    )
    yield Folder(root, images_among(found))


@contextmanager
def zipped(path: str) -> Iterator[Source]:
    """Open the images in a zip, in sorted order; nothing is unpacked to the disk.

    Raises:
        InputError: it is not there, or is no zip.
    """
    regular_size(Path(path))
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # a list of members can be broken in many ways
        raise InputError(f"{path} is not a readable zip: {first_line(error)}") from None
    with archive:
        yield Zip(Path(path), archive)


@contextmanager
def joined(paths: Mapping[str, str]) -> Iterator[Joined]:
    """Open several folders or zips, each behind its word.

    Raises:
        InputError: one is not there, or there are no images in it.
    """
    with ExitStack() as stack:
        parts = {
            word: stack.enter_context((folder if Path(path).is_dir() else zipped)(path))
            for word, path in paths.items()
        }
        for part in parts.values():
            if not part.names:
                raise InputError(f"there are no images in {part.called}")
        yield Joined(parts)


def images_among(names: Iterable[str]) -> list[str]:
    """Return the names of images that are not hidden, sorted."""
    return sorted(name for name in names if _is_image(name))


def _is_image(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    return not hidden and PurePosixPath(name).suffix.lower() in SUFFIXES


def _check_size(size: int) -> None:
    if size > BYTE_LIMIT:
        raise ValueError(f"{size} bytes are more than the {BYTE_LIMIT} that an image may have")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return 0


def _joint(pairs: Iterable[tuple[bytes, str]]) -> str:
    digest = hashlib.sha256()
    for name, content in pairs:
        digest.update(repr((name, content)).encode())
    return digest.hexdigest()
