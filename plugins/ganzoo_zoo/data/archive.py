"""Zip archives with millions of members, read in little memory.

``zipfile`` keeps nearly 1,000 bytes per member of the central directory. So it is given the
directory one block at a time, and an empty directory when a single member is read.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO
from zipfile import BadZipFile, ZipFile, ZipInfo

if TYPE_CHECKING:
    from typing_extensions import Buffer

BLOCK = 1 << 18
"""Bytes of the central directory that zipfile reads at once. Each entry is smaller."""
UTF_8 = 1 << 11
"""Flag of a member whose name is in UTF-8."""
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_HEADER = struct.Struct("<4s22s2H")
_MEMBER = 46
_LENGTHS = struct.Struct("<3H")
_LENGTHS_AT = 28
_COMMENT = 1 << 16


def read_members(file: BinaryIO) -> Iterator[ZipInfo]:
    """Yield the members of a zip, in the order of its central directory.

    Raises:
        BadZipFile: the file is not a zip or is damaged; zipfile raises other errors too.
    """
    start, size, shift = _find_directory(file)
    file.seek(start)
    part = b""
    while size:
        part += (read := file.read(min(BLOCK, size)))
        size = size - len(read) if read else 0
        whole = _whole_length(part) if size else len(part)
        with ZipFile(io.BytesIO(part[:whole] + _end_record(whole))) as block:
            for member in block.infolist():
                member.header_offset += shift
                yield member
        part = part[whole:]


def open_without_directory(file: BinaryIO) -> ZipFile:
    """Open a zip as if it were empty; any member from :func:`read_members` can still be read."""
    return ZipFile(_EmptyZip(file))


def read_name(file: BinaryIO, member: ZipInfo) -> str:
    """Return the name of a member as its own header has it, decoded as zipfile does.

    Raises:
        BadZipFile: there is no header.
    """
    file.seek(member.header_offset)
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size or not header.startswith(b"PK\3\4"):
        raise BadZipFile("Bad magic number for file header")
    length, _ = _HEADER.unpack(header)[-2:]
    return file.read(length).decode("utf-8" if member.flag_bits & UTF_8 else "cp437")


class _EmptyZip(io.RawIOBase):
    """A file followed by the end record of an empty zip."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        # zipfile looks for a ZIP64 record and its locator before the end record.
        self._end = bytes(_END_64.size + _LOCATOR_64.size) + _end_record(0)
        self._at = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = (0, self._at, self._size + len(self._end))[whence]
        if base + offset < 0:
            raise OSError("cannot seek before the beginning of the file")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)
        if self._at < self._size:
            self._file.seek(self._at)
            part = self._file.read(min(len(view), self._size - self._at))
        else:
            part = self._end[self._at - self._size :][: len(view)]
        view[: len(part)] = part
        self._at += len(part)
        return len(part)


def _find_directory(file: BinaryIO) -> tuple[int, int, int]:
    """Return the offset and the size of the central directory, and the shift of all offsets.

    The shift is not 0 if other data stand before the zip.
    """
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
    """Return the length of the complete directory entries at the beginning of a block."""
    at = 0
    while at + _MEMBER <= len(part):
        after = at + _MEMBER + sum(_LENGTHS.unpack_from(part, at + _LENGTHS_AT))
        if after > len(part):
            break
        at = after
    return at


def _end_record(size: int) -> bytes:
    """Return the end record of a zip that consists of its central directory alone."""
    return _END.pack(b"PK\5\6", 0, 0, 0, 0, size, 0, 0)
