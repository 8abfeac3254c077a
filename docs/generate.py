"""Generate pages from the code: ``python docs/generate.py``.

A test fails when one of them is stale.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel

import ganzoo
from ganzoo import registry
from ganzoo.cli.commands import app
from ganzoo.cli.describe import describe_component, list_declarations, list_recipes
from ganzoo.cli.plugins import build_command
from ganzoo.component import Component
from ganzoo.config import TrainSettings
from ganzoo.registry import COMMAND, FILE_KINDS, KINDS
from ganzoo.resolve import choose_recipe
from ganzoo.testing.conformance import CHECKS
from ganzoo.training import sanity_checks

HERE = Path(__file__).parent
PACKAGE = "ganzoo"

PROTOCOLS = {
    registry.ARCHITECTURE: ("Architecture", "GeneratorInput", "LatentPart"),
    registry.LOSS: ("Loss", "Discriminator", "Recipe", "Progress"),
    registry.PENALTY: ("Penalty",),
    registry.DATASET: ("Dataset", "ImageDataset", "DataSpec", "Samples"),
    registry.AUGMENTATION: ("Augmentation", "AdaptiveAugmentation"),
    registry.EVALUATOR: ("Evaluator", "SampleSet", "Features", "Score"),
    registry.FEATURE_EXTRACTOR: ("FeatureExtractor", "LoadedExtractor"),
    registry.TRACKER: ("Tracker", "TrackedRun", "Networks"),
    registry.CONVERTER: ("Converter", "Converted", "ForeignWeights"),
    registry.SPACE: ("Space",),
    registry.COMMAND: (),
}
"""The classes that an author of each kind uses."""


def pages() -> dict[str, str]:
    """Return each generated page by its file name."""
    return {
        "components.md": components(),
        "cli.md": command_line(),
        "plugins/reference.md": reference(),
        "python.md": python(),
    }


def components() -> str:
    """Describe every component in the box, from its own declaration."""
    parts = [
        "# What is in the box",
        "Generated from the components by `python docs/generate.py`. `ganzoo show NAME` prints "
        "the same.",
    ]
    for kind in KINDS:
        parts.append(f"## {kind.plural.capitalize()}")
        for entry in registry.entries(kind):
            if entry.package == PACKAGE:
                parts += list(_component(describe_component(entry)))
    parts.append("## Options of training")
    parts.append(
        "Set these by their own option or by `--set train.KEY=VALUE`. What a recipe gives replaces "
        "the default here. A run takes one recipe, whole. " + _rule_of_recipes()
    )
    fields = TrainSettings.model_fields.items()
    parts.append(
        _table(("option", "default", "meaning"), [(n, f.default, f.description) for n, f in fields])
    )
    return "\n\n".join(parts) + "\n"


def command_line() -> str:
    """Describe every command, from its own declaration."""
    parts = [
        "# Command line",
        "Generated from the commands by `python docs/generate.py`. `ganzoo COMMAND --help` prints "
        "the same.",
    ]
    for name, command in _commands().items():
        with command.make_context(name, [], resilient_parsing=True) as context:
            command.get_help(context)  # completes the help of options that stand for fields
        text = inspect.cleandoc(command.help or "")
        parts.append(f"## ganzoo {name}\n\n{text}")
        rows = [_parameter(parameter) for parameter in command.params if parameter.name != "help"]
        if rows:
            parts.append(_table(("parameter", "default", "meaning"), rows))
        if command.epilog:
            _, _, examples = command.epilog.partition("Examples:\n")
            parts.append(f"```console\n{textwrap.dedent(examples)}\n```")
    return "\n\n".join(parts) + "\n"


def reference() -> str:
    """Describe the protocols, from the docstrings and the declarations of their classes."""
    parts = [
        "# Reference of the protocols",
        "Generated from the docstrings by `python docs/generate.py`. Import every class from "
        "`ganzoo`.",
    ]
    for kind, names in PROTOCOLS.items():
        what = "a `typer.Typer` object" if kind == COMMAND else f"a subclass of `{names[0]}`"
        parts.append(f"## {kind.plural.capitalize()}")
        parts.append(f"Entry points in the group `{kind.group}`, each {what}.")
        for name in names:
            parts += list(_protocol(getattr(ganzoo, name)))
        if kind == COMMAND:
            parts.append(
                "The app is imported when its command is called; `ganzoo --help` shows the first "
                "line of its module's docstring, which is read without importing it."
            )
        if kind in CHECKS:
            parts.append(f"### What the kit checks in {kind.plural}")
            parts.append(_first_lines("check", CHECKS[kind]))
    for kind in FILE_KINDS:
        parts.append(f"## {kind.plural.capitalize()}")
        parts.append(
            f"Entry points in the group `{kind.group}`, each a package that holds the files: "
            "see [models and recipes](models.md)."
        )
        parts.append(f"### What the kit checks in {kind.plural}")
        parts.append(_first_lines("check", CHECKS[kind]))
    parts.append("## Sanity checks of a combination")
    parts.append(
        "ganzoo warns about these before the first step, and the run continues. Combinations that "
        "cannot work are refused."
    )
    parts.append(_first_lines("check", sanity_checks.sanity_checks))
    return "\n\n".join(parts) + "\n"


def python() -> str:
    """Describe the public names by module, from their docstrings."""
    table = (HERE / "plugins" / "public.md").read_text(encoding="utf-8")
    listed: dict[str, list[str]] = {}
    for module, names in re.findall(r"^\| `(ganzoo[\w.]*)` \| (.*?) \|", table, re.M):
        listed.setdefault(module, []).extend(re.findall(r"`(\w+)`", names))
    elsewhere = {name for names in PROTOCOLS.values() for name in names}
    places = {name: f"#{name.lower()}" for names in listed.values() for name in names}
    places |= {name: f"plugins/reference.md#{name.lower()}" for name in elsewhere}
    parts = [
        "# Python",
        "Generated from the docstrings by `python docs/generate.py`. The functions of `ganzoo` "
        "train and use models. The other modules are for [plugins](plugins/README.md), whose base "
        "classes are in the [reference of the protocols](plugins/reference.md). The options of a "
        "training are in [components](components.md#options-of-training). The page on "
        "[public names](plugins/public.md) says what may change.",
    ]
    seen: set[str] = set(elsewhere)
    for module, names in listed.items():
        own = [name for name in names if name not in seen and not name.startswith("_")]
        seen.update(own)
        parts += [f"## {module}", *_module(module, own, places)] if own else []
    return "\n\n".join(parts) + "\n"


def _module(module: str, names: list[str], places: dict[str, str]) -> Iterator[str]:
    """Describe names of a module: functions and classes, then a table of its values."""
    values = []
    for name in names:
        found = getattr(importlib.import_module(module), name)
        if inspect.isclass(found):
            yield from _class(name, found, places)
        elif inspect.isfunction(inspect.unwrap(found)):
            yield f"### {name}\n\n{_code(_call(name, found))}\n\n{_linked(found, places)}"
        elif isinstance(found, (list, tuple)) and all(map(inspect.isfunction, found)):
            values.append((name, ", ".join(f"`{each.__name__}`" for each in found)))
        else:
            values.append((name, _about(module, name)))
    if values:
        yield _table(("value", "what it is"), values)


def _class(name: str, cls: type, places: dict[str, str]) -> Iterator[str]:
    statement = f"class {name}({', '.join(base.__name__ for base in cls.__bases__)}): ..."
    if inspect.isfunction(own := vars(cls).get("__init__")):
        call = textwrap.indent(_call("__init__", own), "    ")
        statement = statement.removesuffix(" ...") + "\n" + call
    yield f"### {name}\n\n{_code(statement.replace('(object)', ''))}\n\n{_linked(cls, places)}"
    for member, found in vars(cls).items():
        function = getattr(found, "__func__", found)
        if member.startswith("_") or not inspect.getdoc(found):
            continue
        if inspect.isfunction(function):
            call = _code(_call(member, function))
            yield f"#### {name}.{member}\n\n{call}\n\n{_linked(function, places)}"
        elif isinstance(found, (property, cached_property)):
            yield f"#### {name}.{member}\n\n{_linked(found, places)}"


class _Text(str):
    """A part of a signature as it is written, without further quotation marks."""

    __repr__ = str.__str__


def _call(name: str, function: Callable[..., Any]) -> str:
    """Return a function's first line, or an argument a line where it is long."""
    signature = inspect.signature(function)
    arguments: list[str] = []
    for each in signature.parameters.values():
        if each.kind is each.KEYWORD_ONLY and not any(part[0] == "*" for part in arguments):
            arguments.append("*")
        changes = {"annotation": _written(each.annotation)}
        if each.default is not each.empty:
            changes["default"] = _default(each.default)
        arguments.append(str(each.replace(**changes)))
    gives = signature.return_annotation
    end = ": ..." if gives is signature.empty else f" -> {_written(gives)}: ..."
    whole = f"def {name}({', '.join(arguments)}){end}"
    if len(whole) <= 84:
        return whole
    return "\n".join([f"def {name}(", *(f"    {part}," for part in arguments), f"){end}"])


