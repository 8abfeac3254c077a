"""A bound on the files that Gradio keeps for the page: uploads, and copies of what was drawn."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

FOLDER_VARIABLE = "GRADIO_TEMP_DIR"
"""The environment variable that names Gradio's folder for files."""
MOST_BYTES = 256 << 20
MOST_FILES = 2000


def served_folder() -> Path:
    """Return Gradio's folder for files."""
    return Path(os.environ[FOLDER_VARIABLE]).resolve()


def trim_served_files() -> None:
    """Remove the oldest files until the others are within :data:`MOST_BYTES` and `MOST_FILES`."""
    found: list[tuple[float, int, str]] = []
    for folder, _, names in os.walk(served_folder()):
        for name in names:
            path = os.path.join(folder, name)
            with suppress(OSError):  # Gradio may move or remove it meanwhile
                status = os.stat(path)
                found.append((status.st_mtime, status.st_size, path))
    size, count = sum(size for _, size, _ in found), len(found)
    for _, bytes_, path in sorted(found):
        if size <= MOST_BYTES and count <= MOST_FILES:
            return
        with suppress(OSError):
            os.unlink(path)
            os.rmdir(os.path.dirname(path))  # unless other files are in it
        size, count = size - bytes_, count - 1
