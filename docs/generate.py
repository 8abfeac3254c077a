"""Write the pages that derive from the code: ``python docs/generate.py``.

A test fails when one of them is stale.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ganzoo import registry
from ganzoo.cli import app, main
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
    """Show the help of every command."""
    names = [command.name for command in app.registered_commands]
    parts = ["# Command line", "Written by `python docs/generate.py` from the commands' own help."]
    for name in [None, *names]:
        arguments = [*([name] if name else []), "--help"]
        title = f"ganzoo {name}" if name else "ganzoo"
        parts.append(f"## {title}\n\n```text\n{_printed(arguments)}\n```")
    return "\n\n".join(parts) + "\n"


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
    lines += [" | ".join((f"`{name}`", f"`{default}`", text)) for name, default, text in rows]
    return "\n".join(f"| {line} |" for line in lines)


def _printed(arguments: list[str]) -> str:
    os.environ["COLUMNS"] = "100"
    with contextlib.redirect_stdout(io.StringIO()) as out:
        main(arguments)
    return "\n".join(line.rstrip() for line in out.getvalue().strip().splitlines())


if __name__ == "__main__":
    for name, text in pages().items():
        (HERE / name).write_text(text, encoding="utf-8")