def _written(annotation: Any) -> Any:
    return _Text(annotation) if isinstance(annotation, str) else annotation


def _default(value: Any) -> Any:
    """Return a default as code would spell it."""
    if inspect.isfunction(value) or inspect.isclass(value):
        return _Text("..." if value.__name__ == "<lambda>" else value.__name__)
    if isinstance(value, Path):
        return _Text(f'Path("{value.as_posix()}")')
    return _Text(json.dumps(value, ensure_ascii=False)) if isinstance(value, str) else value


def _about(module: str, name: str) -> str:
    """Return the docstring of a value, in one line: the text below its assignment."""
    pattern = rf'^{name}\b[^\n]*=.*?\n"""(.*?)"""'
    source = inspect.getsource(importlib.import_module(module))
    found = re.search(pattern, source, re.M | re.S)
    return " ".join(_markdown(found[1]).split()) if found else ""


def _linked(described: Any, places: dict[str, str]) -> str:
    """Return a docstring as Markdown, in which names lead to where they are described."""

    def link(found: re.Match[str]) -> str:
        shown = f"``{found[1]}``"
        return f"[{shown}]({places[found[1]]})" if found[1] in places else shown

    text = re.sub(r":\w+:`~?[\w.]*?(\w+)`", link, inspect.getdoc(described) or "")
    return _markdown(text)


