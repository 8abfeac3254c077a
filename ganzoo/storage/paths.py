"""Paths that people give, and paths among the values of options."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from ganzoo.arguments import require_text, require_utf8
from ganzoo.errors import InputError

FILE_NAME = "[A-Za-z0-9][A-Za-z0-9._-]*"
"""Regular expression of a file name; it matches no path, so no file is outside its folder."""


def user_path(text: str | Path) -> Path:
    """Return a path that a person gave, with ``~`` replaced by the home folder.

    Raises:
        InputError: it is empty; it begins with the home folder of an unknown user, or with yours,
            and nothing says where that is; or it is not UTF-8.
    """
    text = require_utf8(require_text("a path", text))
    try:
        return Path(text).expanduser()
    except RuntimeError:
        if Path(text).parts[0] == "~":
            raise InputError(
                f"{text}: nothing says where your home folder is; set HOME, or GANZOO_CACHE to a "
                "folder for all caches"
            ) from None
        raise InputError(f"{text}: there is no such home folder") from None


def refuse_existing(path: Path, replace: bool, option: str = "--out") -> None:
    """Refuse to write a file that is there already, before any work is done for it.

    Args:
        path: The file.
        replace: Whether it may be replaced.
        option: The option that names it.

    Raises:
        InputError: it exists and may not be replaced.
    """
    if path.exists() and not replace:
        raise InputError(f"{path} already exists; choose another {option}, or add --force")


def is_absolute(text: str) -> bool:
    """Tell whether a text is an absolute path on this or another system."""
    return PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()


def names_place(value: Any) -> bool:
    """Tell whether a value, such as an option, has a text that leads somewhere.

    That is an absolute path on this or another system, one that leaves its folder, or a URL.
    """
    if isinstance(value, dict):
        return any(map(names_place, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(names_place, value))
    if not isinstance(value, str):
        return False
    path = PureWindowsPath(value)  # understands both separators, and drives
    return bool(path.anchor) or value.startswith("~") or ".." in path.parts or "://" in value


def strip_folders(value: Any) -> Any:
    """Shorten the paths in a value, such as options, to their last names.

    What is published must not tell where files are on somebody's machine.
    """
    if isinstance(value, dict):
        return {name: strip_folders(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [strip_folders(part) for part in value]
    if isinstance(value, str) and (is_absolute(value) or value.startswith("~")):
        return PureWindowsPath(value).name  # which splits at either kind of slash
    return value
