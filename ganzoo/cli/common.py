"""Options and printing that the commands share."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperOption
from typer.exceptions import TyperException

from ganzoo import registry
from ganzoo.arguments import MODEL_FORMS
from ganzoo.cli.process import OUTPUT
from ganzoo.display.messages import print_warning
from ganzoo.errors import InputError, escape_text
from ganzoo.registry import DATASET, LOSS, MODEL, PENALTY, RECIPE, Kind

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

MIN_CELL = 10
"""Fewest characters to which a cell of a table is shortened."""

MODEL_HELP = f"{MODEL_FORMS[0].upper()}{MODEL_FORMS[1:]}, also as user/name@revision"


def complete_names(*kinds: Kind) -> Callable[[str], list[str]]:
    """Return a shell completion of the names of installed components of some kinds."""

    def complete(incomplete: str) -> list[str]:
        names = {entry.name for kind in kinds for entry in registry.entries(kind)}
        return sorted(name for name in names if name.startswith(incomplete))

    return complete


complete_models = complete_names(MODEL)
"""A shell completion of the names of models."""

Json = Annotated[
    bool,
    typer.Option("--json", help="Print a single JSON document on standard output."),
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set an option; repeatable.")
]
ModelArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        help=f"{MODEL_HELP}; by default the newest run under runs/.",
        autocompletion=complete_models,
    ),
]
Device = Annotated[str, typer.Option(help="Device to compute on: auto, cpu, cuda, cuda:N or mps.")]


def _complete_precision(incomplete: str) -> list[str]:
    from ganzoo.config import TrainOptions

    choices = _choices(TrainOptions.model_fields["precision"])
    return [choice for choice in choices if choice.startswith(incomplete)]


def _complete_recipe(incomplete: str) -> list[str]:
    from ganzoo.protocols.recipe import USUAL_RECIPES

    usual = [name for name in USUAL_RECIPES if name.startswith(incomplete)]
    return [*usual, *complete_names(RECIPE)(incomplete)]


def _choices(field: FieldInfo) -> tuple[str, ...]:
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


WHAT, HOW, START = "What to train", "How to train", "Where to start"
"""Groups of options in the help of commands that train."""

LossName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=WHAT,
        help="Name of a loss; by default the architecture's own.",
        autocompletion=complete_names(LOSS),
    ),
]
PenaltyNames = Annotated[
    list[str] | None,
    typer.Option(
        "--penalty",
        metavar="NAME",
        rich_help_panel=WHAT,
        help="Add the terms of a penalty to those of the loss, in place of the recipe's "
        "penalties; repeatable.",
        autocompletion=complete_names(PENALTY),
    ),
]
TrainingData = Annotated[
    str | None,
    typer.Option(
        metavar="NAME or PATH",
        rich_help_panel=WHAT,
        help="A dataset, or a folder or zip of images; by default the architecture's own.",
        autocompletion=complete_names(DATASET),
    ),
]
ImageSize = Annotated[
    str | None,
    typer.Option(
        metavar="N or HxW",
        rich_help_panel=WHAT,
        help="Resize images; short for --set data.image_size=N.",
    ),
]
SourceOf = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        rich_help_panel=WHAT,
        help="Make sources of the images themselves, for architectures that do: short for --set "
        "arch.source_of=KIND.",
    ),
]
TrainOption = Annotated[str | None, typer.Option(rich_help_panel=HOW)]
"""An option of a :class:`TrainCommand` that sets the field of ``TrainOptions`` of its name.