def _code(text: str) -> str:
    return f"```python\n{text}\n```"


def _commands() -> dict[str, Any]:
    """Return ganzoo's own commands, those that plugins in the box add, and commands of these."""
    listed = [entry for entry in registry.entries(COMMAND) if entry.package == PACKAGE]
    found = dict(typer.main.get_command(app).commands)
    for entry in listed:
        found[entry.name] = build_command(entry)
        for name, command in getattr(found[entry.name], "commands", {}).items():
            found[f"{entry.name} {name}"] = command
    return found


def _parameter(parameter: Any) -> tuple[str, Any, str]:
    spelling = ", ".join(parameter.opts) if parameter.param_type_name == "option" else None
    shown = spelling or parameter.metavar
    if spelling and parameter.metavar:
        shown = f"{spelling} {parameter.metavar}"
    default = "" if parameter.default in (None, False) else parameter.default
    return shown, default, parameter.help or ""


def _rule_of_recipes() -> str:
    """Return which recipe counts, as the function that chooses it says."""
    paragraph = inspect.cleandoc(choose_recipe.__doc__ or "").split("\n\n")[1]
    return paragraph.replace("\n", " ").replace("``", "`")


def _component(one: dict[str, Any]) -> Iterator[str]:
    yield f"### {one['name']}\n\n{one['summary']}"
    if one["paper"]:
        yield f"Paper: {one['paper']}."
    for title, pairs, source in list_recipes(one):
        origin = f" From {source}." if source else ""
        yield f"Recipe `{title}`: {_pairs(pairs) or 'the defaults'}.{origin}"
    if said := list_declarations(one):
        yield f"Declares: {_pairs(said)}."
    if one["kind"] == COMMAND.word:
        yield f"Its options: [`ganzoo {one['name']}`](cli.md#ganzoo-{one['name']})."
    if one["options"]:
        rows = [(name, o["default"], o["description"]) for name, o in one["options"].items()]
        yield _table(("option", "default", "meaning"), rows)


