"""Incremental reading of growing JSON Lines files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ganzoo.runs.state import is_step
from ganzoo.storage.files import regular_size

MOST = 1 << 22
"""The most bytes per read. The first read of a longer file starts this far from its end."""


class JsonlReader:
    """Reads the new lines of a file at each call.

    A run that returns to a checkpoint replaces the file by a shorter one, which is read again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: tuple[int, int] | None = None
        self._place = 0
        self._torn = b""

    def read(self) -> tuple[bool, list[dict[str, Any]]]:
        """Return whether the file was replaced, and its new lines.

        Damaged lines are skipped, incomplete ones are left for the next call, and a missing file
        has no lines.

        Raises:
            ganzoo.errors.InputError: the path is not a regular file.
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
            whole = whole[1:]  # its beginning was not read
        self._torn = self._torn[-MOST:]
        return other, [row for row in map(_parse_row, whole) if row is not None]


def _parse_row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and is_step(row.get("step")) else None
