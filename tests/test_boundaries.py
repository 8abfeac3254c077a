"""What may know what: the core names no component, and plugins use public names alone."""

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "ganzoo").rglob("*.py"))
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/__init__.py"))
SHIPPED = [*CORE, *(file for plugin in PLUGINS for file in sorted(plugin.rglob("*.py")))]
STRANGERS = sorted((ROOT / "tests" / "downstream").rglob("*.py"))
ENTRY_POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]

ALLOWED = {("config.py", "folder")}
"""A path that is given as data is read by the dataset called as the path's suffix, and a folder,
which has none, by the one called ``folder``: a rule about paths that any package may serve."""

WORDS = {"data"}
"""A command in the box is called by a word that the core needs: what ``--data`` stands for."""

UNSAFE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
"""Modules that run code in the data that they read."""


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield each imported module, with the name that is taken from it, or nothing."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from ((node.module or "", alias.name) for alias in node.names)


def literals(tree: ast.AST) -> Iterator[str]:
    """Yield each string that code may act on: all but docstrings, of values too."""
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def private(tree: ast.AST) -> list[str]:
    """List the names of ganzoo that are taken and begin with an underscore."""
    return [
        f"{module}.{name}"
        for module, name in imported(tree)
        for part in [*module.split("."), name]
        if module.split(".")[0] == "ganzoo" and part.startswith("_") and part != "__version__"
    ]


def unsafe(tree: ast.AST) -> list[str]:
    """List what could run code that lies in data."""
    found = [module for module, _ in imported(tree) if module.split(".")[0] in UNSAFE]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called, given = ast.unparse(node.func), {word.arg: word.value for word in node.keywords}
        if called in ("eval", "exec", "torch.jit.load", "torch.hub.load", "torch.package.load"):
            found.append(called)
        safe = given.get("weights_only")
        if called == "torch.load" and not (isinstance(safe, ast.Constant) and safe.value is True):
            found.append(called)
        if "allow_pickle" in given:
            found.append(f"{called} with allow_pickle")
    return found


SNIPPET = """
'fid'
import ganzoo_dcgan.nets as nets
from ganzoo.x import _y
from ganzoo._z import w
from torch import load
x = "dcgan"
'mlp'
y = f"a{x}ring"
def f():
    'hinge'
"""


def test_the_tools_of_these_tests_find_what_they_look_for():
    tree = ast.parse(SNIPPET)
    assert ("ganzoo_dcgan.nets", "") in imported(tree)
    assert ("ganzoo.x", "_y") in imported(tree)
    assert sorted(literals(tree)) == ["a", "dcgan", "ring"]
    assert private(tree) == ["ganzoo.x._y", "ganzoo._z.w"]
    assert unsafe(tree) == []
    for code in (
        "import pickle",
        "from marshal import loads",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "torch.load(f, weights_only=x)",
        "numpy.load(f, allow_pickle=True)",
        "eval(text)",
    ):
        assert len(unsafe(ast.parse(code))) == 1, code
    assert unsafe(ast.parse("torch.load(f, weights_only=True)")) == []


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_core_imports_no_plugin_and_names_no_component(path):
    tree = parsed(path)
    assert [module for module, _ in imported(tree) if module.startswith("ganzoo_")] == []
    names = {name for points in ENTRY_POINTS.values() for name in points}
    modules = {
        target.partition(":")[0] for points in ENTRY_POINTS.values() for target in points.values()
    }
    assert {"dcgan", "wgan-gp", "digits", "folder", "fid", "digits-cnn"} <= names
    found = {text for text in literals(tree) if text in (names - WORDS) | modules}
    assert {(path.name, text) for text in found} <= ALLOWED


def test_what_is_allowed_is_still_there():
    (place,) = [path for path in CORE if path.name == "config.py"]
    assert "folder" in set(literals(parsed(place)))


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_a_plugin_imports_no_other_and_only_what_is_public(plugin):
    files = sorted(plugin.rglob("*.py"))
    assert files
    for path in files:
        tree = parsed(path)
        others = {
            module
            for module, _ in imported(tree)
            if module.startswith("ganzoo_") and module.split(".")[0] != plugin.name
        }
        assert others == set(), path
        assert private(tree) == [], path


def test_a_strangers_package_needs_only_what_is_public():
    assert STRANGERS
    assert [name for path in STRANGERS for name in private(parsed(path))] == []


def test_every_entry_point_lies_in_a_plugin_that_is_shipped():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shipped = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert shipped == {"ganzoo", *(f"plugins/{plugin.name}" for plugin in PLUGINS)}
    for points in ENTRY_POINTS.values():
        for target in points.values():
            assert f"plugins/{target.partition(':')[0].split('.')[0]}" in shipped


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_can_run_code_that_lies_in_data(path):
    assert unsafe(parsed(path)) == []


HEAVY = ["torch", "torchvision", "torch_fidelity", "numpy", "PIL", "huggingface_hub", "safetensors"]


def test_help_and_list_import_nothing_heavy_and_no_component(tmp_path):
    code = """
import contextlib, io, json, sys
from ganzoo.cli import main

found = {}
for arguments in (["--help"], ["--version"], ["list"], ["list", "losses", "--json"]):
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(arguments) == 0
    assert printed.getvalue()
    found[" ".join(arguments)] = sorted(sys.modules)
print(json.dumps(found))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    found = {command: set(modules) for command, modules in json.loads(done.stdout).items()}
    components = {
        target.partition(":")[0].split(".")[0]
        for points in ENTRY_POINTS.values()
        for target in points.values()
    }
    for command, modules in found.items():
        assert "ganzoo.registry" in modules
        assert modules & {*HEAVY, *components} == set(), command
    assert "pydantic" not in found["--help"]
