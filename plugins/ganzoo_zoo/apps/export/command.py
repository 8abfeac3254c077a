"""Write a generator as one file that needs no ganzoo."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ganzoo.cli.common import Json, ModelArgument, print_json
from ganzoo.cli.help import list_examples
from ganzoo.display.messages import note
from ganzoo_zoo.apps.export import export as write
from ganzoo_zoo.apps.export.formats import DEFAULT, FORMATS, find_format

app = typer.Typer(rich_markup_mode=None)
EXAMPLES = list_examples(
    ("The model of your newest run.", "export"),
    ("Of another run, for ONNX.", "export RUN --format onnx"),
)


def _complete_formats(incomplete: str) -> list[str]:
    return [name for name in FORMATS if name.startswith(incomplete)]


@app.command(epilog=EXAMPLES)
def export(
    model: ModelArgument = None,
    format: Annotated[
        str,
        typer.Option(
            metavar="FORMAT", help=f"{' or '.join(FORMATS)}.", autocompletion=_complete_formats
        ),
    ] = DEFAULT,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"By default {' or '.join(f'model{each.suffix}' for each in FORMATS.values())}.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    as_json: Json = False,
) -> None:
    """Write a trained generator as one file that needs no ganzoo, and check the file."""
    chosen = find_format(format)
    done = write(model, out or Path(f"model{chosen.suffix}"), format, replace=force)
    if as_json:
        print_json({**asdict(done), "file": str(done.file)})
    else:
        print(done.file)
        note(
            f"its samples differ from the model's by {done.largest_difference:.1e} at most; "
            f"{done.tolerance:.0e} is allowed"
        )
