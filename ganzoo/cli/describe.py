"""Descriptions of components and models, as JSON values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from ganzoo import registry
from ganzoo.cli.named_files import read_model
from ganzoo.cli.plugins import build_command, summarise_command
from ganzoo.errors import GanzooError, PluginError, first_line
from ganzoo.registry import ARCHITECTURE, COMMAND, FILE_KINDS, LOSS, MODEL, RECIPE, Entry

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from ganzoo.protocols.recipe import Recipe
    from ganzoo.recipes import RunRecipe


def describe_component(entry: Entry) -> dict[str, Any]:
    """Describe a component under the keys that ``ganzoo show --json`` prints.

    Raises:
        PluginError: the component is broken.
    """
    if entry.kind in FILE_KINDS:
        return _describe_files(entry)
    description: dict[str, Any] = {
        "kind": entry.kind.word,
        "name": entry.name,
        "package": entry.package,
        "version": entry.version,
        "summary": "",
        "paper": None,
        "options": {},
        "recipe": None,
        "tuned_recipes": [],
        "named_recipes": {},
        "declares": {},
    }
    if entry.kind == COMMAND:
        text = build_command(entry).help or summarise_command(entry)
        return description | {"summary": " ".join(text.split("\n\n")[0].split())}
    from ganzoo.protocols.recipe import find_tuned_recipes

    component = entry.load()
    declared = _read_declarations(entry, component)
    recipe, tuned = declared.pop("recipe", None), declared.pop("tuned_recipes", None)
    named = declared.pop("named_recipes", None) or {}
    recipes = [_describe_recipe(each) for each in tuned or () if find_tuned_recipes(component)]
    if entry.kind == LOSS:
        recipes += _describe_architectures_recipes(entry.name)
    return description | {
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
        "recipe": _describe_recipe(recipe) if recipe else None,
        "tuned_recipes": recipes,
        "named_recipes": {name: _describe_recipe(each) for name, each in named.items()},
        "declares": declared,
    }


def _describe_files(entry: Entry) -> dict[str, Any]:
    """Describe a model or a recipe with a name; a model is loaded.

    Raises:
        PluginError: it is broken.
    """
    if entry.kind == MODEL:
        return describe_model(entry.qualified)
    from ganzoo.recipes import find_recipe

    recipe = find_recipe(entry.qualified)
    return {
        "kind": RECIPE.word,
        "name": entry.name,
        "package": entry.package,
        "version": entry.version,
        "summary": recipe.title,
        "hash": _hash_recipe(recipe),
        **recipe.model_dump(mode="json", exclude={"title"}),
    }


def _hash_recipe(recipe: RunRecipe) -> str | None:
    """Return the hash of a recipe; None if it needs data, or something that is not here."""
    from ganzoo.recipes import hash_recipe

    if recipe.data is None:
        return None
    try:
        return hash_recipe(recipe.resolve())
    except GanzooError:
        return None


def _describe_architectures_recipes(loss: str) -> Iterator[dict[str, Any]]:
    """Describe the tuned recipes that architectures have for a loss and no other.

    Args:
        loss: Its bare name.
    """
    from ganzoo.protocols.recipe import find_tuned_recipes

    for entry in registry.entries(ARCHITECTURE):
        try:
            tuned = find_tuned_recipes(entry.load()())
        except Exception:  # 'ganzoo list --check' says what is wrong with it
            continue
        for recipe in tuned:
            if recipe.loss == loss:
                described = _describe_recipe(recipe)
                yield {"architecture": entry.name, **described}


def list_recipes(described: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield a component's recipes: their name and what they are for, what they give, the source.

    Args:
        described: The component, as :func:`describe_component` returns it.
    """
    own = described["recipe"]
    for name, recipe in [
        *(("tuned", each) for each in described["tuned_recipes"]),
        *([("paper", own)] if own is not None else []),
        *described["named_recipes"].items(),
    ]:
        words = {"architecture": "with", "loss": "with", "data": "on"}
        if "architecture" in recipe:  # of a loss, which needs no name there
            del words["loss"]
        wanted = [f"{word} {recipe[key]}" for key, word in words.items() if key in recipe]
        about = {"architecture", "loss", "data", "source", "settings"}
        given = {key: value for key, value in recipe.items() if key not in about}
        pairs = given | recipe.get("settings", {})
        yield " ".join([name, *wanted]), pairs, recipe.get("source", "")


def list_declarations(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a component declares, without what is empty.

    Args:
        described: The component, as :func:`describe_component` returns it.
    """
    return {key: value for key, value in described["declares"].items() if value not in (None, ())}


def _describe_recipe(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(mode="json", exclude_unset=True)


def describe_model(name: str) -> dict[str, Any]:
    """Describe a model under the keys that ``ganzoo show --json`` prints.

    Args:
        name: As for :func:`ganzoo.load`.

    Raises:
        GanzooError: as for :func:`ganzoo.load`.
    """
    from ganzoo.models.find import find_model
    from ganzoo.models.model import load_folder
    from ganzoo.models.named import NamedFolder

    folder = find_model(name)
    model = load_folder(folder)
    origin = folder.origin()
    named = {}
    if isinstance(folder, NamedFolder):
        entry = folder.entry
        named = {"package": entry.package, "version": entry.version, **read_model(entry)}
    return {
        "kind": "model",
        "name": folder.name if named else name,
        **named,
        "summary": model.title,
        "reference": folder.reference,
        "parameters": sum(p.numel() for p in model.generator.parameters()),
        "scores": [row.model_dump(mode="json") for row in folder.scores()],
        "config": folder.config().model_dump(mode="json"),
        **({} if origin is None else {"origin": origin.model_dump(mode="json")}),
    }


def _read_declarations(entry: Entry, component: Any) -> dict[str, Any]:
    """Return the values of the protocol's declarations, in the protocol's order."""
    bases = {f"{base.__module__}:{base.__qualname__}": base for base in component.__mro__}
    try:
        source = component()  # declarations that depend on options are shown for the defaults
    except Exception:
        source = component
    found = {}
    declared = [
        name
        for base in bases[entry.kind.base].__mro__
        if base.__module__.startswith("ganzoo.protocols.")
        for name, kind in base.__annotations__.items()
        if "ClassVar" in str(kind)
    ]
    for name in dict.fromkeys(["paper", *declared]):
        try:
            value = getattr(source, name)
        except Exception as error:
            reason = first_line(error)
            raise PluginError(f"{entry.title} does not declare its {name}: {reason}") from error
        found[name] = None if isinstance(value, property | cached_property) else value
    return found


def _default(field: FieldInfo) -> Any:
    from pydantic import TypeAdapter

    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    return TypeAdapter(Any).dump_python(default, mode="json")


def _type_name(annotation: Any) -> str:
    """Write a type without its validators, as people read it: ``int | None``."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is Literal:
        return " | ".join(repr(value) for value in arguments)
    names = ["..." if part is Ellipsis else _type_name(part) for part in arguments]
    if origin in (Union, UnionType):
        return " | ".join(names)
    name = "None" if annotation is NoneType else getattr(annotation, "__name__", str(annotation))
    return f"{name}[{', '.join(names)}]" if names else name
