"""What is written of directions: its files, and defaults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganzoo.errors import InputError

COUNT = 10
"""Default number of directions."""
SAMPLES = 4
"""Default number of samples in a sheet, each in a row."""
STEPS = 7
"""Columns of a sheet; the middle one shows the samples themselves."""
STRENGTH = 3.0
"""Default distance of the outer columns, in standard deviations."""
OVERVIEW_FILE = "overview.png"
TENSORS_FILE = "directions.safetensors"
JSON_FILE = "directions.json"


@dataclass(frozen=True)
class WrittenDirections:
    """The files of some directions, and what they are."""

    folder: Path
    files: list[Path]
    about: dict[str, Any]
    """What ``directions.json`` holds."""


def sheet_name(number: int) -> str:
    """Return the file name of the sheet of a direction, from 0."""
    return f"direction-{number:02d}.png"


def check_folder(out: Path, replace: bool) -> None:
    """Check that directions can be written to a folder, before anything is computed.

    Raises:
        InputError: it is a file, or has directions and may not be replaced.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: give a folder")
    if (out / JSON_FILE).exists() and not replace:
        raise InputError(f"{out} has directions already; choose another --out, or add --force")
