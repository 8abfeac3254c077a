"""The look of help: panels as wide as the terminal, or plain text where there is none."""

from __future__ import annotations

import inspect
import os
import sys
from copy import copy
from functools import partial
from typing import Any

from typer.core import TyperGroup

OTHER = "Other options"
"""Title of the options that belong to no group, where a command has groups of options."""


def list_examples(*examples: tuple[str, str]) -> str:
    """Return the end of a command's help: what a person may want, and the command for it.

    Args:
        examples: Pairs of a meaning, and the command without its first word, ``ganzoo``.
    """
    lines = [f"  # {meaning}\n  ganzoo {command}" for meaning, command in examples]
    # The control character keeps the lines as they are.
    return "\b\nExamples:\n" + "\n".join(lines)


def set_help_look(command: Any) -> None:
    """Give a command, and the commands in it, the help that :func:`format_help` prints."""
    command.format_help = partial(format_help, command)
    for each in getattr(command, "commands", {}).values():
        set_help_look(each)


def format_help(command: Any, context: Any, formatter: Any) -> None:
    """Print a command's help as panels in a terminal; elsewhere, hand it to a text formatter."""
    shown = copy(command)
    if is_terminal():
        _print_panels(shown, context)
        return
    shown.rich_markup_mode = None
    type(shown).format_help(shown, context, formatter)


def is_terminal() -> bool:
    """Tell whether standard output is a terminal that can draw."""
    return sys.stdout.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def _print_panels(shown: Any, context: Any) -> None:
    from typer import rich_utils

    rich_utils.STYLE_HELPTEXT = ""  # dim text is hard to read
    params = [copy(each) for each in shown.get_params(context)]
    if not shown.rich_markup_mode:
        _escape(shown, params)
    mode: Any = shown.rich_markup_mode or "rich"
    _group_others(params)
    shown.get_params = lambda _: params
    rich_utils.rich_format_help(obj=shown, ctx=context, markup_mode=mode)


def _escape(shown: Any, params: list[Any]) -> None:
    """Escape the texts of a command that is written without markup, in place."""
    from rich.markup import escape

    shown.help = escape(_join_lines(shown.help or ""))
    lines = _join_lines(shown.epilog or "").splitlines()
    shown.epilog = "\n".join(
        f"[dim]{escape(each)}[/dim]" if each.lstrip().startswith("#") else escape(each)
        for each in lines
    )
    for each in params:
        each.help = escape(each.help or "")
        each.metavar = "" if getattr(each, "is_flag", False) else each.metavar
    if isinstance(shown, TyperGroup):
        find: Any = shown.get_command

        def get_command(context: Any, name: str) -> Any:
            command = copy(find(context, name))
            text = command.short_help or inspect.cleandoc(command.help or "").split("\n\n")[0]
            command.short_help = escape(_join_lines(text))
            return command

        vars(shown)["get_command"] = get_command


def _join_lines(text: str) -> str:
    """Join the lines of each paragraph, as a text has its own; one that begins with \b keeps them.

    What follows a form feed is dropped.
    """
    paragraphs = inspect.cleandoc(text).partition("\f")[0].split("\n\n")
    return "\n\n".join(
        each.removeprefix("\b\n") if each.startswith("\b") else " ".join(each.split())
        for each in paragraphs
    )


def _group_others(params: list[Any]) -> None:
    """Put the options that belong to no group behind those that do, in place."""
    options = [each for each in params if each.param_type_name == "option"]
    others = [each for each in options if not each.rich_help_panel]
    if len(others) == len(options):
        return
    for each in others:
        each.rich_help_panel = OTHER
        params.remove(each)
    params += others
