"""Write a package with components of your own, ready to install.

The package works as it is, passes the conformance checks and type checkers, and explains the
protocols in comments.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from ganzoo import registry
from ganzoo.cli.help import list_examples
from ganzoo.errors import InputError, did_you_mean
from ganzoo.registry import (
    ARCHITECTURE,
    AUGMENTATION,
    COMMAND,
    DATASET,
    EVALUATOR,
    LOSS,
    PENALTY,
    TRACKER,
    Kind,
)
from ganzoo.requirement import build_requirement
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
"""The kinds to choose from, and the name that each template defines."""
DEFAULT = (LOSS, ARCHITECTURE)

app = typer.Typer(rich_markup_mode=None)
EXAMPLES = list_examples(
    ("A package with a loss and an architecture.", "new-plugin mine"),
    ("One with a dataset alone.", "new-plugin mine --kind dataset"),
)


def _complete_kinds(incomplete: str) -> list[str]:
    return [kind.word for kind in OBJECTS if kind.word.startswith(incomplete)]


@app.command(epilog=EXAMPLES)
def new_plugin(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the component, such as my-loss.")
    ],
    kind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help=f"{', '.join(kind.word for kind in OBJECTS)}; repeatable; "
            f"by default {' and '.join(kind.word for kind in DEFAULT)}.",
            autocompletion=_complete_kinds,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The package's folder; by default ganzoo-NAME."),
    ] = None,
) -> None:
    """Write a package with components of your own, ready to install."""
    kinds = [_find_kind(word) for word in dict.fromkeys(kind)] if kind else list(DEFAULT)
    name = _check_name(name, kinds)
    folder = (out or Path(f"ganzoo-{name}")).expanduser()
    write_files(folder, package_files(name, kinds))
    print(folder)
    install = shlex.join(["pip", "install", "-e", f"{folder}[test]"])
    commands = [install, shlex.join(["pytest", str(folder)]), *_example_commands(name, kinds)]
    typer.echo("\n".join(["next:", *(f"  {command}" for command in commands)]), err=True)


def package_files(name: str, kinds: list[Kind]) -> dict[str, str]:
    """Return the texts of a package's files by their paths in its folder."""
    module = f"ganzoo_{name.replace('-', '_')}"
    points = [
        f'[project.entry-points."{kind.group}"]\n{name} = "{module}.{kind.word}:{OBJECTS[kind]}"'
        for kind in kinds
    ]
    values = {
        "name": name,
        "distribution": f"ganzoo-{name}",
        "module": module,
        "kinds": _join_words([kind.word for kind in kinds]),
        "requirement": build_requirement(),
        "entry_points": "\n\n".join(points),
        "default_loss": name if LOSS in kinds else "non-saturating",
        "components": "\n".join(
            f"| `{name}` | {kind.word} | `{module}/{kind.word}.py` |" for kind in kinds
        ),
        "commands": "\n".join(_example_commands(name, kinds)),
    }
    templates = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        ".gitignore": "gitignore",
        "tests/test_conformance.py": "test_conformance.py",
        f"{module}/__init__.py": "__init__.py",
        **{f"{module}/{kind.word}.py": f"{kind.word}.py" for kind in kinds},
    }
    return {path: _template(template).substitute(values) for path, template in templates.items()}


def write_files(folder: Path, contents: dict[str, str]) -> None:
    """Write files into a new or empty folder, all of them or none.

    Raises:
        InputError: the folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists already; choose another --out")
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        for name, text in contents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with name_file(path):
                path.write_text(text, encoding="utf-8")
    except BaseException:
        for path in made[-1:] or list(folder.iterdir()):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.exists():
                path.unlink()
        raise


def _find_kind(word: str) -> Kind:
    known = {kind.word: kind for kind in OBJECTS}
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
    module = f"ganzoo_{bare.replace('-', '_')}"
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
    if kinds != [COMMAND]:
        uses.append(f"ganzoo train {architecture}{chosen}{data}")
    if EVALUATOR in kinds:
        uses.append(f"ganzoo eval --metric {name}")
    if COMMAND in kinds:
        uses.append(f"ganzoo {name} --help")
    return uses


def _join_words(words: list[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _template(name: str) -> Template:
    return Template(files(__package__).joinpath("templates", f"{name}.txt").read_text("utf-8"))
