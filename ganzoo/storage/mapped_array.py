"""An array that stays on the disk, of which a few rows are wanted at a time.

Around each page that is touched of a mapped file the system reads ahead. Of rows in random order
that is up to a hundred times of what is wanted, so that these are read by their places.
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

# Python has a name for it from 3.13 on.
NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000) if sys.platform == "linux" else 0
"""Has the system map more than there is memory: pages that are written to would need some."""
BLOCK = 1 << 22
"""Bytes that are read at once where all are."""
HAS_PREAD = hasattr(os, "preadv") and hasattr(os, "posix_fadvise")


class MappedArray:
    """An array in a ``.npy`` file that is there to stay.

    Args:
        path: The file.

    Raises:
        OSError: it cannot be opened or mapped.
        ValueError: it is no such file.
    """

    def __init__(self, path: Path) -> None:
        outline = np.load(path, mmap_mode="r")
        self._path = path
        self._begin: int = outline.offset
        self._handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self._handle)
        self.tensor = _map_file(self._handle, outline)
        """The whole, as any tensor; what is written to it never reaches the file."""

    def read(self, places: Tensor) -> Tensor:
        """Return the rows at some places ``(n,)``, from 0 on; any thread may ask.

        Raises:
            IndexError: there is no such place.
            OSError: they cannot be read.
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
        for start in starts:  # all at once, as far as the disk can do that
            os.posix_fadvise(self._handle, start, size, os.POSIX_FADV_WILLNEED)
        for row, start in zip(into, starts, strict=True):
            if os.preadv(self._handle, [row], start) != size:
                raise OSError(f"{self._path} has become shorter")
        return found

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes of all rows, some at a time."""
        with self._path.open("rb") as file:
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
