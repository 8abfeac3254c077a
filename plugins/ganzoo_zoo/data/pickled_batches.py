"""The published batches of CIFAR-10, which are pickled: their values are read, no code is called.

A pickle is a program for a small machine, and values stand among its instructions. The standard
library's disassembler lists both; nothing here executes them.
"""

from __future__ import annotations

import hashlib
import pickletools
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ganzoo.errors import InputError
from ganzoo.storage.files import regular_size

SHAPE = (3, 32, 32)


class PublishedPickle:
    """The values in a pickled file whose MD5 was published.

    Args:
        path: The file.
        md5: Its published MD5.

    Raises:
        InputError: the file is missing, or has another MD5.
    """

    def __init__(self, path: Path, md5: str) -> None:
        regular_size(path)
        self._data = path.read_bytes()
        if hashlib.md5(self._data, usedforsecurity=False).hexdigest() != md5:
            raise InputError("its MD5 is not the published one")

    @cached_property
    def _steps(self) -> list[tuple[str, Any]]:
        """Each instruction's name and value."""
        return [(step.name, value) for step, value, _ in pickletools.genops(self._data)]

    def images(self) -> np.ndarray:
        """Return the images, uint8 ``(N, 3, 32, 32)``: the longest text or bytes in the file.

        Raises:
            ValueError: they are not whole images.
        """
        found = [value for _, value in self._steps if isinstance(value, str | bytes)]
        longest = max(found, key=len, default=b"")
        # Python 2 had no other type for bytes than text.
        whole = longest.encode("latin-1") if isinstance(longest, str) else longest
        return np.frombuffer(bytearray(whole), np.uint8).reshape(-1, *SHAPE)

    def numbers(self, key: str) -> list[int]:
        """Return the list of numbers that stands under a key."""
        return [value for value in self._after(key, until=str) if isinstance(value, int)]

    def names(self, key: str) -> list[str]:
        """Return the list of at most 1,000 texts that stands under a key."""
        return [value for value in self._after(key, until=None) if isinstance(value, str)]

    def _after(self, key: str, until: type | None) -> list[Any]:
        """Return what is loaded after a key, until a value of some type or the end of a list."""
        values = [value for _, value in self._steps]
        begin = values.index(key) + 1
        for at, (name, value) in enumerate(self._steps[begin:], begin):
            if isinstance(value, until) if until else name == "APPENDS":
                return _loaded(self._steps[begin:at])
        return _loaded(self._steps[begin:])


def _loaded(steps: list[tuple[str, Any]]) -> list[Any]:
    return [value for name, value in steps if "PUT" not in name and "GET" not in name]
