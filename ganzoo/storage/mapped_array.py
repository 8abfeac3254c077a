"""A memory-mapped array on the disk, of which a few rows are read at a time.

The system reads ahead around each page of a mapped file that is touched. For rows in random order
that is up to a hundred times more than needed, so such rows are read by their offsets instead.
"""

from __future__ import annotations

import mmap
import os
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganzoo.storage.files import name_file

# Python names it from 3.13 on.
NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000) if sys.platform == "linux" else 0
"""Lets the system map more than its memory, although the map can be written to."""
BLOCK = 1 << 22
"""Bytes of a block, where the whole array is read."""
HAS_PREAD = hasattr(os, "preadv") and hasattr(os, "posix_fadvise")


class MappedArray:
    """An array in a ``.npy`` file, which must not change meanwhile.

    Args:
        path: The file.

    Raises:
        OSError: the file cannot be opened or mapped.
        ValueError: it is not a ``.npy`` file.
    """

    def __init__(self, path: Path) -> None:
        outline = np.load(path, mmap_mode="r")
        self._path = path
        self._begin: int = outline.offset
        self._handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self._handle)
        self.tensor = _map_file(self._handle, outline)
        """The whole array, as an ordinary tensor; writing to it never changes the file."""

    def read(self, places: Tensor) -> Tensor:
        """Read the rows at some places ``(n,)``, which count from 0. Any thread may do so.

        Raises:
            IndexError: there is no row at a place.
            OSError: the rows cannot be read; the error names the file.
        """
        if not HAS_PREAD:
            return torch.from_numpy(self.tensor.numpy()[places.numpy()])
        found = torch.empty((len(places), *self.tensor.shape[1:]), dtype=self.tensor.dtype)
        if not found.numel():
            return found
        if not 0 <= int(places.min()) <= int(places.max()) < len(self.tensor):
            raise IndexError(f"{self._path} has {len(self.tensor)} rows")
        into = found.numpy().reshape(len(found), -1)
        size = into[0].nbytes
        starts = [self._begin + place * size for place in places.tolist()]
        for start in starts:  # so that the disk can read them in parallel
            os.posix_fadvise(self._handle, start, size, os.POSIX_FADV_WILLNEED)
        with name_file(self._path):
            places_and_rows = zip(starts, into, strict=True)
            read = [os.preadv(self._handle, [row.data], start) for start, row in places_and_rows]
        if any(count != size for count in read):
            raise OSError(f"{self._path} has become shorter")
        return found

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes of all rows, a block at a time."""
        with name_file(self._path), self._path.open("rb") as file:
            file.seek(self._begin)
            while block := file.read(BLOCK):
                yield block


def _map_file(handle: int, outline: np.memmap) -> Tensor:
    kind = torch.from_numpy(np.empty(0, outline.dtype)).dtype
    if os.name == "nt":
        whole = mmap.mmap(handle, 0, access=mmap.ACCESS_COPY)
    else:
        flags = mmap.MAP_PRIVATE | NO_RESERVE
        whole = mmap.mmap(handle, 0, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    return torch.frombuffer(whole, dtype=kind, offset=outline.offset).view(outline.shape)
