"""Commands of plugins: ``ganzoo NAME`` runs the Typer app that a package announces as ``NAME``.

Listing and completing them reads metadata and source text alone; a command's code is imported
when the command is named.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Container
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from ganzoo import registry
from ganzoo.errors import PluginError, did_you_mean, first_line
from ganzoo.registry import COMMAND, Entry

COMPLETION_OPTIONS = {"install_completion", "show_completion"}
"""Options that Typer gives to each app that stands alone."""


class PluginGroup(TyperGroup):
    """ganzoo's own commands, none of which a plugin replaces, and those of plugins after them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name every command as it can be typed, so that no name means two."""
        listed = registry.entries(COMMAND)
        claimed_twice = registry.conflicts(listed)
        return [
            *self.commands,
            *(
                entry.qualified
                if entry.name in claimed_twice or is_hidden(entry, self.commands)
                else entry.name
                for entry in listed
            ),
        ]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return ganzoo's own command of that name, or what stands for a plugin's."""
        own = super().get_command(ctx, cmd_name)
        found = [] if own else registry.find_all(COMMAND, cmd_name)
        return CommandStub(cmd_name, found[0]) if found else own

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is named, imported if it is a plugin's."""
        name, command, rest = args[0], self.get_command(ctx, args[0]), args[1:]
        if command is None and not ctx.resilient_parsing:
            near = did_you_mean(name.rpartition(":")[2], self.list_commands(ctx))
            ctx.fail(f"No such command '{name}'{near}")
        if isinstance(command, CommandStub):
            try:
                command = build_command(registry.find(COMMAND, name))
            except PluginError:
                if not ctx.resilient_parsing:
                    raise
                # A completion then ends here, with the stand-in's own options: none.
        return (name if command else None), command, rest

    def invoke(self, ctx: Any) -> None:
        """Run the command; what its function returns is no exit code."""
        super().invoke(ctx)


class CommandStub(TyperCommand):
    """Stands for a plugin's command that is listed and not imported."""

    def __init__(self, name: str, entry: Entry) -> None:
        super().__init__(name, short_help=command_summary(entry), add_help_option=False)


def build_command(entry: Entry) -> Any:
    """Import a plugin's command and build it: a group if its app has several commands.

    Raises:
        PluginError: it does not import, is no Typer app, or is one that cannot be built.
    """
    app = entry.load()
    try:
        command = typer.main.get_command(app)
    except Exception as error:
        raise PluginError(f"{entry.title} cannot be built: {first_line(error)}") from error
    command.params = [each for each in command.params if each.name not in COMPLETION_OPTIONS]
    return command


def is_hidden(entry: Entry, own: Container[str]) -> bool:
    """Tell whether a plugin's command has a name that ganzoo's own commands use."""
    return entry.kind == COMMAND and entry.name in own


def command_summary(entry: Entry) -> str:
    """Say in a line what a command does, and whose it is, without running its code."""
    origin = f"{entry.package} {entry.version}"
    try:
        words = ast.get_docstring(ast.parse(_read_source(entry.target.partition(":")[0]))) or ""
    except Exception:  # what is broken is said when it is used
        words = ""
    if not words:
        return f"A command of {origin}."
    return words.splitlines()[0] + ("" if entry.package == "ganzoo" else f" [{origin}]")


def _read_source(module: str) -> bytes:
    # To find a module within a package, find_spec would import the package.
    top, *within = module.split(".")
    spec: Any = importlib.util.find_spec(top)
    for name in within:
        spec = PathFinder.find_spec(name, spec.submodule_search_locations)
    return Path(spec.origin).read_bytes()
