"""Tables of the documentation, each from records in ``docs/records/`` alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1]
RECORDS = DOCS / "records"


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines; an empty list if there is none."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    header = tuple(header)
    return "\n".join(map(_line, (header, ["---"] * len(header), *rows)))


def link(page: Path, text: str, target: Path) -> str:
    """Return a link from a page to a file."""
    return f"[{text}]({relative(page, target)})"


def relative(page: Path, target: Path) -> str:
    """Return the path of a file from the folder of a page."""
    return Path(os.path.relpath(target, page.parent)).as_posix()


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
