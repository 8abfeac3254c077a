"""Paths inside option values."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from ganzoo.errors import InputError


def user_path(text: str | Path) -> Path:
    """Return a path as a person gives it, in which ``~`` is the home folder.

    Raises:
        InputError: it begins with the home folder of somebody who is not known here.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InputError(f"{text}: there is no such home folder") from None


def is_absolute(text: str) -> bool:
    """Tell whether a text is an absolute path of this or another system."""
    return PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()


def strip_folders(value: Any) -> Any:
    """Return a value, such as options, with the last names of paths alone.

    Where files lie on a machine is nobody's business.
    """
    if isinstance(value, dict):
        return {name: strip_folders(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [strip_folders(part) for part in value]
    if isinstance(value, str) and (is_absolute(value) or value.startswith("~")):
        return PureWindowsPath(value).name  # which splits at either kind of slash
    return value
