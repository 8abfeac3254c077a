"""Files of JSON lines that grow, read as far as they are new."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ganzoo.storage.files import regular_size

MOST = 1 << 22
"""Bytes that are read at once; of a longer file that is seen for the first time, the last ones."""


class JsonlReader:
    """The new lines of a file, each time they are asked for.

    A run that goes back replaces the file by a shorter one, which then is new from its beginning.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: tuple[int, int] | None = None
        self._place = 0
        self._torn = b""

    def read(self) -> tuple[bool, list[dict[str, Any]]]:
        """Return whether the file is another one than before, and its new lines.

        Damaged lines are passed over, and one that is still being written waits. A file that is not
        there has none.

        Raises:
            ganzoo.errors.InputError: something that is not a regular file is in its place.
        """
        if not os.path.lexists(self._path):
            other, self._file = self._file is not None, None
            return other, []
        regular_size(self._path)
        with self._path.open("rb") as file:
            found = os.fstat(file.fileno())
            other = self._file != (found.st_dev, found.st_ino) or found.st_size < self._place
            if other:
                self._file = found.st_dev, found.st_ino
                self._place, self._torn = max(0, found.st_size - MOST), b""
            file.seek(self._place)
            data = self._torn + file.read(MOST)
            self._place = file.tell()
            cut = other and self._place > MOST
        *whole, self._torn = data.split(b"\n")
        if cut:
            whole = whole[1:]  # of which the beginning was not read
        self._torn = self._torn[-MOST:]
        return other, [row for row in map(_parse_row, whole) if row is not None]


def _parse_row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and _is_step(row.get("step")) else None


def _is_step(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53