def _protocol(cls: type) -> Iterator[str]:
    shared = [base for base in cls.__mro__[1:] if _is_shared(base)]
    about = [_markdown(inspect.getdoc(base)) for base in (cls, *shared)]
    yield "\n\n".join([f"### {cls.__name__}", *about])
    fields = cls.model_fields if issubclass(cls, BaseModel) else {}
    named = {name for base in (cls, *shared) for name in base.__annotations__}
    own = [(name, field) for name, field in fields.items() if name in named]
    if own:
        rows = [
            (name, "required" if field.is_required() else field.default, field.description)
            for name, field in own
        ]
        yield _table(("field", "default", "meaning"), rows)
    members: dict[str, tuple[Any, str]] = {}
    for base in (cls, *shared):
        members |= {name: found for name, found in _described(base) if name not in members}
    for statement, text in members.values():
        if isinstance(statement, ast.AnnAssign):
            if statement.target.id not in fields:
                yield f"`{_declaration(statement)}`\n\n{_markdown(text)}".rstrip()
        elif statement.name in ("__init__", "__call__") or not statement.name.startswith("_"):
            yield f"#### {_signature(cls, statement)}\n\n{_markdown(text)}"


def _is_shared(base: type) -> bool:
    """Tell whether a base of components is no public name, so that its members belong to them."""
    is_protocol = base.__module__.startswith("ganzoo.protocols.")
    return is_protocol and issubclass(base, Component) and base.__name__ not in ganzoo.__all__


def _described(cls: type) -> Iterator[tuple[str, tuple[Any, str]]]:
    """Yield the attributes and described methods of a class body by name, with their docstrings."""
    module = ast.parse(inspect.getsource(importlib.import_module(cls.__module__)))
    (body,) = [
        node.body
        for node in module.body
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    ]
    for i, node in enumerate(body):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node):
            yield node.name, (node, ast.get_docstring(node))
        elif isinstance(node, ast.AnnAssign):
            after = body[i + 1] if i + 1 < len(body) else None
            text = ""
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                text = inspect.cleandoc(after.value.value)
            yield node.target.id, (node, text)


def _declaration(statement: ast.AnnAssign) -> str:
    annotation = re.sub(r"^ClassVar\[(.*)\]$", r"\1", ast.unparse(statement.annotation))
    default = f" = {ast.unparse(statement.value)}" if statement.value else ""
    return f"{statement.target.id}: {annotation}{default}"


def _signature(cls: type, function: ast.FunctionDef) -> str:
    decorators = {ast.unparse(each) for each in function.decorator_list}
    if decorators & {"property", "cached_property"}:
        return f"`{function.name}`"
    function.args.args = function.args.args[1:]
    for argument in [*function.args.args, *function.args.kwonlyargs]:
        argument.annotation = None
    name = {"__init__": cls.__name__, "__call__": "()"}.get(function.name, function.name)
    given = ast.unparse(function.args)
    shown = f"D({given})" if name == "()" else f"{name}({given})"
    gives = "" if function.name == "__init__" else f" -> {ast.unparse(function.returns)}"
    return f"`{shown}{gives}`" + (", to be defined" if "abstractmethod" in decorators else "")


def _markdown(text: str) -> str:
    """Turn a docstring into Markdown: roles, double backticks, and the blocks of arguments."""
    text = re.sub(r":\w+:`~?[\w.]*?(\w+)`", r"`\1`", text).replace("``", "`")
    blocks = []
    for block in re.split(r"\n(?=(?:Args|Returns|Raises):\n)", text):
        head, _, rest = block.partition("\n")
        if head in ("Args:", "Returns:", "Raises:"):
            text = textwrap.dedent(rest)
            items = [text] if head == "Returns:" else re.split(r"\n(?! )", text)
            block = f"{head}\n\n" + "\n".join(map(_item, filter(None, items)))
        blocks.append(block.strip())
    return "\n\n".join(blocks)


def _item(text: str) -> str:
    named = re.match(r"([\w.]+): ", text)
    words = " ".join(text.split())
    return f"- `{named[1]}`: {words[len(named[0]) :]}" if named else f"- {words}"


def _first_lines(what: str, functions: Iterable[Callable[..., Any]]) -> str:
    lines = [
        (each.__name__, _markdown(inspect.getdoc(each)).partition("\n")[0]) for each in functions
    ]
    return _table((what, "what it checks"), lines)


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"`{key}={value}`" for key, value in values.items())


def _table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [" | ".join(header), " | ".join("---" for _ in header)]
    for name, *defaults, text in rows:
        shown = ["" if default == "" else f"`{default}`" for default in defaults]
        lines.append(" | ".join((f"`{name}`", *shown, text)))
    return "\n".join(f"| {line} |" for line in lines)


if __name__ == "__main__":
    for name, text in pages().items():
        (HERE / name).parent.mkdir(exist_ok=True)
        (HERE / name).write_text(text, encoding="utf-8")
