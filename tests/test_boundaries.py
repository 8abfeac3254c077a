"""What may know what: the core names no component, and plugins use public names alone."""

import ast
import graphlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganzoo.registry import FILE_KINDS, FUNCTION

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "ganzoo").rglob("*.py"))
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/__init__.py"))
SHIPPED = [*CORE, *(file for plugin in PLUGINS for file in sorted(plugin.rglob("*.py")))]
STRANGERS = sorted((ROOT / "tests" / "downstream").rglob("*.py"))
ENTRY_POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
FILES = {kind.group for kind in FILE_KINDS}
FUNCTIONS = ENTRY_POINTS.pop(FUNCTION.group)
COMPONENTS = {group: points for group, points in ENTRY_POINTS.items() if group not in FILES}

ALLOWED = {("resolve.py", "folder")}
"""A path that is given as data is read by the dataset called as the path's suffix, and a folder,
which has none, by the one called ``folder``: a rule about paths that any package may serve."""

SHOWN = ("__init__.py", "ganzoo_zoo.functions")
"""What the box adds to ``import ganzoo`` by entry points. They say nothing to a type checker, which
is therefore shown the list of the box."""

WORDS = {"data", "report", "watch", "demo"}
"""Commands in the box are called by words that the core needs: what ``--data`` stands for, and what
the end of a training offers where it is installed."""

ROOMS = [
    *(
        "__main__",
        "cli",
        "testing",
        "__init__",
        "api",
        "display",
        "training",
        "evaluation",
        "publishing",
    ),
    *(
        "models",
        "nn",
        "cards",
        "runs",
        "recipes",
        "resolve",
        "config",
        "protocols",
        "media",
        "compute",
    ),
    *("registry", "requirement", "component", "storage", "distributed", "signals", "progress"),
    *("arguments", "errors"),
]
"""Packages and files of the core, from the top down; each may import those after it."""

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


def without_checking(tree: ast.Module) -> ast.Module:
    """Return a module without what type checkers alone read."""
    kept = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    return ast.Module(kept, tree.type_ignores)


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
        # Pillow guesses otherwise, and runs an external program for one of its formats.
        if called.endswith("Image.open") and "formats" not in given:
            found.append(called)
        if "allow_pickle" in given:
            found.append(f"{called} with allow_pickle")
    return found


