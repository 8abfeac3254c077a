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
    """The command is a Typer app, and each of its commands says what it does."""
    command = _get_command(app)
    for name, one in {"the command": command, **getattr(command, "commands", {})}.items():
        require(
            bool(one.help),
            f"{name} needs a help text, which 'ganzoo NAME --help' prints: a docstring of its "
            "function, or Typer(help='...') where there are several",
        )


def check_help(app: Typer) -> None:
    """``--help`` prints how the command is used and exits with 0."""
    from typer.testing import CliRunner

    _get_command(app)
    result = CliRunner().invoke(app, ["--help"])
    require(
        result.exit_code == 0,
        f"--help must exit with 0, and it exited with {result.exit_code}"
        + (f", after {result.exception!r}" if result.exception else ""),
    )
    first = next((line for line in result.stdout.splitlines() if line.strip()), "")
    require(
        "usage" in first.lower(),
        f"--help must print how the command is used and nothing before it, and it began: {first!r}",
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
    said = imported.stderr.strip().splitlines()
    require(
        imported.returncode == 0,
        f"{module} must import by itself, and it said: {said[-1] if said else 'nothing'}",
    )
    require(
        not imported.stdout,
        f"importing {module} must print nothing, for standard output is the command's result; it "
        f"printed: {imported.stdout.splitlines()[:1]}",
    )


command_checks: list[Callable[[Typer], None]] = [
    check_command,
    check_help,
    check_quiet_import,
]


def _get_command(app: Typer) -> Any:
    import typer

    require(
        isinstance(app, typer.Typer),
        f"a command is a typer.Typer, made by app = typer.Typer(), not {type(app).__name__}",
    )
    with explain_errors("a command must have a function, registered by @app.command()"):
        return typer.main.get_command(app)


def _find_module(app: Typer) -> str | None:
    """Return the module of the first function that is found."""
    for info in (app.registered_callback, *app.registered_commands):
        if info is not None and info.callback is not None:
            return info.callback.__module__
    found = (_find_module(group.typer_instance) for group in app.registered_groups)
    return next((module for module in found if module), None)
