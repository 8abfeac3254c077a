"""Summaries of models and recipes with names, from their files as plain data."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ganzoo.errors import PluginError, first_line
from ganzoo.registry import RECIPE, RECIPE_SUFFIX, Entry
from ganzoo.runs.file_names import CARD_FILE, CONFIG_FILE, PLACE_FILE, SCORES_FILE

CARD_LENGTH = 1 << 16
"""Characters of a card or a recipe that are searched."""
_LINE = r"^{}: *(.*?) *$"
_PLAIN_TITLE = re.compile(r"^title: +(?!.*(?:: | #))([^\s'\"#|>&*!%@`{\[].*?) *$(?!\n[ \t])", re.M)
"""A title on one line and without quotes, which means to YAML what stands there."""


def summarise_file(entry: Entry) -> str:
    """Return what a model or a recipe is, in a line; empty if its files do not tell."""
    try:
        if entry.kind == RECIPE:
            return read_title(entry.locate(RECIPE_SUFFIX))
        model = read_model(entry)
    except Exception:  # a broken one is reported when it is used
        return ""
    parts = [
        f"{model['family']} on {model['data']}",
        *filter(None, [model["size"], model["score"]]),
    ]
    return ", ".join(parts)


def read_model(entry: Entry) -> dict[str, Any]:
    """Read what ``ganzoo list models`` tells of a model.

    Nothing is verified, and neither torch nor a component is imported.

    Raises:
        PluginError: the files are missing or damaged.
    """
    folder = entry.locate()
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        spec = config["spec"]
        shape = spec["shape"]
        return {
            "family": str(config["architecture"]["name"]),
            "data": str(config["data"]["name"]),
            "size": " x ".join(map(str, shape[1:] if len(shape) == 3 else shape)),
            "classes": spec.get("classes"),
            "score": _read_score(folder / SCORES_FILE),
            "licence": find_line(folder / CARD_FILE, "license") or None,
            "source": _read_place(folder) or f"{entry.package} {entry.version}",
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise PluginError(f"{entry.title} is damaged: {folder}: {first_line(error)}") from None


def find_line(path: Path, name: str) -> str:
    """Return the value of the first line ``name: value`` of a file; empty if it has none."""
    found = re.search(_LINE.format(re.escape(name)), _read_start(path), re.MULTILINE)
    return found[1].strip("'\"") if found else ""


def read_title(path: Path) -> str:
    """Return the title of a recipe; empty if it has none.

    Only a title in quotes or on several lines needs a YAML parser, which is slow to import.
    """
    text = _read_start(path)
    if found := _PLAIN_TITLE.search(text):
        return found[1]
    import yaml

    title = yaml.safe_load(text).get("title", "")
    return title if isinstance(title, str) else ""


def _read_start(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.read(CARD_LENGTH)


def _read_score(path: Path) -> str | None:
    if not path.exists():
        return None
    rows = json.loads(path.read_text(encoding="utf-8"))
    return f"{rows[0]['metric']} {rows[0]['value']:.4g}" if rows else None


def _read_place(folder: Path) -> str | None:
    path = folder / PLACE_FILE
    if not path.exists():
        return None
    place = json.loads(path.read_text(encoding="utf-8"))
    return f"{place['repo']}@{place['commit'][:8]}"
