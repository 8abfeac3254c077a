"""JSON files: read strictly, and always written in the same form."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ganzoo.errors import InputError, first_line
from ganzoo.storage.files import atomic_path, name_file, regular_size

JSON_LIMIT = 1 << 20
"""Bytes of a JSON file, at most."""
DEPTH_LIMIT = 32

_log = logging.getLogger("ganzoo")


def read_json(path: Path) -> Any:
    """Read a JSON file that may come from an untrusted source.

    The value can be written as JSON again.

    Raises:
        InputError: the file is missing, larger than 1 MiB, nested deeper than 32 levels, or not
            JSON; an object in it has a key twice, or a number is not finite.
    """
    try:
        regular_size(path)
        with path.open("rb") as file:
            data = file.read(JSON_LIMIT + 1)
        if len(data) > JSON_LIMIT:
            raise ValueError("it is larger than 1 MiB")
        return parse_strict_json(data)
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"{path} cannot be read as JSON: {first_line(error)}") from None


def parse_strict_json(data: bytes) -> Any:
    """Parse JSON that every reader understands in the same way.

    Raises:
        ValueError: it is not JSON in UTF-8, nested deeper than 32 levels, has a key twice in one
            object, or a value that cannot be written again.
        RecursionError: it is nested far deeper still.
    """
    value = json.loads(
        data.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicates
    )
    if _depth(value) > DEPTH_LIMIT:
        raise ValueError(f"it is deeper than {DEPTH_LIMIT} levels")
    # Half a surrogate pair and infinity, for example, cannot be written again.
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode("utf-8")
    return value


def to_json(value: Any) -> str:
    """Format a value as ganzoo's files contain it, as indented JSON.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested JSON objects by their dotted names, such as ``train.seed``."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {
        key: value
        for name, branch in tree.items()
        for key, value in flatten(branch, f"{prefix}.{name}" if prefix else name).items()
    }


def append_line(path: Path, row: dict[str, Any]) -> None:
    """Append a row to a file of JSON lines, on a line of its own.

    Whoever wrote before may have left half a line, on a full disk or when killed.

    Raises:
        InputError: the path is taken by something that is not a regular file.
        OSError: the file cannot be written; the error names it.
    """
    if path.exists():
        regular_size(path)
    line = json.dumps(row, allow_nan=False).encode() + b"\n"
    with name_file(path), path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.write(line)


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file of JSON lines with their ends, reading one at a time.

    A line that is longer than any row is read to its end but yielded empty, as a damaged one.

    Raises:
        InputError: the file is missing, or is not a regular file.
        OSError: it cannot be read; the error names it.
    """
    regular_size(path)
    with name_file(path), path.open("rb") as file:
        while line := file.readline(JSON_LIMIT):
            if is_long := len(line) == JSON_LIMIT and not line.endswith(b"\n"):
                while (more := file.readline(JSON_LIMIT)) and not more.endswith(b"\n"):
                    pass
            yield "" if is_long else line.decode("utf-8", errors="replace")


def read_last_rows(path: Path, most: int = 1 << 16) -> list[dict[str, Any]]:
    """Read the last objects of a file of JSON lines, whatever its length; none if it is missing.

    Damaged and incomplete lines are skipped.

    Args:
        path: The file.
        most: Bytes to read, at most.

    Raises:
        InputError: the path is taken by something that is not a regular file.
        OSError: it cannot be read; the error names it.
    """
    if not os.path.lexists(path):
        return []
    size = regular_size(path)
    with name_file(path), path.open("rb") as file:
        file.seek(max(0, size - most))
        lines = file.read(most).split(b"\n")
    rows = []
    for line in lines[1:] if size > most else lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def warn_of_damaged_lines(path: Path, count: int) -> None:
    """Warn that a number of lines of a file cannot be used, if it is not zero."""
    if count:
        lines = "1 line is damaged and is" if count == 1 else f"{count} lines are damaged and are"
        _log.warning("%s: %s skipped", path, lines)


def drop_lines_after(path: Path, step: int) -> None:
    """Drop the lines of later steps from a file of JSON lines, and damaged ones.

    Raises:
        InputError: the path is taken by something that is not a regular file.
        OSError: the file cannot be read or written; the error names it.
    """
    if not path.exists() or all(_step_of(line) <= step for line in read_lines(path)):
        return
    with atomic_path(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        file.writelines(line for line in read_lines(path) if _step_of(line) <= step)


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return float("inf")  # damaged, such as the last line of a killed run


def _depth(value: Any) -> int:
    if not isinstance(value, (dict, list)):
        return 0
    children = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_depth, children), default=0)


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
