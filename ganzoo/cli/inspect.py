"""``ganzoo list`` and ``ganzoo show``."""

from __future__ import annotations

from functools import cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer

from ganzoo import registry
from ganzoo.cli.common import Json, complete_names, note, print_json, print_table
from ganzoo.cli.plugins import build_command, command_summary, is_hidden
from ganzoo.errors import InputError, PluginError, did_you_mean, escape_text, first_line
from ganzoo.registry import AUGMENTATION, COMMAND, KINDS, TRACKER, Entry, Kind
from ganzoo.storage.paths import user_path

COLUMNS = ("kind", "name", "package", "version", "state")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("list")(list_components)
    app.command("show")(show)


def list_components(
    context: typer.Context,
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND",
            help="Only this kind, such as architectures.",
            autocompletion=_complete_kinds,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Import each component and say which are broken.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List what is installed, and which package gives it."""
    own = _own_commands(context)
    rows = []
    for listed in (registry.entries(one) for one in ([_parse_kind(kind)] if kind else KINDS)):
        claimed_twice = registry.conflicts(listed)
        for entry in listed:
            row = _row(entry, _name_conflict(entry, claimed_twice, own))
            rows.append(row | _check(entry, row["state"]) if check else row)
    if as_json:
        print_json(rows)
        return
    columns = [*COLUMNS[:-1], "summary", COLUMNS[-1]] if check else COLUMNS
    print_table(columns, [[row[column] for column in columns] for row in rows])


def show(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME or MODEL",
            help="A component or a model.",
            autocompletion=complete_names(*KINDS),
        ),
    ],
    as_json: Json = False,
) -> None:
    """Show what a component or a model is.

    Of a component its options, its paper, how that trains it, and what it declares.
    """
    described = _describe(name)
    if as_json:
        print_json(described[0] if len(described) == 1 else described)
        return
    own = _own_commands(context)
    for one in described:
        _print_description(one)
        if one["kind"] == COMMAND.word:
            command = f"{one['package']}:{one['name']}" if one["name"] in own else one["name"]
            print(f"  'ganzoo {command} --help' shows its options")


def _own_commands(context: typer.Context) -> set[str]:
    return set(getattr(context.find_root().command, "commands", ()))


def _complete_kinds(incomplete: str) -> list[str]:
    words = [kind.plural.replace(" ", "-") for kind in KINDS]
    return [word for word in words if word.startswith(incomplete)]


def _parse_kind(word: str) -> Kind:
    words = {spelling: kind for kind in KINDS for spelling in (kind.word, kind.plural)}
    found = words.get(word.replace("-", " ").replace("_", " "))
    if found is None:
        hint = did_you_mean(word, words) or f"; known: {', '.join(kind.plural for kind in KINDS)}"
        raise InputError(f"no kind of component is called '{word}'{hint}")
    return found


def _row(entry: Entry, taken: str) -> dict[str, str]:
    return {
        "kind": entry.kind.word,
        "name": entry.name,
        "package": entry.package,
        "version": entry.version,
        "state": f"{taken}: write {entry.qualified}" if taken else "installed",
    }


def _name_conflict(entry: Entry, claimed_twice: set[str], own: set[str]) -> str:
    """Say why a component's bare name does not mean it, if it does not."""
    if is_hidden(entry, own):
        return "hidden by ganzoo's own command"
    return "claimed twice" if entry.name in claimed_twice else ""


def _check(entry: Entry, state: str) -> dict[str, str]:
    """Return what importing a component tells of it."""
    try:
        summary = describe_component(entry)["summary"]
    except Exception as error:  # even a default that is made may fail
        return {"state": f"broken: {first_line(error)}", "summary": ""}
    return {"state": "works" if state == "installed" else state, "summary": summary}


def _describe(name: str) -> list[dict[str, Any]]:
    """Describe all components called ``name``, or the model of that path.

    What of several is broken is said on standard error, and does not hide the others.
    """
    entries = [entry for kind in KINDS for entry in registry.find_all(kind, name)]
    described, broken = [], []
    for entry in entries:
        try:
            described.append(describe_component(entry))
        except PluginError as error:
            broken.append(error)
    if described:
        for error in broken:
            note(f"broken: {error}")
        return described
    if broken:
        raise broken[0]
    if "/" in name or user_path(name).exists():
        return [_describe_model(name)]
    known = {entry.name for kind in KINDS for entry in registry.entries(kind)}
    raise InputError(
        f"nothing is called '{name}'{did_you_mean(name, known) or ', and no such path exists'}"
    )


def describe_component(entry: Entry) -> dict[str, Any]:
    """Return what a component is, by the names that ``--json`` prints.

    Raises:
        PluginError: it is broken.
    """
    about = {
        "kind": entry.kind.word,
        "name": entry.name,
        "package": entry.package,
        "version": entry.version,
        "summary": "",
        "paper": None,
        "options": {},
        "recipe": None,
        "declares": {},
    }
    if entry.kind == COMMAND:
        words = build_command(entry).help or command_summary(entry)
        return about | {"summary": " ".join(words.split("\n\n")[0].split())}
    component = entry.load()
    declared = _declarations(entry, component)
    recipe = declared.pop("recipe", None)
    return about | {
        "summary": component.summary(),
        "paper": declared.pop("paper"),
        "options": {
            name: {
                "default": _default(field),
                "type": _type_name(field.annotation),
                "description": field.description,
            }
            for name, field in component.model_fields.items()
        },
        "recipe": recipe.model_dump(mode="json") if recipe else None,
        "declares": declared,
    }


def _declarations(entry: Entry, component: Any) -> dict[str, Any]:
    """Return the values of what the protocol lets a component declare, in the protocol's order."""
    bases = {f"{base.__module__}:{base.__qualname__}": base for base in component.__mro__}
    try:
        source = component()  # what depends on options is that of the defaults
    except Exception:
        source = component
    found = {}
    for name in ["paper", *bases[entry.kind.base].__annotations__]:
        try:
            value = getattr(source, name)
        except Exception as error:
            why = first_line(error)
            raise PluginError(f"{entry.title} does not tell its {name}: {why}") from error
        found[name] = None if isinstance(value, property | cached_property) else value
    return found


def _default(field: Any) -> Any:
    from pydantic_core import to_jsonable_python

    if field.is_required():
        return "required"
    return to_jsonable_python(field.get_default(call_default_factory=True))


def _type_name(annotation: Any) -> str:
    """Write a type as a person would, without what validates it."""
    origin, within = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(within[0])
    if origin is Literal:
        return " | ".join(repr(value) for value in within)
    names = ["..." if part is Ellipsis else _type_name(part) for part in within]
    if origin in (Union, UnionType):
        return " | ".join(names)
    name = "None" if annotation is NoneType else getattr(annotation, "__name__", str(annotation))
    return f"{name}[{', '.join(names)}]" if names else name


def _describe_model(name: str) -> dict[str, Any]:
    from ganzoo.models.model import load

    model = load(name)
    config = model.config.model_dump(mode="json")
    return {
        "kind": "model",
        "name": name,
        "summary": model.title,
        "reference": model.folder.reference,
        "parameters": sum(p.numel() for p in model.generator.parameters()),
        "config": config,
    }


def _print_description(one: dict[str, Any]) -> None:
    origin = f", {one['package']} {one['version']}" if "package" in one else ""
    _print_line(f"{one['kind']} {one['name']}{origin}")
    _print_line(f"  {one['summary']}")
    if one["kind"] == "model":
        _print_line(f"  {one['reference']}")
        _print_line(f"  {one['parameters']:,} parameters in the generator")
        for part in ("architecture", "loss", "data"):
            choice = one["config"][part]
            _print_line(f"  {part} {_origin(choice)}: {_format_pairs(choice['options'])}")
        for kind in (AUGMENTATION, TRACKER):
            for choice in one["config"][kind.plural]:
                _print_line(f"  {kind.word} {_origin(choice)}: {_format_pairs(choice['options'])}")
        _print_line(f"  train: {_format_pairs(one['config']['train'])}")
        if init := one["config"]["init"]:
            _print_line(f"  started from {init.pop('name')}: {_format_pairs(init)}")
        return
    if one["paper"]:
        _print_line(f"  paper: {one['paper']}")
    if one["recipe"]:
        _print_line(f"  recipe: {_format_pairs(one['recipe'])}")
    if said := {key: value for key, value in one["declares"].items() if value is not None}:
        _print_line(f"  declares: {_format_pairs(said)}")
    for name, option in one["options"].items():
        _print_line(f"  {name} = {option['default']}  ({option['type']}) {option['description']}")


def _print_line(line: str) -> None:
    print(escape_text(line))


def _origin(choice: dict[str, Any]) -> str:
    return f"{choice['name']} ({choice['package']} {choice['version']})"


def _format_pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())
