"""Inspect a dataset before training."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganzoo.cli.common import Json, Settings, complete_names, print_json, print_table
from ganzoo.cli.help import list_examples
from ganzoo.display.messages import note
from ganzoo.errors import InputError
from ganzoo.registry import DATASET
from ganzoo.storage.paths import refuse_existing

if TYPE_CHECKING:
    from ganzoo_zoo.apps.data_check.advice import Advice
    from ganzoo_zoo.apps.data_check.survey import Survey

MAX_SHOWN = 8
"""The most sizes, classes, groups and broken files that are printed; --json lists all of them."""

app = typer.Typer(rich_markup_mode=None)
EXAMPLES = list_examples(
    ("What a training would read.", "data check photos --image-size 64"),
    ("With a sheet of images of each class.", "data check photos --out sheet.png"),
)


@app.callback(epilog=EXAMPLES)
def _data() -> None:
    """Inspect a dataset before training."""


@app.command(epilog=EXAMPLES)
def check(
    data: Annotated[
        str,
        typer.Argument(
            metavar="NAME or PATH",
            help="A dataset, or a folder or zip of images.",
            autocompletion=complete_names(DATASET),
        ),
    ],
    image_size: Annotated[
        str | None, typer.Option(metavar="N or HxW", help="The image size that you will train at.")
    ] = None,
    settings: Settings = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Write a contact sheet with images of every class."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    as_json: Json = False,
) -> None:
    """Report what training would read: sizes, formats, classes, broken files and duplicates.

    Then say what to train on it, and why.
    """
    from ganzoo.display.terminal import ProgressBar
    from ganzoo.progress import send_progress_to
    from ganzoo.resolve import choose_data, parse_settings

    options = {}
    for key, value in parse_settings(settings or []).items():
        if not key.startswith("data."):
            raise InputError(f"--set {key}: only options that begin with data. can be set here")
        options[key.removeprefix("data.")] = value
    if image_size is not None:
        options["image_size"] = image_size
    if out is not None and out.suffix.lower() != ".png":
        raise InputError(f"--out {out}: the contact sheet must be a .png")
    if out is not None:
        refuse_existing(out, force)
    dataset = choose_data(data, options).build(DATASET)
    from ganzoo.media.images import save_png
    from ganzoo_zoo.apps.data_check.advice import advise
    from ganzoo_zoo.apps.data_check.survey import survey

    with ProgressBar() as counter, send_progress_to(counter):
        found, sheet = survey(dataset, sheet=out is not None)
    if out is not None and sheet is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        save_png(sheet, out, {"Description": f"Images of {data}"})
    advice = advise(found, data, options)
    if as_json:
        shown = {"advice": advice and asdict(advice), "sheet": out and str(out)}
        print_json({"data": data, **found.as_json(), **shown})
    else:
        _print(found, advice)
        note(f"contact sheet: {out}" if out else "--out FILE.png writes a contact sheet")


def _print(found: Survey, advice: Advice | None) -> None:
    place = "on disk, too large for memory" if found.streamed else "in memory"
    rows = [
        ("samples", f"{found.samples:,}"),
        ("shape", " x ".join(map(str, found.shape))),
        ("total size", f"{_mib(found.bytes)} {place}"),
    ]
    if found.sizes:
        rows.append(("sizes", _sizes(found.sizes)))
    for word, counts in (("formats", found.formats), ("modes", found.modes)):
        if counts:
            rows.append((word, _counts(counts)))
    if found.classes:
        rows.append(("classes", f"{len(found.classes):,}: {_counts(found.classes)}"))
    rows += [("broken", line) for line in _first_lines(found.broken)]
    rows += [("copies", line) for line in _first_lines(list(map(", ".join, found.copies)))]
    rows += [("alike", line) for line in _first_lines(list(map(", ".join, found.near_copies)))]
    rows += [("note", line) for line in found.findings or ["no problems found"]]
    if advice is not None:
        rows += [("advice", line) for line in advice.reasons]
        rows += [("next", advice.command), ("", advice.bench)]
    print_table(("what", "found"), rows)


def _sizes(sizes: dict[str, int]) -> str:
    if len(sizes) == 1:
        return f"all {next(iter(sizes))}"
    smallest, *_, largest = sizes
    usual = max(sizes, key=lambda size: sizes[size])
    often = f", most often {usual} ({sizes[usual]:,})" if sizes[usual] > 1 else ""
    return f"{len(sizes):,}, from {smallest} to {largest}{often}"


def _counts(counts: dict[str, int]) -> str:
    shown = ", ".join(f"{word} {count:,}" for word, count in list(counts.items())[:MAX_SHOWN])
    return f"{shown}, ..." if len(counts) > MAX_SHOWN else shown


def _first_lines(lines: list[str]) -> list[str]:
    more = [f"and {len(lines) - MAX_SHOWN:,} more"] if len(lines) > MAX_SHOWN else []
    return [line if len(line) <= 100 else f"{line[:100]}..." for line in lines[:MAX_SHOWN]] + more


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
