"""The packages that trackers need."""

from __future__ import annotations

import importlib.util

from ganzoo.errors import InputError
from ganzoo.requirement import install_command


def require_package(tracker: str, *modules: str) -> None:
    """Check that what a tracker imports is installed.

    Args:
        tracker: Name of the tracker, and of ganzoo's extra for it.
        modules: Names of modules.

    Raises:
        InputError: a module is missing.
    """
    for module in modules:
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:  # a folder of that name is a module without origin
            raise InputError(
                f"tracker '{tracker}' needs a package that is not installed here: "
                f"{install_command(tracker)}"
            )
