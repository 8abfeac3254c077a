"""What a projection is, its files, and defaults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 500
"""Default number of steps."""
RESTARTS = 4
"""Default number of searches for each image, of which the best is kept."""
SPACES = ("w+", "w", "z")
FOUND_FILE = "found.safetensors"
JSON_FILE = "projection.json"
PICTURE_FILE = "projection.png"
MOVIE_FILE = "search.webp"


@dataclass(frozen=True)
class Projection:
    """What was found of N images."""

    space: str
    """``w+``, ``w`` or ``z``."""
    found: Tensor
    """Styles ``(N, L, W)`` in ``w+`` and in ``w``, latents ``(N, D)`` in ``z``."""
    labels: Tensor | None
    """Class of each image ``(N,)`` in ``z``; None without classes, or in ``w``."""
    targets: Tensor
    """The images as the model's samples are stored, uint8 ``(N, C, H, W)``."""
    images: Tensor
    """What the model makes of what was found, uint8 ``(N, C, H, W)``."""
    errors: tuple[float, ...]
    """Mean absolute difference of the numbers of both images, which go from 0 to 1."""
    path: Tensor
    """What was found after some of the steps, ``(F, N, ...)``, for a movie."""


def check_folder(out: Path, replace: bool) -> None:
    """Check that a projection can be written to a folder, before anything is computed.

    Raises:
        InputError: it is a file, or has a projection and may not be replaced.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: give a folder")
    if (out / JSON_FILE).exists() and not replace:
        raise InputError(f"{out} has a projection already; choose another --out, or add --force")


@dataclass(frozen=True)
class WrittenProjection:
    """The files of a projection, and what they are."""

    files: list[Path]
    about: dict[str, Any]
    """What ``projection.json`` holds."""
    notes: tuple[str, ...]
    """How the images were read, a line each."""
