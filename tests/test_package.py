"""What the package says of itself: its dependencies, its classifiers and its long description."""

import ast
import functools
import re
import sys
import tomllib
from pathlib import Path

import pytest
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager

ROOT = Path(__file__).parents[1]
BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = BUILD["project"]
SHIPPED = [ROOT / path for path in BUILD["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]
FOR_DEVELOPERS = ("test", "dev")
"""Extras whose packages the tests and tools need."""
NAMES = {"PIL": "pillow", "yaml": "pyyaml", "sklearn": "scikit-learn"}
"""Packages whose module is called otherwise."""
NEEDED_BY = {"starlette": "fastapi", "onnxscript": "torch", "tensorboard": "torch"}
"""Packages that are declared for the sake of another one, which imports them."""


def imported(tree):
    """Yield the top modules that code imports when it runs, and not for type checkers alone."""
    if isinstance(tree, ast.Import):
        yield from (alias.name.partition(".")[0] for alias in tree.names)
    elif isinstance(tree, ast.ImportFrom):
        yield tree.module.partition(".")[0]
    for_checkers = isinstance(tree, ast.If) and ast.unparse(tree.test) == "TYPE_CHECKING"
    for node in tree.orelse if for_checkers else ast.iter_child_nodes(tree):
        if not isinstance(node, ast.expr):  # no expression holds an import
            yield from imported(node)


@functools.cache
def find_third_party():
    """Return the packages that the shipped code imports, by the names that pip takes."""
    files = [file for package in SHIPPED for file in package.rglob("*.py")]
    found = {name for file in files for name in imported(ast.parse(file.read_bytes()))}
    found -= {*sys.stdlib_module_names, *(package.name for package in SHIPPED)}
    return {NAMES.get(name, name.lower().replace("_", "-")) for name in found}


def named(requirements):
    return {re.match(r"[\w-]+", each)[0].lower() for each in requirements} - {PROJECT["name"]}


CORE = named(PROJECT["dependencies"])
EXTRAS = {name: named(needs) for name, needs in PROJECT["optional-dependencies"].items()}


def test_imports_are_found():
    code = "import a.b\nfrom c.d import e\nif TYPE_CHECKING:\n    import f\nelse:\n    import g\n"
    code += "def h():\n    import i\n    from j import k\n"
    assert sorted(imported(ast.parse(code))) == ["a", "c", "g", "i", "j"]


def test_every_package_that_is_imported_is_declared():
    found, declared = find_third_party(), CORE.union(*EXTRAS.values())
    assert found - declared == set()
    assert {"torch", "fastapi", "uvicorn", "packaging", "pillow", "pyyaml"} <= found


def test_what_is_declared_is_imported():
    found = find_third_party()
    optional = set().union(*(EXTRAS[name] for name in EXTRAS if name not in FOR_DEVELOPERS))
    assert (CORE | optional) - found == NEEDED_BY.keys()
    assert set(NEEDED_BY.values()) <= found


def test_every_dependency_has_a_lower_bound():
    unbound = [
        requirement
        for needs in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
        for requirement in needs
        if not requirement.startswith("ganzoo[") and ">=" not in requirement
    ]
    assert unbound == []


def test_classifiers_say_which_pythons_and_that_types_are_there():
    listed = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if ":: 3." in line]
    assert f">={listed[0]}" == PROJECT["requires-python"]
    assert [int(each.partition(".")[2]) for each in listed] == list(range(11, 11 + len(listed)))
    assert "Typing :: Typed" in PROJECT["classifiers"]
    assert all((package / "py.typed").is_file() for package in SHIPPED)


@pytest.fixture(scope="module")
def description():
    metadata = ProjectMetadata(str(ROOT), PluginManager()).core
    assert metadata.readme_content_type == "text/markdown"
    return metadata.readme


def test_the_long_description_leads_to_no_file_beside_it(description):
    links = re.findall(r"\]\(([^)]*)\)", description)
    assert links
    assert all(link.startswith("https://") for link in links)
    assert "64 generated handwritten digits (`docs/images/digits-dcgan-wgan-gp.png`)" in description
    assert "Start with the ten-minute tutorial." in description
    assert "under `docs/` in the source distribution" in description


def test_the_long_description_is_readme_otherwise(description):
    readme = (ROOT / "README.md").read_text()
    code = re.compile(r"```.*?```", re.DOTALL)
    assert code.findall(description) == code.findall(readme)
    assert len(code.findall(readme)) > 4
    heading = re.compile("^#+ .*", re.MULTILINE)
    assert heading.findall(description) == heading.findall(readme)


def test_readme_says_how_to_get_a_torch_without_cuda():
    text = (ROOT / "README.md").read_text()
    # With torch alone, pip would exchange it for the CUDA build that the newest torchvision wants.
    command = "pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu"
    assert re.search(r"[\d.]+ GB on the disk.*[\d.]+ GB", text, re.DOTALL)
    assert command in text
