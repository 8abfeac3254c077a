"""What named recipes and other trainings gave: a table of all, and a part of a page for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ganzoo_zoo.apps.record import summary
from ganzoo_zoo.apps.record.form import Record, read_record
from tables import RECORDS, link, relative, table

HEADER = (
    *("training", "score", *summary.MARKS, "best", "of", "seeds", "time of a seed", "machine"),
    "picture",
)
UNJUDGED = "nothing was judged"


def record_path(name: str) -> Path:
    """Return the file of a record."""
    return RECORDS / f"{name}.json"


def names() -> list[str]:
    """Return the names of all records."""
    return sorted(path.stem for path in RECORDS.glob("*.json"))


def render(page: Path) -> str:
    """Return a table with a row for each score of each record, and what went wrong."""
    records = {name: read_record(record_path(name)) for name in names()}
    if not records:
        return "There is no record yet."
    rows = (row for name, record in records.items() for row in _rows(page, name, record))
    failures = [
        f"- {link(page, name, record_path(name))}: {line}."
        for name, record in records.items()
        for line in summary.describe_failures(record)
    ]
    return "\n\n".join([table(HEADER, rows), *(["\n".join(failures)] if failures else [])])


def describe(page: Path, name: str) -> str:
    """Return the command, the cost, the scores and the picture of a record."""
    record = read_record(record_path(name))
    parts = [f"```console\n$ {record.command}\n```", _describe_cost(page, name, record)]
    parts += [f"{line.capitalize()}." for line in summary.describe_failures(record)]
    rows = [(f"`{metric}`", *cells) for metric, *cells in summary.list_rows(record)]
    if rows:
        parts.append(table(("score", *summary.MARKS, "best", "of"), rows))
    if record.picture is not None:
        parts.append(_show_picture(page, record))
    return "\n\n".join(parts)


def list_results(name: str) -> list[str]:
    """Return what a record's seeds scored at the end and at best, and what they took, in lines."""
    record = read_record(record_path(name))
    lines = [
        f"{metric} {end} at the end, {best} at best, {of}"
        for metric, *_, end, best, of in summary.list_rows(record)
        if not metric.startswith("source-")
    ]
    each = " each" if len(record.seeds) > 1 else ""
    cost = f"{summary.format_seeds(record.seeds)}: {summary.format_time(record)}{each}"
    return [*lines, f"{cost}, {summary.format_machine(record)}, {summary.format_versions(record)}"]


def _rows(page: Path, name: str, record: Record) -> Iterator[list[str]]:
    about = [
        summary.format_seeds(record.seeds).partition(" ")[2],
        summary.format_time(record),
        f"{summary.format_machine(record)}; {summary.format_versions(record)}",
        "" if record.picture is None else _show_picture(page, record),
    ]
    first = link(page, name, record_path(name))
    scores = [(f"`{metric}`", *cells) for metric, *cells in summary.list_rows(record)]
    for cells in scores or [(UNJUDGED, *[""] * (len(summary.MARKS) + 2))]:
        yield [first, *cells, *about]
        about = [""] * len(about)


def _describe_cost(page: Path, name: str, record: Record) -> str:
    """Say what a training took, in sentences."""
    seeds, run = summary.format_seeds(record.seeds), record.seeds[0]
    is_noted = any(each.machine for each in record.seeds)
    machine = summary.format_machine(record) if is_noted else "a machine that was not noted"
    text = (
        f"{seeds.capitalize()}: {run.step:,} steps, {run.images_seen:,} images, in "
        f"{summary.format_time(record)} on {machine}, with {summary.format_versions(record)}."
    )
    if record.parameters is not None:
        of = record.parameters
        text += f" The generator has {of.generator:,} parameters"
        text += f", the discriminator {of.discriminator:,}." if of.discriminator else "."
    text += "" if any(run.is_judged for run in record.seeds) else f" {UNJUDGED.capitalize()}."
    return f"{text} {link(page, 'Record', record_path(name))}."


def _show_picture(page: Path, record: Record) -> str:
    assert record.picture is not None
    picture = record_path(record.picture.file).with_name(record.picture.file)
    return f"![samples of seed {record.picture.seed}]({relative(page, picture)})"
