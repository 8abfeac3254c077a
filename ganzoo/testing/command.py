"""Checks of commands, which are Typer apps."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ganzoo.testing.common import explain_errors, require

if TYPE_CHECKING:
    from typer import Typer


def check_command(app: Typer) -> None:
    """The command is a Typer app, and each of its commands has a help text."""
    command = _get_command(app)
    for name, one in {"the command": command, **getattr(command, "commands", {})}.items():
        require(
            bool(one.help),
            f"{name} needs a help text, which 'ganzoo NAME --help' prints: a docstring of its "
            "function, or Typer(help='...') if there are several",
        )


def check_help(app: Typer) -> None:
    """``--help`` prints the usage and exits with 0."""
    from typer.testing import CliRunner

    _get_command(app)
    result = CliRunner().invoke(app, ["--help"])
    require(
        result.exit_code == 0,
        f"--help must exit with 0, but it exited with {result.exit_code}"
        + (f", after {result.exception!r}" if result.exception else ""),
    )
    first = next((line for line in result.stdout.splitlines() if line.strip()), "")
    require(
        "usage" in first.lower(),
        f"--help must print the usage and nothing before it, but it begins with {first!r}",
    )


def check_quiet_import(app: Typer) -> None:
    """Importing the command prints nothing."""
    _get_command(app)
    module = _find_module(app)
    if module in (None, "__main__"):
        return
    imported = subprocess.run(
        [sys.executable, "-c", f"import {module}"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    errors = imported.stderr.strip().splitlines() or ["no message"]
    require(
        imported.returncode == 0,
        f"{module} must import by itself, but it failed: {errors[-1]}",
    )
    require(
        not imported.stdout,
        f"importing {module} must print nothing, as standard output is for the command's result; "
        f"it printed: {imported.stdout.splitlines()[:1]}",
    )


command_checks: list[Callable[[Typer], None]] = [
    check_command,
    check_help,
    check_quiet_import,
]
"""Checks of commands, which are Typer apps."""


def _get_command(app: Typer) -> Any:
    import typer

    require(
        isinstance(app, typer.Typer),
        f"a command must be a typer.Typer, as app = typer.Typer(), not {type(app).__name__}",
    )
    with explain_errors("a command must have a function, registered by @app.command()"):
        return typer.main.get_command(app)


def _find_module(app: Typer) -> str | None:
    """Return the name of the module that defines the app's first function."""
    for info in (app.registered_callback, *app.registered_commands):
        if info is not None and info.callback is not None:
            return info.callback.__module__
    groups = (group.typer_instance for group in app.registered_groups)
    found = (_find_module(group) for group in groups if group is not None)
    return next((module for module in found if module), None)
