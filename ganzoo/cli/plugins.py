"""Commands of plugins: ``ganzoo NAME`` runs the Typer app that a package registers as ``NAME``.

Commands are listed and completed from metadata and source text alone. A command's code is imported
when somebody calls it.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from importlib import metadata
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from ganzoo import registry
from ganzoo.arguments import require_utf8
from ganzoo.cli.help import format_help, is_terminal, set_help_look
from ganzoo.cli.source_text import read_docstring
from ganzoo.errors import InputError, Interrupted, PluginError, did_you_mean, first_line
from ganzoo.registry import COMMAND, Entry
from ganzoo.requirement import PACKAGE, build_requirement
from ganzoo.signals import signum_of

COMPLETION_OPTIONS = {"install_completion", "show_completion"}
"""Options that Typer adds to each app of its own."""
PLUGIN_COMMANDS = "Commands of plugins"


class PluginGroup(TyperGroup):
    """ganzoo's own commands, followed by those of plugins, which cannot replace them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the name to type for each command, so that no name means two."""
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
        """Return ganzoo's own command of that name, or the stub of a plugin's."""
        own = super().get_command(ctx, cmd_name)
        found = [] if own else registry.find_all(COMMAND, cmd_name)
        return CommandStub(cmd_name, found[0]) if found else own

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command to run, and import it if it is a plugin's."""
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
                # A completion then ends with the stub, which has no options.
        if not ctx.resilient_parsing:
            _check_words(command, rest)
            set_help_look(command)
        return (name if command else None), command, rest

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help as that of every command looks."""
        if is_terminal():
            format_help(self, ctx, formatter)
        else:
            super().format_help(ctx, formatter)

    def invoke(self, ctx: Any) -> None:
        """Run the command, and drop its function's return value, which is not an exit code."""
        try:
            super().invoke(ctx)
        except KeyboardInterrupt as error:  # Typer would take every signal for Ctrl-C
            raise Interrupted("interrupted", signum_of(error)) from error


def _check_words(command: Any, words: Sequence[str]) -> None:
    """Refuse an empty text, as of a variable that is not set, and a name that is not UTF-8.

    Raises:
        InputError: such is a word of a command line, or the value of an option in it.
    """
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    for before, word in zip(["", *words], words, strict=False):
        option, equals, value = word.partition("=")
        if not (equals and option.startswith("--")):
            option, value = before, word
        if require_utf8(value).strip():
            continue
        taking = [each for each in command.params if not getattr(each, "is_flag", False)]
        found = [each for each in taking if option in each.opts]
        if not found:
            option = "an argument"
            found = [each for each in taking if isinstance(each, TyperArgument)]
        wanted = " and ".join(each.metavar or "a value" for each in found) or "none"
        raise InputError(f"{option} is empty: give {wanted}")


class CommandStub(TyperCommand):
    """A plugin's command in a list, before it is imported."""

    def __init__(self, name: str, entry: Entry) -> None:
        super().__init__(
            name,
            short_help=summarise_command(entry),
            add_help_option=False,
            rich_help_panel=PLUGIN_COMMANDS,
        )


def build_command(entry: Entry) -> Any:
    """Import a plugin's command and build it: a group if its app has several commands.

    Raises:
        PluginError: it cannot be imported or built, or is not a Typer app.
    """
    app = entry.load()
    try:
        command = typer.main.get_command(app)
    except Exception as error:
        raise PluginError(f"{entry.title} cannot be built: {first_line(error)}") from error
    command.params = [each for each in command.params if each.name not in COMPLETION_OPTIONS]
    return command


def own_commands(context: typer.Context) -> set[str]:
    """Return the names of ganzoo's own commands."""
    return set(getattr(context.find_root().command, "commands", ()))


def is_hidden(entry: Entry, own: Container[str]) -> bool:
    """Tell whether a plugin's command has the name of one of ganzoo's own commands."""
    return entry.kind == COMMAND and entry.name in own


def find_missing_extra(entry: Entry) -> str | None:
    """Return the extra of its package that a command still needs, such as ``acme[paint]``.

    A command needs the extra of its own name, if its package has one. Nothing is imported.
    """
    for requirement in metadata.requires(entry.package) or ():
        needed, _, condition = requirement.partition(";")
        if re.search(rf"""extra\s*==\s*["']{re.escape(entry.name)}["']""", condition):
            name = re.match(r"[\w.-]*", needed.strip())
            try:
                metadata.version(name[0] if name else "")
            except (metadata.PackageNotFoundError, ValueError):
                if entry.package == PACKAGE:
                    return build_requirement(entry.name)
                return f"{entry.package}[{entry.name}]"
    return None


def summarise_command(entry: Entry) -> str:
    """Return a line that says what a command does and where it is from, without running its code.

    It is the first line of its module's docstring.
    """
    origin = f"{entry.package} {entry.version}"
    if entry.made_for:
        origin += f", made for ganzoo {entry.made_for}"
    if not (text := read_docstring(entry)):
        return f"A command of {origin}."
    return text.splitlines()[0] + ("" if entry.package == "ganzoo" else f" [{origin}]")
