"""What the commands share: options with one meaning, and printing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from typer.core import TyperCommand

from ganzoo import registry
from ganzoo.errors import InputError, escape_text
from ganzoo.registry import DATASET, LOSS, Kind

MAX_LINE = 1000
"""Characters of a line on standard error; of a longer one the beginning and the end are shown."""

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output, and no more.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set an option; repeatable.")
]
ModelArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        help="A run, a model folder, or user/name or user/name@revision of the Hub; by default the "
        "newest run under runs/.",
    ),
]
Device = Annotated[
    str | None, typer.Option(help="Where to compute: auto, cpu, cuda, cuda:N or mps.")
]


def complete_names(*kinds: Kind) -> Callable[[str], list[str]]:
    """Return a completion of the installed names of some kinds."""

    def complete(incomplete: str) -> list[str]:
        names = {entry.name for kind in kinds for entry in registry.entries(kind)}
        return sorted(name for name in names if name.startswith(incomplete))

    return complete


def complete_choices(field: str) -> Callable[[str], list[str]]:
    """Return a completion of the values that a field of ``TrainOptions`` may have."""

    def complete(incomplete: str) -> list[str]:
        from ganzoo.config import TrainOptions

        choices = _choices(TrainOptions.model_fields[field])
        return [choice for choice in choices if choice.startswith(incomplete)]

    return complete


def _choices(field: Any) -> tuple[str, ...]:
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


LossName = Annotated[
    str | None,
    typer.Option(
        help="Name of a loss; by default the architecture's own.",
        autocompletion=complete_names(LOSS),
    ),
]
TrainingData = Annotated[
    str | None,
    typer.Option(
        metavar="NAME or PATH",
        help="A dataset, or a folder or zip of images; by default the architecture's own.",
        autocompletion=complete_names(DATASET),
    ),
]
ImageSize = Annotated[
    str | None,
    typer.Option(metavar="N or HxW", help="Resize images; short for --set data.image_size=N."),
]
Precision = Annotated[str | None, typer.Option(autocompletion=complete_choices("precision"))]
Compile = Annotated[bool | None, typer.Option("--compile")]


class TrainCommand(TyperCommand):
    """A command whose options stand for fields of ``TrainOptions`` and borrow their help.

    The fields are read when help is printed: importing pydantic would slow each other command.
    """

    def get_help(self, ctx: Any) -> str:
        """Complete the help of each option that a field describes."""
        from ganzoo.config import TrainOptions

        for parameter in self.params:
            field = TrainOptions.model_fields.get(parameter.name or "")
            if field is not None and not getattr(parameter, "help", None):
                parameter.help = f"{field.description} [default: {field.default}]"
                parameter.metavar = " or ".join(_choices(field)) or None
        return super().get_help(ctx)


def gather_settings(
    settings: list[str] | None, options: Mapping[str, Any], image_size: str | None
) -> dict[str, Any]:
    """Gather every override under its full name; the same one given twice is an error.

    Args:
        settings: ``KEY=VALUE`` items.
        options: Other options of the command, by name; each that is called as a field of
            ``TrainOptions`` stands for it, unless it is None.
        image_size: Short for ``data.image_size``.

    Raises:
        InputError: an item is no ``KEY=VALUE``, or an override is given twice.
    """
    from ganzoo.config import TrainOptions
    from ganzoo.resolve import parse_settings

    given: dict[str, Any] = dict(parse_settings(settings or []))
    short = {
        f"train.{name}": options[name]
        for name in TrainOptions.model_fields
        if options.get(name) is not None
    }
    if image_size is not None:
        short["data.image_size"] = image_size
    for key in short:
        if key in given:
            raise InputError(f"{key} is given twice: by its own option and by --set")
    return {**given, **short}


def print_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    print(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False))


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns on standard output, as plain text that other programs can read."""
    table = [[escape_text(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def format_duration(seconds: float) -> str:
    """Write a time as a person would: ``57 s``, ``3 min`` or ``1.5 h``."""
    if seconds < 100:
        return f"{round(seconds)} s"
    if seconds < 6000:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def note(message: str) -> None:
    """Say something on standard error."""
    line = escape_text(message)
    if len(line) > MAX_LINE:
        line = f"{line[: MAX_LINE // 2]} ... {line[-MAX_LINE // 2 :]}"
    print(line, file=sys.stderr, flush=True)