SNIPPET = """
'fid'
import ganzoo_zoo.families.dcgan.nets as nets
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
    assert ("ganzoo_zoo.families.dcgan.nets", "") in imported(tree)
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
        "Image.open(path)",
        "PIL.Image.open(path, 'r')",
    ):
        assert len(unsafe(ast.parse(code))) == 1, code
    assert unsafe(ast.parse("torch.load(f, weights_only=True)")) == []
    assert unsafe(ast.parse("Image.open(f, formats=['PNG'])")) == []


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_core_imports_no_plugin_and_names_no_component(path):
    tree = parsed(path)
    plugins = [module for module, _ in imported(tree) if module.startswith("ganzoo_")]
    if path.parent.name == "ganzoo" and path.name == SHOWN[0]:
        assert plugins == [SHOWN[1]]
        assert SHOWN[1] not in [module for module, _ in imported(without_checking(tree))]
        plugins = []
    assert plugins == []
    names = {name for points in ENTRY_POINTS.values() for name in points}
    modules = {
        target.partition(":")[0] for points in ENTRY_POINTS.values() for target in points.values()
    }
    assert {"dcgan", "wgan-gp", "digits", "folder", "fid", "digits-cnn"} <= names
    found = {text for text in literals(tree) if text in (names - WORDS) | modules}
    assert {(path.name, text) for text in found} <= ALLOWED


def test_what_is_allowed_is_still_there():
    (place,) = [path for path in CORE if path.name == "resolve.py"]
    assert "folder" in set(literals(parsed(place)))


def unit(module: str) -> str:
    """Return the part of the box that a module is of: a component, an application or the data."""
    parts = module.split(".")
    return ".".join(parts[: 2 if parts[1:2] == ["data"] else 3])


def may_import(module: str, other: str, components: set[str]) -> bool:
    """Tell whether a module of the box may import another.

    A unit imports itself and what its room shares, which is what no entry point leads to.
    Applications import components too; components never import applications.

    Args:
        module: The importing module.
        other: The imported one.
        components: Units that entry points lead to.
    """
    (package, room, *_), (other_package, other_room, *_) = (
        f"{each}.".split(".") for each in (module, other)
    )
    if package != other_package:
        return False
    if room == other_room:
        return unit(module) == unit(other) or unit(other) not in components
    return room == "apps"


def test_the_rule_on_imports_keeps_units_apart():
    components = {"a.losses.one", "a.losses.two", "a.data", "a.apps.first", "a.apps.second"}
    for module, other, allowed in (
        ("a.losses.one", "a.losses.one", True),
        ("a.losses.one", "a.losses.two", False),
        ("a.losses.one", "a.losses.helper", True),
        ("a.losses.one", "a.data.files", False),
        ("a.losses.one", "a.apps.shared", False),
        ("a.data.files", "a.data.index", True),
        ("a.data.files", "a.losses.helper", False),
        ("a.apps.first.page", "a.apps.first", True),
        ("a.apps.first.page", "a.apps.second", False),
        ("a.apps.first.page", "a.apps.shared.page", True),
        ("a.apps.first.page", "a.data.files", True),
        ("a.apps.first.page", "b", False),
    ):
        assert may_import(module, other, components) is allowed, (module, other)


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_a_plugin_imports_no_other_and_only_what_is_public(plugin):
    files = sorted(plugin.rglob("*.py"))
    assert files
    components = {
        unit(target.partition(":")[0])
        for points in ENTRY_POINTS.values()
        for target in points.values()
    }
    for path in files:
        tree = parsed(path)
        own = ".".join(path.relative_to(plugin.parent).with_suffix("").parts)
        if own == SHOWN[1]:  # which lists functions of all applications
            continue
        others = {f"{module}.{name}" for module, name in imported(tree)}
        assert [
            other
            for other in sorted(others)
            if other.startswith("ganzoo_") and not may_import(own, other, components)
        ] == [], path
        assert private(tree) == [], path


def test_a_strangers_package_needs_only_what_is_public():
    assert STRANGERS
    assert [name for path in STRANGERS for name in private(parsed(path))] == []


def test_every_entry_point_lies_in_a_plugin_that_is_shipped():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shipped = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert shipped == {"ganzoo", *(f"plugins/{plugin.name}" for plugin in PLUGINS)}
    for points in (*ENTRY_POINTS.values(), FUNCTIONS):
        for target in points.values():
            assert f"plugins/{target.partition(':')[0].split('.')[0]}" in shipped


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_can_run_code_that_lies_in_data(path):
    assert unsafe(parsed(path)) == []


def import_graph(package: Path) -> dict[str, set[str]]:
    """Return the modules that each module of a package imports from it, for types too."""
    files = {
        ".".join(path.relative_to(package.parent).with_suffix("").parts): path
        for path in package.rglob("*.py")
    }
    names = {name.removesuffix(".__init__"): name for name in files}
    return {
        name: {
            names.get(f"{module}.{part}", names.get(module, ""))
            for module, part in imported(parsed(path))
            if module in names
        }
        - {name}
        for name, path in files.items()
    }


def room(module: str) -> str:
    return module.split(".")[1]


def upward(graph: dict[str, set[str]], rooms: list[str]) -> list[str]:
    """List the imports that go to a room above."""
    return [
        f"{module} imports {other}"
        for module, others in sorted(graph.items())
        for other in sorted(others)
        if rooms.index(room(module)) > rooms.index(room(other))
    ]


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return modules that import each other in a circle, if there are any."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_the_search_for_imports_finds_those_that_go_up_and_those_in_circles(tmp_path):
    code = {
        "__init__": "if TYPE_CHECKING:\n    from house.attic.roof import x as x",
        "cellar": "def f():\n    import house.attic.roof\nimport os",
        "attic/__init__": "",
        "attic/roof": "from house import cellar\nfrom house.attic import floor, beam",
        "attic/floor": "from house.attic.roof import x\nfrom elsewhere import y",
        "attic/beam": "from house.attic.beam import x",
    }
    for name, text in code.items():
        (tmp_path / "house" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "house" / f"{name}.py").write_text(text)
    graph = import_graph(tmp_path / "house")
    assert graph == {
        "house.__init__": {"house.attic.roof"},
        "house.cellar": {"house.attic.roof"},
        "house.attic.__init__": set(),
        "house.attic.roof": {"house.cellar", "house.attic.floor", "house.attic.beam"},
        "house.attic.floor": {"house.attic.roof"},
        "house.attic.beam": set(),
    }
    assert upward(graph, ["__init__", "attic", "cellar"]) == [
        "house.cellar imports house.attic.roof"
    ]
    assert len(upward(graph, ["cellar", "attic", "__init__"])) == 2
    assert {"house.attic.roof"} < set(circle(graph))
    graph["house.attic.floor"] = graph["house.cellar"] = set()
    assert circle(graph) == []


def test_no_import_of_the_core_goes_up():
    graph = import_graph(ROOT / "ganzoo")
    assert {room(module) for module in graph} == set(ROOMS)
    assert sum(map(len, graph.values())) > 300
    assert upward(graph, ROOMS) == []


@pytest.mark.parametrize("package", [ROOT / "ganzoo", *PLUGINS], ids=lambda path: path.name)
def test_no_files_import_each_other_in_a_circle(package):
    assert circle(import_graph(package)) == []


def test_the_tree_shows_the_rooms():
    shown = [path for path in (ROOT / "ganzoo").iterdir() if path.name != "__pycache__"]
    assert len([path for path in shown if path.is_file()]) <= 14
    assert [path.name for path in PLUGINS] == ["ganzoo_zoo"]
    others = {path.name for path in (ROOT / "plugins").iterdir()} - {"__pycache__"}
    assert others == {"ganzoo_zoo"}


HEAVY = [
    *("torch", "torchvision", "torch_fidelity", "numpy", "PIL", "huggingface_hub"),
    *("safetensors", "gradio"),
]
SLOW = [
    *("torchvision", "torch._dynamo", "torch_fidelity", "matplotlib", "huggingface_hub"),
    "gradio",
]
"""What takes as long to import as torch, or is for one purpose alone.

