"""Paths as options: a run that goes on elsewhere must find what it read."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from ganzoo.errors import first_line
from ganzoo.files import user_path


def _absolute(path: str) -> str:
    try:
        absolute = str(user_path(path).resolve())
        absolute.encode("utf-8")  # as config.json will
    except Exception as error:  # links that lead in a circle are a RuntimeError, for one
        raise ValueError(f"{path!r} is no path: {first_line(error)}") from None
    return absolute


AbsolutePath = Annotated[str, AfterValidator(_absolute)]
