"""``ganzoo list`` and ``ganzoo show``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ganzoo import registry
from ganzoo.cli.common import Json, print_json, print_table
from ganzoo.errors import InputError, PluginError, did_you_mean
from ganzoo.registry import KINDS, Entry, Kind


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("list")(list_components)
    app.command("show")(show)


def list_components(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="Only this kind, such as architectures."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Import each component and say which are broken.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List what is installed, and which package gives it."""
    kinds = [_kind(kind)] if kind else list(KINDS)
    rows = []
    for listed in (registry.entries(one) for one in kinds):
        claimed_twice = registry.conflicts(listed)
        rows += [_row(entry, entry.name in claimed_twice, check) for entry in listed]
    if as_json:
        print_json(rows)
        return
    columns = ("kind", "name", "package", "version", "state")
    print_table(columns, [[row[column] for column in columns] for row in rows])


def show(
    name: Annotated[str, typer.Argument(metavar="NAME or MODEL", help="A component or a model.")],
    as_json: Json = False,
) -> None:
    """Show a component's options, paper and recipe, or what a model is."""
    entries = _named(name)
    path = Path(name).expanduser()
    if entries:
        described = [describe_component(entry) for entry in entries]
    elif path.exists():
        described = [_model(name)]
    else:
        known = {entry.name for kind in KINDS for entry in registry.entries(kind)}
        raise InputError(
            f"nothing is called '{name}'{did_you_mean(name, known) or ', and no such path exists'}"
        )
    if as_json:
        print_json(described[0] if len(described) == 1 else described)
        return
    for one in described:
        _print(one)


def _kind(word: str) -> Kind:
    words = {spelling: kind for kind in KINDS for spelling in (kind.word, kind.plural)}
    found = words.get(word.replace("-", " ").replace("_", " "))
    if found is None:
        hint = did_you_mean(word, words) or f"; known: {', '.join(kind.plural for kind in KINDS)}"
        raise InputError(f"no kind of component is called '{word}'{hint}")
    return found


def _row(entry: Entry, claimed_twice: bool, check: bool) -> dict[str, str]:
    state = f"claimed twice: write {entry.qualified}" if claimed_twice else "installed"
    if check:
        try:
            entry.load()
            state = state if claimed_twice else "works"
        except PluginError as error:
            state = f"broken: {error}"
    return {
        "kind": entry.kind.word,
        "name": entry.name,
        "package": entry.package,
        "version": entry.version,
        "state": state,
    }


def _named(name: str) -> list[Entry]:
    """Return the components called ``name``, of whatever kind, each by its own package."""
    return [entry for kind in KINDS for entry in registry.called(kind, name)]


def describe_component(entry: Entry) -> dict[str, Any]:
    """Return what a component is, by the names that ``--json`` prints."""
    component = entry.load()
    recipe = getattr(component, "recipe", None)
    return {
        "kind": entry.kind.word,
        "name": entry.name,
        "package": entry.package,
        "version": entry.version,
        "summary": component.summary(),
        "paper": component.paper,
        "options": {
            name: {
                "default": _default(field),
                "type": _type_name(field.annotation),
                "description": field.description,
            }
            for name, field in component.model_fields.items()
        },
        "recipe": recipe.model_dump(mode="json") if recipe else None,
    }


def _default(field: Any) -> Any:
    from pydantic_core import to_jsonable_python

    if field.is_required():
        return "required"
    return to_jsonable_python(field.get_default(call_default_factory=True))


def _type_name(annotation: Any) -> str:
    name = getattr(annotation, "__name__", None)
    text = name if isinstance(annotation, type) and name else str(annotation)
    return text.replace("typing.", "").replace("NoneType", "None")


def _model(name: str) -> dict[str, Any]:
    from ganzoo.model import load

    model = load(name)
    config = model.config.model_dump(mode="json")
    return {
        "kind": "model",
        "name": name,
        "summary": model.title,
        "parameters": sum(p.numel() for p in model.generator.parameters()),
        "config": config,
    }


def _print(one: dict[str, Any]) -> None:
    origin = f", {one['package']} {one['version']}" if "package" in one else ""
    print(f"{one['kind']} {one['name']}{origin}\n  {one['summary']}")
    if one["kind"] == "model":
        print(f"  {one['parameters']:,} parameters in the generator")
        for part in ("architecture", "loss", "data"):
            choice = one["config"][part]
            origin = f"{choice['package']} {choice['version']}"
            print(f"  {part} {choice['name']} ({origin}): {_pairs(choice['options'])}")
        print(f"  train: {_pairs(one['config']['train'])}")
        return
    if one["paper"]:
        print(f"  paper: {one['paper']}")
    if one["recipe"]:
        print(f"  recipe: {_pairs(one['recipe'])}")
    for name, option in one["options"].items():
        print(f"  {name} = {option['default']}  ({option['type']}) {option['description']}")


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())
