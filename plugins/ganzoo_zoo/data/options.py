"""Options that several datasets share."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from ganzoo import ImageDataset
from ganzoo.errors import first_line
from ganzoo.storage.paths import user_path

FLIP = "Mirror half of the images of each batch, left to right."


class Mirrored(ImageDataset):
    """Base of image sets that can be mirrored horizontally."""

    flip: bool = Field(default=False, description=FLIP)


def _absolute(path: str) -> str:
    # A run that is resumed from another folder must still find its data.
    try:
        absolute = str(user_path(path).resolve())
        absolute.encode("utf-8")  # config.json must be able to hold it
    except Exception as error:  # a circle of links, for example, is a RuntimeError
        raise ValueError(f"{path!r} is not a usable path: {first_line(error)}") from None
    return absolute


AbsolutePath = Annotated[str, AfterValidator(_absolute)]
