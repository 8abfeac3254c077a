"""Zips of any size, read by zipfile, which keeps nearly a thousand bytes of each member it knows.

So it is shown a part of the list of members at a time, and none of it where one of them is read.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile, ZipInfo

BLOCK = 1 << 18
"""Bytes of the list of members that are shown to zipfile at once; a member has less."""
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_MEMBER = 46
_LENGTHS = struct.Struct("<3H")
_LENGTHS_AT = 28
_COMMENT = 1 << 16


def read_members(file: BinaryIO) -> Iterator[ZipInfo]:
    """Yield the members of a zip, in the order of its list.

    Raises:
        BadZipFile: it is none, or damaged; zipfile raises other errors too.
    """
    start, size, shift = _find_directory(file)
    file.seek(start)
    part = b""
    while size:
        part += (read := file.read(min(BLOCK, size)))
        size = size - len(read) if read else 0
        whole = _whole_length(part) if size else len(part)
        with ZipFile(io.BytesIO(part[:whole] + _end_record(whole))) as shown:
            for member in shown.infolist():
                member.header_offset += shift
                yield member
        part = part[whole:]


def open_without_directory(file: BinaryIO) -> ZipFile:
    """Open a zip that seems to be empty; of what :func:`read_members` has told, any can be read."""
    return ZipFile(_EmptyZip(file))


class _EmptyZip(io.RawIOBase):
    """A file with the end of an empty zip behind it."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        # Room for what zipfile looks for before an end.
        self._end = bytes(_END_64.size + _LOCATOR_64.size) + _end_record(0)
        self._at = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = (0, self._at, self._size + len(self._end))[whence]
        if base + offset < 0:
            raise OSError("a place before the beginning")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        if self._at < self._size:
            self._file.seek(self._at)
            part = self._file.read(min(len(buffer), self._size - self._at))
        else:
            part = self._end[self._at - self._size :][: len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def _find_directory(file: BinaryIO) -> tuple[int, int, int]:
    """Return where the list of members begins, its size, and how far all is from where it says."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - _COMMENT - _END.size))
    tail = file.read()
    found = len(tail) - _END.size
    if not tail[max(0, found) :].startswith(b"PK\5\6") or not tail.endswith(b"\0\0"):
        found = tail.rfind(b"PK\5\6")  # a comment follows
    if found < 0 or len(tail) - found < _END.size:
        raise BadZipFile("File is not a zip file")
    _, _, _, _, _, size, start, _ = _END.unpack_from(tail, found)
    end = length - len(tail) + found
    file.seek(max(0, end - _LOCATOR_64.size - _END_64.size))
    before = file.read(_END_64.size + _LOCATOR_64.size)
    if len(before) == _END_64.size + _LOCATOR_64.size:
        mark, disk, _, disks = _LOCATOR_64.unpack_from(before, _END_64.size)
        if mark == b"PK\6\7" and (disk or disks > 1):
            raise BadZipFile("zipfiles that span multiple disks are not supported")
        if mark == b"PK\6\7" and before.startswith(b"PK\6\6"):
            *_, size, start = _END_64.unpack_from(before)
            end -= len(before)
    shift = end - size - start
    if start + shift < 0:
        raise BadZipFile("Bad offset for central directory")
    return start + shift, size, shift


def _whole_length(part: bytes) -> int:
    """Return how many bytes the members take that are whole."""
    at = 0
    while at + _MEMBER <= len(part):
        after = at + _MEMBER + sum(_LENGTHS.unpack_from(part, at + _LENGTHS_AT))
        if after > len(part):
            break
        at = after
    return at


def _end_record(size: int) -> bytes:
    """Return the end of a zip of which nothing but the list of members is there."""
    return _END.pack(b"PK\5\6", 0, 0, 0, 0, size, 0, 0)
