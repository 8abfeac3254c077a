"""Write the pages that derive from the code: ``python docs/generate.py``.

A test fails when one of them is stale.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from ganzoo import registry
from ganzoo.cli import app
from ganzoo.cli.inspect import describe_component
from ganzoo.config import TrainOptions

HERE = Path(__file__).parent
PACKAGE = "ganzoo"


def pages() -> dict[str, str]:
    """Return each generated page by its file name."""
    return {"components.md": components(), "cli.md": command_line()}


def components() -> str:
    """Describe every component in the box, from its own declaration."""
    parts = [
        "# What is in the box",
        "Written by `python docs/generate.py` from the components themselves; `ganzoo show NAME` "
        "prints the same.",
    ]
    for kind in registry.KINDS:
        parts.append(f"## {kind.plural.capitalize()}")
        for entry in registry.entries(kind):
            if entry.package == PACKAGE:
                parts += list(_component(describe_component(entry)))
    parts.append("## Options of training")
    parts.append(
        "Set by their own option or by `--set train.KEY=VALUE`. The optimiser, learning rates, "
        "betas and critic steps come from the recipe of the loss unless they are set."
    )
    fields = TrainOptions.model_fields.items()
    parts.append(
        _table(("option", "default", "meaning"), [(n, f.default, f.description) for n, f in fields])
    )
    return "\n\n".join(parts) + "\n"


def command_line() -> str:
    """Describe every command, from its own declaration."""
    parts = [
        "# Command line",
        "Written by `python docs/generate.py` from the commands; `ganzoo COMMAND --help` prints "
        "the same.",
    ]
    group = typer.main.get_command(app)
    for name, command in group.commands.items():
        with command.make_context(name, [], resilient_parsing=True) as context:
            command.get_help(context)  # completes the help of options that stand for fields
        text = inspect.cleandoc(command.help or "")
        parts.append(f"## ganzoo {name}\n\n{text}")
        rows = [_parameter(parameter) for parameter in command.params if parameter.name != "help"]
        parts.append(_table(("parameter", "default", "meaning"), rows))
    return "\n\n".join(parts) + "\n"


def _parameter(parameter: Any) -> tuple[str, Any, str]:
    spelling = ", ".join(parameter.opts) if parameter.param_type_name == "option" else None
    shown = spelling or parameter.metavar
    if spelling and parameter.metavar:
        shown = f"{spelling} {parameter.metavar}"
    default = "" if parameter.default in (None, False) else parameter.default
    return shown, default, parameter.help or ""


def _component(one: dict[str, Any]) -> Iterator[str]:
    yield f"### {one['name']}\n\n{one['summary']}"
    if one["paper"]:
        yield f"Paper: {one['paper']}."
    if one["recipe"]:
        recipe = ", ".join(f"`{key}={value}`" for key, value in one["recipe"].items())
        yield f"Recipe: {recipe}."
    if one["options"]:
        rows = [(name, o["default"], o["description"]) for name, o in one["options"].items()]
        yield _table(("option", "default", "meaning"), rows)


def _table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [" | ".join(header), " | ".join("---" for _ in header)]
    for name, default, text in rows:
        lines.append(" | ".join((f"`{name}`", "" if default == "" else f"`{default}`", text)))
    return "\n".join(f"| {line} |" for line in lines)


if __name__ == "__main__":
    for name, text in pages().items():
        (HERE / name).write_text(text, encoding="utf-8")
