"""Public names: the page that lists them is complete, and components in the box use no others."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import ganzoo
from ganzoo import registry

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "plugins" / "public.md"
BOX = ROOT / "plugins" / "ganzoo_zoo"
COMPONENTS = ("families", "losses", "penalties", "augmentations", "data", "metrics", "trackers")
FILES = [
    *(file for room in COMPONENTS for file in sorted((BOX / room).rglob("*.py"))),
    *sorted((ROOT / "tests" / "downstream").rglob("*.py")),
    ROOT / "tests" / "typed" / "program.py",
]
TEMPLATES = sorted((BOX / "apps" / "new_plugin" / "templates").glob("*.py.txt"))
WHOLE = ("ganzoo", "ganzoo.errors", "ganzoo.testing", "ganzoo.nn")
"""Modules of which every name is public."""


def listed(page: str) -> dict[str, list[str]]:
    """Read the names by module from the table of the page."""
    found: dict[str, list[str]] = {}
    for module, names in re.findall(r"^\| `(ganzoo[\w.]*)` \| (.*?) \|", page, re.MULTILINE):
        found.setdefault(module, []).extend(re.findall(r"`(\w+)`", names))
    return found


PUBLIC = listed(PAGE.read_text("utf-8"))
FUNCTIONS = {entry.name for entry in registry.entries(registry.FUNCTION)}
"""Functions that the box adds to ``ganzoo``."""


def is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # what it would be a part of is no package
        return False


def taken(code: str) -> Iterator[tuple[str, str]]:
    """Yield each name of ganzoo that code uses, with the module that it is taken from."""
    tree = ast.parse(code)
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias for alias in node.names if alias.name.split(".")[0] == "ganzoo"]
            # A submodule by its whole name would escape the search for attributes.
            yield from ((alias.name, "") for alias in found if alias.name != "ganzoo")
            modules |= {alias.asname or "ganzoo": "ganzoo" for alias in found}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ganzoo":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if alias.name not in PUBLIC.get(node.module or "", []) and is_module(whole):
                    modules[alias.asname or alias.name] = whole
                else:
                    yield node.module or "", alias.name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in modules:
            yield modules[ast.unparse(node.value)], node.attr


def internal(code: str) -> list[str]:
    """List the names that code uses and that are not public."""
    return [
        f"{module}.{name}"
        for module, name in taken(code)
        if name not in PUBLIC.get(module, ()) and (module != "ganzoo" or name not in FUNCTIONS)
    ]


def own_names(module: ModuleType) -> set[str]:
    """Return all names that a module offers: what it exports, or else what it defines."""
    if declared := getattr(module, "__all__", None):
        return set(declared)
    tree = source(module.__name__)
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assigned = [
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    exported = [
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    ]
    return {name for name in (*defined, *assigned, *exported) if not name.startswith("_")}


def described(tree: ast.Module) -> set[str]:
    """Return the names of a module that have a docstring, values too."""
    found = set()
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(after, ast.Expr):
            found.add(ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target))
    return found


def source(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(importlib.import_module(module)))


def home(module: str, name: str) -> str:
    """Return the module that defines a name which another one may only pass on."""
    for node in ast.walk(source(module)):
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            return home(node.module or "", name)
    return module


CODE = """
import ganzoo
import ganzoo.cli.train
from ganzoo import Loss, registry
from ganzoo.compute import memory as limits
from ganzoo.storage.files import sha256, flush
registry.get(registry.LOSS, "x")
registry.find_all()
limits.require(1, "x")
limits.keep_freed_memory()
ganzoo.train()
ganzoo.api
def f():
    from ganzoo.runs.folder import Run
"""


def test_the_tools_of_these_tests_find_what_they_look_for():
    assert sorted(internal(CODE)) == [
        "ganzoo.api",
        "ganzoo.cli.train.",
        "ganzoo.compute.memory.keep_freed_memory",
        "ganzoo.registry.find_all",
        "ganzoo.runs.folder.Run",
        "ganzoo.storage.files.flush",
    ]
    code = 'A = 1\n"Said."\nB = 2\nC: int = 3\n"Said."\ndef f():\n    "Said."\ndef g(): pass'
    assert described(ast.parse(code)) == {"A", "C", "f"}
    assert home("ganzoo", "loss_checks") == "ganzoo"
    assert home("ganzoo.testing", "loss_checks") == "ganzoo.testing.loss"
    assert listed("| `ganzoo.x` | `a`, `b` | `c` |\n| `ganzoo.x` | `d` | e |") == {
        "ganzoo.x": ["a", "b", "d"]
    }


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_there_and_has_a_docstring(module):
    names = PUBLIC[module]
    assert len(set(names)) == len(names)
    for name in names:
        value = getattr(importlib.import_module(module), name)
        if name == "__version__" or isinstance(value, registry.Kind):
            continue  # its class has one
        assert name in described(source(home(module, name))), f"{module}.{name} has no docstring"


@pytest.mark.parametrize("module", WHOLE)
def test_modules_for_authors_have_no_other_names(module):
    assert own_names(importlib.import_module(module)) == set(PUBLIC[module])


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_components_use_public_names_alone(file):
    assert internal(file.read_text("utf-8")) == []


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda path: path.name)
def test_written_plugins_use_public_names_alone(file):
    assert internal(file.read_text("utf-8").replace("$", "")) == []


def test_the_names_of_ganzoo_are_the_same_for_checkers_and_at_run_time():
    tree = ast.parse((ROOT / "ganzoo" / "__init__.py").read_text("utf-8"))
    (checked,) = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    shown = {
        alias.name: node.module
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    assert shown == {name: f"ganzoo.{home}" for name, home in ganzoo._HOME_OF.items()}
    assert sorted([*shown, "__version__"]) == ganzoo.__all__
    for name, home in shown.items():
        assert getattr(ganzoo, name) is getattr(importlib.import_module(home), name)
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        _ = ganzoo.trian


def test_checkers_are_shown_the_functions_of_the_box():
    tree = ast.parse((BOX / "functions.py").read_text("utf-8"))
    shown = {
        alias.asname: f"{node.module}:{alias.name}"
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    box = {
        entry.name: entry.target
        for entry in registry.entries(registry.FUNCTION)
        if entry.package == "ganzoo"
    }
    assert shown == box
    assert {*ganzoo.__all__, *box} == set(dir(ganzoo))
    for name, target in box.items():
        assert f"{getattr(ganzoo, name).__module__}:{name}" == target
        assert name in described(source(target.partition(":")[0]))
