"""JSON files: checked when they are read, and written in one form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ganzoo.errors import InputError, first_line
from ganzoo.storage.files import regular_size, write_text

JSON_LIMIT = 1 << 20
DEPTH_LIMIT = 32


def read_json(path: Path) -> Any:
    """Read a JSON file that may come from anywhere; what is read can be written again.

    Raises:
        InputError: it is missing, larger than 1 MiB, deeper than 32 levels, or not JSON; a key
            stands in it twice, or a number that is not finite.
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
    value = json.loads(
        data.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicates
    )
    if _depth(value) > DEPTH_LIMIT:
        raise ValueError(f"it is deeper than {DEPTH_LIMIT} levels")
    # What is read can be written again: half a surrogate pair, say, and infinity cannot.
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode("utf-8")
    return value


def to_json(value: Any) -> str:
    """Format a value as ganzoo's files hold it: indented JSON, in which NaN is an error."""
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested JSON objects by their dotted names."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {
        key: value
        for name, branch in tree.items()
        for key, value in flatten(branch, f"{prefix}.{name}" if prefix else name).items()
    }


def append_line(path: Path, row: dict[str, Any]) -> None:
    """Add one line of JSON to a file.

    Raises:
        InputError: something that is not a regular file is in its place.
    """
    if path.exists():
        regular_size(path)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, allow_nan=False) + "\n")


def drop_lines_after(path: Path, step: int) -> None:
    """Drop from a file of JSON lines those of later steps, and a torn last one.

    Raises:
        InputError: something that is not a regular file is in its place.
    """
    if not path.exists():
        return
    regular_size(path)
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if _step_of(line) <= step]
    if len(kept) < len(lines):
        write_text(path, "".join(kept))


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return float("inf")  # a torn line at the end of a killed run, or a damaged one


def _depth(value: Any) -> int:
    within = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_depth, within), default=0) if isinstance(value, (dict, list)) else 0


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
