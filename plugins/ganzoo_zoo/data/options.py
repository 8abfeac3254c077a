"""Options that several datasets have."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from ganzoo import ImageDataset
from ganzoo.errors import first_line
from ganzoo.storage.paths import user_path

FLIP = "Mirror half of the images of each batch, left to right."


class Mirrored(ImageDataset):
    """Base of sets in which a mirrored image may be as good as another."""

    flip: bool = Field(default=False, description=FLIP)


def _absolute(path: str) -> str:
    # A run that goes on elsewhere must find what it read.
    try:
        absolute = str(user_path(path).resolve())
        absolute.encode("utf-8")  # as config.json will
    except Exception as error:  # links that lead in a circle are a RuntimeError, for one
        raise ValueError(f"{path!r} is no path: {first_line(error)}") from None
    return absolute


AbsolutePath = Annotated[str, AfterValidator(_absolute)]
