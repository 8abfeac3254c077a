"""How images of any size become samples of one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shaping:
    """All that says what becomes of an image, but for the image itself."""

    image_size: tuple[int, int] | None
    """Height and width that it is cropped to and resized to."""
    channels: int | None
    """Its channels; if None 1 where all images are grey, else 3."""
    crop: int | None = None
    """Side of a square that is cut out of its centre before."""