Who makes an optimiser is found out too: the first one of a process imports torch._dynamo.
"""

IMPORTED = """
import contextlib, io, json, os, sys
from ganzoo.cli import main

found = {}
wanted = int(sys.argv[1])
for arguments in json.loads(sys.argv[2]):
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            assert main(arguments) == wanted
        except SystemExit as done:  # a completion ends its process
            assert not done.code
    assert wanted or printed.getvalue()
    found[" ".join(arguments)] = sorted(sys.modules)
print(json.dumps(found))
"""


def modules_after(folder, *commands, code=0, **environment):
    """Run commands in one fresh process, and return what it had imported after each."""
    done = subprocess.run(
        [
            *(sys.executable, "-c", IMPORTED, str(code)),
            json.dumps([command.split() for command in commands]),
        ],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return {command: set(modules) for command, modules in json.loads(done.stdout).items()}


def test_help_and_list_import_nothing_heavy_and_no_component(tmp_path):
    listed = ["list", "list losses --json", "list models", "list recipes --json"]
    found = modules_after(tmp_path, "--help", "--version", *listed)
    components = {
        target.partition(":")[0].split(".")[0]
        for points in ENTRY_POINTS.values()
        for target in points.values()
    }
    for command, modules in found.items():
        assert "ganzoo.registry" in modules
        assert modules & {*HEAVY, *components} == set(), command
    assert "pydantic" not in found["--help"]


def test_help_of_a_command_and_what_it_is_import_nothing_heavy(tmp_path):
    words = ["train", "sample", "eval", "publish", *ENTRY_POINTS["ganzoo.commands"]]
    shown = [f"show {name}" for name in ENTRY_POINTS["ganzoo.commands"]]
    found = modules_after(tmp_path, *(f"{word} --help" for word in words), *shown)
    assert len(found) == len(words) + len(shown)
    for command, modules in found.items():
        assert modules & set(HEAVY) == set(), command


@pytest.mark.parametrize(
    "words", ["", "show d", "train m", "train mlp --loss ", "train --recipe ", "bench d"]
)
def test_completion_imports_nothing_heavy(tmp_path, words):
    typed = f"ganzoo {words}"
    place = len(typed.split()) - (not typed.endswith(" "))
    found = modules_after(
        tmp_path,
        "",
        _GANZOO_COMPLETE="complete_bash",
        COMP_WORDS=typed,
        COMP_CWORD=str(place),
    )
    assert found[""] & set(HEAVY) == set()


def test_what_a_component_is_needs_nothing_heavy(tmp_path):
    # Models are loaded to be shown, and a recipe may have the name of one.
    names = {name for points in ENTRY_POINTS.values() for name in points}
    names -= ENTRY_POINTS["ganzoo.models"].keys()
    found = modules_after(tmp_path, *(f"show {name}" for name in sorted(names)))
    assert len(found) == len(names) > 50
    for command, modules in found.items():
        assert modules & set(HEAVY) == set(), command
    loaded = found[max(found)]
    for points in COMPONENTS.values():
        for target in points.values():
            assert target.partition(":")[0] in loaded


def test_what_is_asked_of_a_training_is_checked_before_anything_heavy(tmp_path):
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "file").touch()
    found = modules_after(
        tmp_path,
        "train dcgan --loss wgan-gp --set loss.gp_weight=0.5x",
        "train mlp --data ring --tracker tensorbord",
        "train mlp --data nowhere.zip --dry-run",
        "train mlp --lr 0.1",
        "train mlp --out taken",
        "train mlp --out taken --dry-run",
        "train --init user/name --out taken",
        code=2,
    )
    for command, modules in found.items():
        assert modules & set(HEAVY) == set(), command


@pytest.mark.parametrize(
    "command",
    [
        "sample tiny --out there.png",
        "sample tiny --walk 0,1 --out there.gif",
        "sample tiny --mix 0 --out there.png",
        "project tiny sample:0 --out there.png",
        "directions tiny --out there.png",
        "export tiny --out there.pt2",
        "report tiny --out there.html",
        "report tiny --movie there.gif",
        "data check digits --out there.png",
        "sweep mlp --out tiny",
        "new-plugin tiny --out tiny",
    ],
)
def test_what_is_there_is_said_before_anything_heavy(tmp_path, tiny_run, command):
    shutil.copytree(tiny_run.path, tmp_path / "tiny")
    for suffix in ("png", "gif", "pt2", "html"):
        (tmp_path / f"there.{suffix}").touch()
    (modules,) = modules_after(tmp_path, command, code=2).values()
    assert modules & set(HEAVY) == set()
    assert "ganzoo.cli" in modules


def test_scores_are_compared_without_anything_heavy(tmp_path, tiny_run):
    import ganzoo

    run = shutil.copytree(tiny_run.path, tmp_path / "run")
    ganzoo.evaluate(run, ["modes"], samples=50)
    (modules,) = modules_after(tmp_path, "compare run run").values()
    assert modules & set(HEAVY) == set()


def test_sampling_and_a_rehearsed_publication_import_no_more_than_they_use(tmp_path, tiny_run):
    model = str(tiny_run.model)
    found = modules_after(
        tmp_path,
        f"show {model}",
        f"sample {model} -n 4",
        f"sample {model} -n 4 --truncation 0.5 --out single",
        f"publish {model} a/b --dry-run",
    )
    for command, modules in found.items():
        assert "torch" in modules
        # A publication draws the losses, and has the Hub's client write what scores there are.
        used = {"matplotlib", "huggingface_hub"} if command.startswith("publish") else set()
        assert modules & set(SLOW) <= used, command
