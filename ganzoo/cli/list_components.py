"""``ganzoo list``."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from ganzoo import registry
from ganzoo.cli.common import Json, find_room, print_json, print_line, print_table, shorten_text
from ganzoo.cli.describe import describe_component
from ganzoo.cli.help import list_examples
from ganzoo.cli.list_runs import list_runs
from ganzoo.cli.named_files import read_model
from ganzoo.cli.plugins import is_hidden, own_commands
from ganzoo.cli.source_text import summarise
from ganzoo.display.messages import note
from ganzoo.errors import InputError, PluginError, did_you_mean, first_line
from ganzoo.registry import ALL_KINDS, MODEL, Entry, Kind

INSTALLED, WORKS = "installed", "works"
"""States of a component that nothing is known to be wrong with."""
MADE_FOR = "made for ganzoo "
"""Begins the state of a component whose package requires another ganzoo."""
OWN_PACKAGE = "ganzoo"
RUNS = "runs"
"""The list of runs, beside those of the kinds of components."""
EXAMPLES = list_examples(
    ("Everything that is installed, a line each.", "list"),
    ("Losses alone.", "list losses"),
    ("Trained models, with their scores.", "list models"),
    ("Your runs, the newest first.", "list runs"),
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list", epilog=EXAMPLES)(list_components)


def _complete_kinds(incomplete: str) -> list[str]:
    words = [*(kind.plural.replace(" ", "-") for kind in ALL_KINDS), RUNS]
    return [word for word in words if word.startswith(incomplete)]


def _complete_folders(incomplete: str) -> list[str]:
    found = sorted(Path().glob(f"{incomplete}*")) if not incomplete.startswith("/") else []
    return [f"{path}/" for path in found if path.is_dir()]


def list_components(
    context: typer.Context,
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND",
            help="List only this kind, such as architectures; or 'runs'.",
            autocompletion=_complete_kinds,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            help="The folder whose runs 'ganzoo list runs' lists; by default runs/.",
            autocompletion=_complete_folders,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Import each component and report broken ones.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List what is installed, and what each thing is; or your runs.

    'ganzoo list runs' tells of each run when it began, what it trains, how far it is, its score,
    and whether it is finished, running, stopped, diverged or broken. Runs are only read.
    """
    if kind == RUNS:
        if check:
            raise InputError("--check imports components, and runs are none: drop it")
        list_runs(folder, as_json)
        return
    if folder is not None:
        raise InputError(f"only 'ganzoo list {RUNS}' takes a folder: drop {folder}")
    own = own_commands(context)
    rows, chosen = [], _parse_kind(kind) if kind else None
    for one in ALL_KINDS if chosen is None else [chosen]:
        entries = registry.entries(one)
        claimed_twice = registry.conflicts(entries)
        for entry in entries:
            row = _row(entry, _name_conflict(entry, claimed_twice, own))
            if chosen == MODEL:
                row |= _describe_named_model(entry, row["state"])
            rows.append(row | _check(entry, row["state"]) if check else row)
    if as_json:
        print_json(rows)
        return
    if chosen == MODEL:
        _print_models(rows)
    else:
        _print_rows(rows)
    if check:
        works = sum(row["state"] == WORKS for row in rows)
        note(f"{works} of {len(rows)} work")


def _print_rows(rows: list[dict[str, str]]) -> None:
    """Print components under their kinds, a line each: the name, what it is, and what is odd."""
    room = find_room()
    for word, group in groupby(rows, key=lambda row: row["kind"]):
        shown = list(group)
        if shown[0] is not rows[0]:
            print()
        print(next(kind.plural for kind in ALL_KINDS if kind.word == word))
        width = max(len(row["name"]) for row in shown)
        for row in shown:
            name, summary, end = row["name"], row["summary"], _describe_oddity(row)
            if room is not None:
                summary = shorten_text(summary, max(0, room - width - 4 - len(end)))
            print_line(f"  {name:{width}}  {summary}{end}".rstrip())


def _print_models(rows: list[dict[str, Any]]) -> None:
    """Print models as a table, those that cannot be read with what is wrong."""
    header = ("name", "family", "data", "size", "classes", "score", "licence", "from")
    table = []
    for row in rows:
        about = row.get("model") or {}
        cells = [about.get(key) for key in (*header[1:-1], "source")]
        odd = "" if row["state"] in (INSTALLED, WORKS) else f" ({row['state']})"
        table.append([row["name"], *("" if cell is None else str(cell) for cell in cells)])
        table[-1][-1] += odd
    print_table(header, table, shorten=("from", "score"))


def _describe_named_model(entry: Entry, state: str) -> dict[str, Any]:
    """Return what a model is, by itself, and its state."""
    try:
        return {"model": read_model(entry)}
    except PluginError as error:
        return {
            "model": None,
            "state": f"broken: {first_line(error)}" if state == INSTALLED else state,
        }


def _describe_oddity(row: dict[str, str]) -> str:
    """Return who provides a component if it is not ganzoo, and what is wrong with it."""
    parts = [] if row["package"] == OWN_PACKAGE else [f"[{row['package']} {row['version']}]"]
    if row["state"] not in (INSTALLED, WORKS):
        parts.append(f"({row['state']})")
    return "".join(f" {part}" for part in parts)


def _parse_kind(word: str) -> Kind:
    words = {spelling: kind for kind in ALL_KINDS for spelling in (kind.word, kind.plural)}
    found = words.get(word.replace("-", " ").replace("_", " "))
    if found is None:
        known = [kind.plural for kind in ALL_KINDS]
        hint = did_you_mean(word, [*words, RUNS]) or f"; known: {', '.join([*known, RUNS])}"
        raise InputError(f"no kind of component is called '{word}'{hint}")
    return found


def _row(entry: Entry, conflict: str) -> dict[str, str]:
    state = f"{conflict}: write {entry.qualified}" if conflict else INSTALLED
    if entry.made_for:
        state = f"{MADE_FOR}{entry.made_for}"
    return {
        "kind": entry.kind.word,
        "name": entry.name,
        "package": entry.package,
        "version": entry.version,
        "summary": summarise(entry),
        "state": state,
    }


def _name_conflict(entry: Entry, claimed_twice: set[str], own: set[str]) -> str:
    """Say why a component's bare name does not select it; nothing if it does."""
    if is_hidden(entry, own):
        return "hidden by ganzoo's own command"
    return "claimed twice" if entry.name in claimed_twice else ""


def _check(entry: Entry, state: str) -> dict[str, str]:
    """Import a component, and return its state and summary."""
    if entry.made_for:
        return {"state": state}
    try:
        summary = describe_component(entry)["summary"]
    except Exception as error:  # even the factory of a default may fail
        return {"state": f"broken: {first_line(error)}"}
    return {"state": WORKS if state == INSTALLED else state, "summary": summary}
