"""Functions that packages add to ``import ganzoo``, as they add commands to the command line."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

# Not "from ganzoo import", which asks this module for the name.
from ganzoo.errors import PluginError
from ganzoo.registry import FUNCTION, entries, find_all


def list_functions() -> tuple[str, ...]:
    """List the names of the functions that packages add; nothing is imported."""
    return tuple(sorted({entry.name for entry in entries(FUNCTION)}))


def find_function(name: str) -> Callable[..., Any] | None:
    """Find a package's function by its name and import it; None if there is none.

    Raises:
        PluginError: several packages add a function of this name, or it cannot be imported.
    """
    if find_spec(f"ganzoo.{name}") is not None:  # a module, which Python is about to import
        return None
    found = find_all(FUNCTION, name)
    if len(found) > 1:
        owners = " and ".join(entry.package for entry in found)
        ways = " or ".join(entry.target.replace(":", ".") for entry in found)
        raise PluginError(f"ganzoo.{name} is claimed by {owners}; import {ways}")
    loaded: Callable[..., Any] | None = found[0].load() if found else None
    return loaded
