"""Options that several datasets share."""

from __future__ import annotations

from pydantic import Field

from ganzoo import ImageDataset

FLIP = "Mirror half of the images of each batch, left to right."


class Mirrored(ImageDataset):
    """Base of image sets that can be mirrored horizontally."""

    flip: bool = Field(default=False, description=FLIP)
