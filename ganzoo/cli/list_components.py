"""``ganzoo list``."""

from __future__ import annotations

from typing import Annotated

import typer

from ganzoo import registry
from ganzoo.cli.common import Json, print_json, print_table
from ganzoo.cli.describe import describe_component
from ganzoo.cli.plugins import is_hidden, own_commands
from ganzoo.cli.source_text import summarise
from ganzoo.errors import InputError, did_you_mean, first_line
from ganzoo.registry import KINDS, Entry, Kind

COLUMNS = ("kind", "name", "package", "version", "summary")
USUAL = "installed"
"""State of a component that nothing is known to be wrong with."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list")(list_components)


def _complete_kinds(incomplete: str) -> list[str]:
    words = [kind.plural.replace(" ", "-") for kind in KINDS]
    return [word for word in words if word.startswith(incomplete)]


def list_components(
    context: typer.Context,
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND",
            help="List only this kind, such as architectures.",
            autocompletion=_complete_kinds,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Import each component and report broken ones.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List installed components: what each is, and the package that provides it."""
    own = own_commands(context)
    rows = []
    for one in [_parse_kind(kind)] if kind else KINDS:
        entries = registry.entries(one)
        claimed_twice = registry.conflicts(entries)
        for entry in entries:
            row = _row(entry, _name_conflict(entry, claimed_twice, own))
            rows.append(row | _check(entry, row["state"]) if check else row)
    if as_json:
        print_json(rows)
        return
    has_states = check or any(row["state"] != USUAL for row in rows)
    columns = [*COLUMNS, "state"] if has_states else COLUMNS
    print_table(columns, [[row[column] for column in columns] for row in rows])


def _parse_kind(word: str) -> Kind:
    words = {spelling: kind for kind in KINDS for spelling in (kind.word, kind.plural)}
    found = words.get(word.replace("-", " ").replace("_", " "))
    if found is None:
        hint = did_you_mean(word, words) or f"; known: {', '.join(kind.plural for kind in KINDS)}"
        raise InputError(f"no kind of component is called '{word}'{hint}")
    return found


def _row(entry: Entry, conflict: str) -> dict[str, str]:
    return {
        "kind": entry.kind.word,
        "name": entry.name,
        "package": entry.package,
        "version": entry.version,
        "summary": summarise(entry),
        "state": f"{conflict}: write {entry.qualified}" if conflict else USUAL,
    }


def _name_conflict(entry: Entry, claimed_twice: set[str], own: set[str]) -> str:
    """Say why a component's bare name does not select it; nothing if it does."""
    if is_hidden(entry, own):
        return "hidden by ganzoo's own command"
    return "claimed twice" if entry.name in claimed_twice else ""


def _check(entry: Entry, state: str) -> dict[str, str]:
    """Import a component, and return its state and summary."""
    try:
        summary = describe_component(entry)["summary"]
    except Exception as error:  # even the factory of a default may fail
        return {"state": f"broken: {first_line(error)}"}
    return {"state": "works" if state == USUAL else state, "summary": summary}