The field declares type, bounds, default and help; its value is parsed as that of ``--set``.
"""
Precision = Annotated[
    str | None, typer.Option(rich_help_panel=HOW, autocompletion=_complete_precision)
]
"""A :data:`TrainOption` with completion."""
RecipeName = Annotated[
    str | None, typer.Option(rich_help_panel=HOW, autocompletion=_complete_recipe)
]
"""A :data:`TrainOption` with completion."""
Compile = Annotated[bool | None, typer.Option("--compile", rich_help_panel=HOW)]
"""A :data:`TrainOption` without a value."""


class TrainCommand(TyperCommand):
    """A command whose options of the type :data:`TrainOption` set fields of ``TrainOptions``.

    Their help is completed from the fields when it is printed: importing pydantic earlier would
    slow down every other command.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, and answer an option of another name with the one that it means.

        Raises:
            InputError: an option is unknown, and is called otherwise here.
        """
        try:
            return super().parse_args(ctx, args)
        except TyperException as error:
            unknown = getattr(error, "option_name", None)
            if unknown and hasattr(error, "possibilities") and not ctx.resilient_parsing:
                self._explain_unknown(unknown)
            raise

    def _explain_unknown(self, unknown: str) -> None:
        from ganzoo.config import find_other_words

        flags = {option.name: option.opts[0] for option in self.params}
        ways = [
            flags.get(name.partition(".")[2], f"--set {name}=VALUE")
            for name in find_other_words(unknown.lstrip("-"))
        ]
        if ways:
            raise InputError(f"No such option: {unknown}; did you mean {' and '.join(ways)}?")

    def get_help(self, ctx: Any) -> str:
        """Complete the help of each option that sets a field, and return the command's help."""
        from ganzoo.config import TrainOptions

        for option in self.params:
            field = TrainOptions.model_fields.get(option.name or "")
            if isinstance(option, TyperOption) and field is not None and not option.help:
                option.help = f"{field.description} [default: {field.default}]"
                number = "N" if field.annotation is int else None
                option.metavar = " or ".join(_choices(field)) or number
        return super().get_help(ctx)


def gather_settings(
    settings: list[str] | None,
    options: Mapping[str, Any],
    image_size: str | None,
    penalties: Sequence[str] | None = None,
    source_of: str | None = None,
) -> dict[str, Any]:
    """Gather every override under its full name.

    Args:
        settings: ``KEY=VALUE`` items.
        options: Other parameters of the command, by name. Those named like a field of
            ``TrainOptions`` set that field, unless they are None.
        image_size: Short for ``data.image_size``.
        penalties: Names for ``train.penalty``.
        source_of: Short for ``arch.source_of``.

    Raises:
        InputError: an item is not ``KEY=VALUE``, or an override is given twice.
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
    if source_of is not None:
        short["arch.source_of"] = source_of
    if penalties:
        short["train.penalty"] = tuple(
            name.strip() for names in penalties for name in names.split(",")
        )
    for key in short:
        if key in given:
            raise InputError(f"{key} is given twice: by its own option and by --set")
    return {**given, **short}


def print_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    # Unprintable characters can only be within strings, which may be names from files.
    print("".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text))


def print_line(line: str) -> None:
    """Print a line on standard output, with what is unprintable in it escaped."""
    print(escape_text(line))


def print_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], shorten: Sequence[str] = ()
) -> None:
    """Print aligned columns on standard output, as plain text that programs can parse.

    Args:
        header: Titles of the columns.
        rows: Cells of each row.
        shorten: Titles of columns that are shortened in this order if a terminal is too narrow.
    """
    table = [[escape_text(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    room = find_room()
    for i in map(header.index, shorten):
        excess = sum(widths) + 2 * (len(widths) - 1) - (room or math.inf)
        widths[i] -= int(max(0, min(excess, widths[i] - MIN_CELL)))
    for row in table:
        cells = (shorten_text(cell, width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(map(str.ljust, cells, widths)).rstrip())


def find_room() -> int | None:
    """Return the columns of the terminal that standard output is; None if it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def shorten_text(text: str, width: int) -> str:
    """Return a text of at most a width, with three dots at the end if something is cut."""
    return text if len(text) <= width else f"{text[: max(0, width - 3)]}..."[:width]


@contextmanager
def forgive_output(done: str) -> Iterator[None]:
    """Print within the block what came of long work, which a lost output does not undo.

    A terminal that is gone, or a full disk, is a warning; a closed pipe is as everywhere.

    Args:
        done: What is done, for the warning.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if isinstance(error, BrokenPipeError) or error.filename != OUTPUT:
            raise
        drop_output()
        print_warning(f"{OUTPUT}: {error.strerror}; {done}")


def drop_output() -> None:
    """Drop what standard output cannot take; Python would fail again when it closes the stream."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_debugging() -> bool:
    """Tell whether tracebacks are asked for, by ``--debug`` or ``GANZOO_DEBUG``."""
    return os.environ.get("GANZOO_DEBUG", "0") not in ("", "0")
