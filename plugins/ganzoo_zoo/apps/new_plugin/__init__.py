"""Write a package with components of your own, ready to install.

The package works as it is, passes the conformance checks and type checkers, and explains the
protocols in comments.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
from collections.abc import Callable, Iterable
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated, Any

import typer

from ganzoo import registry
from ganzoo.cli.common import complete_models, complete_names
from ganzoo.cli.help import list_examples
from ganzoo.errors import InputError, did_you_mean
from ganzoo.registry import (
    ARCHITECTURE,
    AUGMENTATION,
    COMMAND,
    DATASET,
    EVALUATOR,
    FILE_KINDS,
    LOSS,
    MODEL,
    PENALTY,
    RECIPE,
    RECIPE_SUFFIX,
    TRACKER,
    Kind,
)
from ganzoo.requirement import build_dependency
from ganzoo.storage.files import name_file

OBJECTS = {
    LOSS: "SoftLeastSquares",
    PENALTY: "LogitDrift",
    ARCHITECTURE: "SmallNetworks",
    DATASET: "Spiral",
    AUGMENTATION: "InstanceNoise",
    EVALUATOR: "MomentDistance",
    TRACKER: "CsvFile",
    COMMAND: "app",
}
"""The kinds to choose from that have a template, and the name that it defines."""
CHOICES = (*OBJECTS, *FILE_KINDS)
"""The kinds to choose from. Files are those of a model or a configuration that exists."""
DEFAULT = (LOSS, ARCHITECTURE)
SHIPPED = "What a package of models or recipes ships"
"""Group of options in the help."""

app = typer.Typer(rich_markup_mode=None)
EXAMPLES = list_examples(
    ("A package with a loss and an architecture.", "new-plugin mine"),
    ("One with a dataset alone.", "new-plugin mine --kind dataset"),
    ("One that ships your newest run.", "new-plugin mine --kind model --licence cc-by-4.0"),
)


def _complete_kinds(incomplete: str) -> list[str]:
    return [kind.word for kind in CHOICES if kind.word.startswith(incomplete)]


@app.command(epilog=EXAMPLES)
def new_plugin(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the component, such as my-loss.")
    ],
    kind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help=f"{', '.join(kind.word for kind in CHOICES)}; repeatable; "
            f"by default {' and '.join(kind.word for kind in DEFAULT)}.",
            autocompletion=_complete_kinds,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The package's folder; by default ganzoo-NAME."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            rich_help_panel=SHIPPED,
            help="The model to ship, or to make a recipe of; by default the newest run.",
            autocompletion=complete_models,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=SHIPPED,
            help="Make a recipe of this configuration instead: a config.json, a YAML or a TOML.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME or PATH",
            rich_help_panel=SHIPPED,
            help="Judge the model by these data; by default its training data.",
            autocompletion=complete_names(DATASET),
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="data.KEY=VALUE",
            rich_help_panel=SHIPPED,
            help="Set an option of these data; repeatable.",
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", rich_help_panel=SHIPPED, help="Licence of the model, such as cc-by-4.0."
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=SHIPPED,
            help="Judge the model by this metric; repeatable; by default every one that suits it.",
            autocompletion=complete_names(EVALUATOR),
        ),
    ] = None,
    repeats: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            rich_help_panel=SHIPPED,
            help="Judge the model by so many sets of samples; 0 for no scores.",
        ),
    ] = 3,
    permitted: Annotated[
        bool,
        typer.Option(
            "--permitted",
            rich_help_panel=SHIPPED,
            help="You may pass on imported weights that not everybody may pass on.",
        ),
    ] = False,
) -> None:
    """Write a package with components of your own, a model or a recipe, ready to install.

    With '--kind model', the package ships a copy of a model, judged again as it is shipped. With
    '--kind recipe', it ships the whole configuration of a run.
    """
    kinds = [_find_kind(word) for word in dict.fromkeys(kind)] if kind else list(DEFAULT)
    name = _check_name(name, kinds)
    folder = (out or Path(f"ganzoo-{name}")).expanduser()
    if set(kinds).isdisjoint(FILE_KINDS):
        if any((model, config, data, settings, licence, metric, permitted)):
            raise InputError(f"the options under '{SHIPPED}' need --kind model or --kind recipe")
        write_files(folder, package_files(name, kinds))
    elif config is not None and MODEL in kinds:
        raise InputError("--config makes a recipe: drop it, or --kind model")
    else:
        options = _parse_data_options(settings)
        judged = tuple(metric or ()), repeats
        source = (model, config, data, options, licence, *judged, permitted)
        _write_with_files(folder, name, kinds, source)
    print(folder)
    install = shlex.join(["pip", "install", "-e", f"{folder}[test]"])
    commands = [install, shlex.join(["pytest", str(folder)]), *_example_commands(name, kinds)]
    typer.echo("\n".join(["next:", *(f"  {command}" for command in commands)]), err=True)


def _parse_data_options(settings: list[str] | None) -> dict[str, str]:
    from ganzoo.resolve import parse_settings

    found = {}
    for key, value in parse_settings(settings or []).items():
        prefix, _, option = key.partition(".")
        if prefix != "data" or not option:
            raise InputError(f"--set {key}: only options of the data, data.KEY, can be set here")
        found[option] = value
    return found


def _write_with_files(folder: Path, name: str, kinds: list[Kind], named: tuple[Any, ...]) -> None:
    """Write a package with a model or a recipe.

    Args:
        folder: The package's folder.
        name: The name of what it ships.
        kinds: What it ships.
        named: The values of a :class:`ganzoo_zoo.apps.new_plugin.shipped.Source`.
    """
    _refuse_taken(folder)  # before anything is judged
    from ganzoo_zoo.apps.new_plugin.shipped import Source

    source, module = Source(*named), _name_module(name)
    contents = package_files(name, kinds, source.list_packages())
    if RECIPE in kinds:
        contents[f"{module}/{name}{RECIPE_SUFFIX}"] = source.write_recipe()

    def add_model(draft: Path) -> None:
        if MODEL in kinds:
            source.write_model(draft / module / name, name, f"ganzoo-{name}")

    write_files(folder, contents, add_model)


def package_files(name: str, kinds: list[Kind], needed: Iterable[str] = ()) -> dict[str, str]:
    """Return the texts of a package's files by their paths in its folder.

    Args:
        name: The name of what it announces.
        kinds: Of which kinds that is; the files of models and recipes are not among the texts.
        needed: Other packages that it depends on.
    """
    module = _name_module(name)
    targets = {kind: f"{module}.{kind.word}:{OBJECTS[kind]}" for kind in kinds if kind in OBJECTS}
    points = [
        f'[project.entry-points."{kind.group}"]\n{name} = "{targets.get(kind, module)}"'
        for kind in kinds
    ]
    files = {MODEL: f"{module}/{name}/", RECIPE: f"{module}/{name}{RECIPE_SUFFIX}"}
    values = {
        "name": name,
        "distribution": f"ganzoo-{name}",
        "module": module,
        "kinds": _join_words([kind.word for kind in kinds]),
        "dependencies": ", ".join(f'"{each}"' for each in (build_dependency(), *needed)),
        "entry_points": "\n\n".join(points),
        "default_loss": name if LOSS in kinds else "non-saturating",
        "components": "\n".join(
            f"| `{name}` | {kind.word} | `{files.get(kind, f'{module}/{kind.word}.py')}` |"
            for kind in kinds
        ),
        "commands": "\n".join(_example_commands(name, kinds)),
    }
    templates = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        ".gitignore": "gitignore",
        "tests/test_conformance.py": "test_conformance.py",
        f"{module}/__init__.py": "__init__.py",
        **{f"{module}/{kind.word}.py": f"{kind.word}.py" for kind in kinds if kind in OBJECTS},
    }
    return {path: _template(template).substitute(values) for path, template in templates.items()}


def _refuse_taken(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists already; choose another --out")


def write_files(
    folder: Path, contents: dict[str, str], add: Callable[[Path], None] = lambda folder: None
) -> None:
    """Write files into a new or empty folder, all of them or none.

    Args:
        folder: The folder.
        contents: Texts by their paths in it.
        add: Writes what is no text into the folder.

    Raises:
        InputError: the folder exists and is not empty.
    """
    _refuse_taken(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        for name, text in contents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with name_file(path):
                path.write_text(text, encoding="utf-8")
        add(folder)
    except BaseException:
        for path in made[-1:] or list(folder.iterdir()):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.exists():
                path.unlink()
        raise


def _find_kind(word: str) -> Kind:
    known = {kind.word: kind for kind in CHOICES}
    if word not in known:
        hint = did_you_mean(word, known) or f"; known: {', '.join(known)}"
        raise InputError(f"there is no template for the kind '{word}'{hint}")
    return known[word]


def _check_name(name: str, kinds: list[Kind]) -> str:
    """Return the component's name, without a leading ``ganzoo-``.

    Raises:
        InputError: it is not a valid name for a package, or it is taken.
    """
    bare = name.removeprefix("ganzoo-")
    if not re.fullmatch("[a-z][a-z0-9]*(-[a-z0-9]+)*", bare):
        near = re.sub("[^a-z0-9]+", "-", bare.lower()).strip("-0123456789") or "my-loss"
        raise InputError(
            f"'{name}' cannot be a package's name: use lower-case letters, digits and single "
            f"hyphens, beginning with a letter, such as {near}"
        )
    module = _name_module(bare)
    if importlib.util.find_spec(module):
        raise InputError(f"a package {module} is installed already; choose another name")
    for kind in kinds:
        owners = {entry.package for entry in registry.find_all(kind, bare)}
        if kind == COMMAND and bare in _own_commands():
            owners.add("ganzoo")
        if owners:
            whose = _join_words(sorted(owners))
            raise InputError(
                f"there is another {kind.word} '{bare}', of {whose}; choose another name"
            )
    return bare


def _name_module(name: str) -> str:
    return f"ganzoo_{name.replace('-', '_')}"


def _own_commands() -> set[str | None]:
    from ganzoo.cli.commands import app as own

    return {command.name for command in own.registered_commands}


def _example_commands(name: str, kinds: list[Kind]) -> list[str]:
    """Return example commands that use the components."""
    architecture = name if ARCHITECTURE in kinds else "mlp"
    data = f" --data {name}" if DATASET in kinds else ""
    chosen = "".join(f" --{kind.word} {name}" for kind in (LOSS, PENALTY, TRACKER) if kind in kinds)
    chosen += f" --set train.augment={name}" if AUGMENTATION in kinds else ""
    uses = [f"ganzoo show {name}"]
    if not set(kinds) <= {COMMAND, *FILE_KINDS}:
        uses.append(f"ganzoo train {architecture}{chosen}{data}")
    if EVALUATOR in kinds:
        uses.append(f"ganzoo eval --metric {name}")
    if COMMAND in kinds:
        uses.append(f"ganzoo {name} --help")
    if MODEL in kinds:
        uses.append(f"ganzoo sample {name}")
    if RECIPE in kinds:
        uses.append(f"ganzoo train --recipe {name}")
    return uses


def _join_words(words: list[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _template(name: str) -> Template:
    return Template(files(__package__).joinpath("templates", f"{name}.txt").read_text("utf-8"))
