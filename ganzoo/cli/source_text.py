"""One-line descriptions of components from their source text, which import nothing."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

from ganzoo.cli.named_files import summarise_file
from ganzoo.registry import COMMAND, FILE_KINDS, Entry, find_module

MOST_HOPS = 3
"""Modules through which a name is followed that one imports from another."""


def summarise(entry: Entry) -> str:
    """Return what a component is, in one sentence; empty if its source text does not tell."""
    if entry.kind in FILE_KINDS:
        return summarise_file(entry)
    paragraph = " ".join(read_docstring(entry).split("\n\n")[0].split()).replace("``", "")
    return re.split(r"(?<=\.)\s+(?=[A-Z])", paragraph, maxsplit=1)[0].rstrip(".")


def read_docstring(entry: Entry) -> str:
    """Read the docstring of a component's class, or of its module if it is a command.

    It is empty if there is none, or if the source text cannot be found or parsed.
    """
    module, _, name = entry.target.partition(":")
    try:
        if entry.kind == COMMAND:
            return ast.get_docstring(_parse(module)) or ""
        return _find_docstring(module, name) or ""
    except Exception:  # a broken component is reported when it is used
        return ""


def _find_docstring(module: str, name: str) -> str | None:
    """Find a class's docstring, also where the module imports the class from another one."""
    for _ in range(MOST_HOPS):
        for node in _parse(module).body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return ast.get_docstring(node)
            if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found = [each for each in node.names if (each.asname or each.name) == name]
                if found:
                    module, name = node.module, found[0].name
                    break
        else:
            return None
    return None


def _parse(module: str) -> ast.Module:
    spec: Any = find_module(module)
    path = Path(spec.origin)
    return _parse_file(path, path.stat().st_mtime_ns)


@cache
def _parse_file(path: Path, changed: int) -> ast.Module:
    """Parse a file once, as many a module has several components, unless it has changed."""
    return ast.parse(path.read_bytes())
