"""Atomic writing of files and folders, and checks before files are read."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganzoo.errors import InputError, first_line

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a full disk, which concern the second of two files: the one that is written."""


@contextmanager
def name_file(path: Path, beside: Path | None = None) -> Iterator[None]:
    """Have every OSError of a block name a file: a failed read, write or flush names none.

    Args:
        path: The file to name where an error names none.
        beside: The temporary file or folder that becomes ``path``; errors name ``path`` instead.
    """
    try:
        yield
    except OSError as error:
        named = (error.filename2 if error.errno in FULL else None) or error.filename
        text = str(path) if named is None or isinstance(named, int) else os.fsdecode(named)
        if beside is not None and text.startswith(str(beside)):
            text = str(path) + text.removeprefix(str(beside))
        if text == error.filename:
            raise
        why = error.strerror or first_line(error)
        raise OSError(error.errno or errno.EIO, why, text) from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; on success flush it and move it to ``path``.

    Raises:
        OSError: it cannot be written; the error names ``path``.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with name_file(path, beside):
        try:
            yield beside
            os.chmod(beside, 0o666 & ~_umask())
            flush(beside)
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
        flush(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; on success flush it and move it to ``path``.

    An existing folder is moved aside first, and back if that fails.

    Raises:
        OSError: it cannot be written; the error names ``path``, or the file in it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    before = path.with_name(f".{path.name}.before.tmp")
    _restore_or_drop(path, before)  # after a process that was killed between its renames
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
    with name_file(path, beside):
        try:
            beside.mkdir()
            yield beside
            flush(beside)
            if path.exists():
                path.rename(before)
            beside.rename(path)
            flush(path.parent)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
            _restore_or_drop(path, before)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of killed processes from a folder.

    Nobody else may be writing to it. A folder that was moved aside and never replaced comes back.
    """
    for left in folder.glob(".*.tmp") if folder.is_dir() else ():
        if match := re.fullmatch(r"\.(.+)\.(before|[0-9]+)\.tmp", left.name):
            if match[2] == "before":
                _restore_or_drop(folder / match[1], left)
            elif left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()


def flush(path: Path) -> None:
    """Have the system write a file, or the names in a folder, to the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows does not open folders
    handle = os.open(path, os.O_RDONLY)
    with name_file(path):
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_text(path: Path, most: int, use: str) -> str:
    """Read a text file that a person may have written.

    Args:
        path: The file.
        most: Its size in bytes, at most.
        use: What a larger file is too large for; the end of the message.

    Raises:
        InputError: the file is missing, too large, not a regular file, not text in UTF-8, or
            cannot be read.
    """
    if regular_size(path) > most:
        raise InputError(f"{path} is too large {use}")
    with explain_read_errors(path):
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{path} is not text in UTF-8") from None


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    with atomic_path(path) as beside:
        beside.write_text(text, encoding="utf-8")


def regular_size(path: Path) -> int:
    """Return the size of a regular file in bytes. Opening a pipe or a device might never end.

    Raises:
        InputError: the file is missing, or is not a regular file.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {first_line(error)}") from None
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path} is not a regular file")
    return found.st_size


@contextmanager
def explain_read_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of a block that reads a file, such as on a bad disk, into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or first_line(error)}") from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises:
        InputError: the file cannot be read.
    """
    with explain_read_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest(folder: Path, *left_out: str) -> dict[str, dict[str, int | str]]:
    """Return the size and the SHA-256 of each file in a folder, by name.

    Args:
        folder: The folder.
        left_out: Names of files to omit.

    Raises:
        InputError: something in the folder is not a regular file, or cannot be read.
    """
    return {
        path.name: {"size": regular_size(path), "sha256": sha256(path)}
        for path in sorted(folder.iterdir())
        if path.name not in left_out
    }


def _restore_or_drop(path: Path, before: Path) -> None:
    """Remove the folder that was moved aside, or move it back if nothing took its place."""
    if before.exists() and not path.exists():
        before.rename(path)
    shutil.rmtree(before, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
