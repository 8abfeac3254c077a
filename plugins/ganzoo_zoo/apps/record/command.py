"""Record what runs gave and took, for tables of results.

This module does not import torch; the functions that it calls do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganzoo.cli.common import Json, forgive_output, print_json, print_line, print_table
from ganzoo.cli.help import list_examples
from ganzoo.display.messages import note
from ganzoo.storage.paths import user_path

if TYPE_CHECKING:
    from ganzoo_zoo.apps.record.form import Record

app = typer.Typer(rich_markup_mode=None)
EXAMPLES = list_examples(
    ("What a run gave, at a tenth, at half and at the end.", "record runs/NAME"),
    ("One record of three seeds.", "record seed0 seed1 seed2 --out docs/records"),
)


@app.command(epilog=EXAMPLES)
def record(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json or DIR",
            help="Write the record to this file, or a record of each configuration to this folder. "
            "Runs join those that are there.",
        ),
    ] = None,
    picture: Annotated[
        bool,
        typer.Option(
            "--picture/--no-picture",
            help="Whether --out writes the picture of the first seed's model beside the record.",
        ),
    ] = True,
    as_json: Json = False,
) -> None:
    """Record what runs gave and took, for tables of results.

    Runs that differ in their seeds alone become one record: configuration and recipe, the command
    that trains it, data, parameters, and of each seed its machine, versions, time, scores at each
    step that was scored, warnings, and how it ended. Runs that stopped or diverged are recorded,
    too. No record has a folder of this machine in it.
    """
    from ganzoo.runs.folder import Run
    from ganzoo_zoo.apps.record.files import plan_files
    from ganzoo_zoo.apps.record.gather import record_runs

    found = record_runs([Run.open(user_path(path)) for path in runs])
    records = [each.record for each in found]
    if out is not None:
        files = plan_files(found, user_path(out), with_picture=picture)
        for file in files:
            file.write()
            note(f"written: {file.path}")
        records = [file.record for file in files]
    with forgive_output("the records are written" if out is not None else "nothing was written"):
        if as_json:
            print_json([each.to_tree() for each in records])
            return
        for each in records:
            _print(each)


def _print(record: Record) -> None:
    """Print what a person wants to see of a record."""
    from ganzoo_zoo.apps.record import summary

    seeds = summary.format_seeds(record.seeds)
    print_line(f"{record.recipe or record.title} ({record.hash}), {seeds}")
    print_line(f"  {record.command}")
    versions = summary.format_versions(record)
    print_line(f"  {summary.format_time(record)}, {summary.format_machine(record)}, {versions}")
    for line in summary.describe_failures(record):
        print_line(f"  {line}")
    rows = list(summary.list_rows(record))
    if rows:
        print_table(("score", *summary.MARKS, "best", "of"), rows)
    else:
        print_line("  nothing was judged")
