"""Options for cropping and resizing images to samples of one shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Half: TypeAlias = Literal["left", "right"]

SMALLEST_SIDE, LARGEST_SIDE = 32, 64
"""Bounds of the side of samples whose size is chosen for you. A first training on a CPU is bearable
up to the larger one."""


@dataclass(frozen=True)
class Shaping:
    """How an image is cropped, resized and converted."""

    image_size: tuple[int, int] | None
    """Height and width after cropping to this aspect ratio and resizing; None keeps the size."""
    channels: int | None
    """Number of channels; None means 1 if all images are grey, else 3, or those of arrays."""
    crop: int | None = None
    """Side of a square to crop around the centre first, in pixels."""
    white_level: int | None = None
    """Value of the files that becomes white; None means the largest of their format."""
    half: Half | None = None
    """Half of each file that is the image, before anything else; None means the whole."""
