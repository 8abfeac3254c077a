"""Type annotations: checkers are content with a program of a user's, and with ganzoo itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ganzoo_zoo.apps.new_plugin import OBJECTS

ROOT = Path(__file__).parents[1]
PROGRAMS = ROOT / "tests" / "typed"
PACKAGE = ROOT / "tests" / "downstream" / "ganzoo-shapes" / "ganzoo_shapes"
SOURCES = [ROOT / "ganzoo", ROOT / "plugins" / "ganzoo_zoo"]
TEMPLATES = ROOT / "plugins" / "ganzoo_zoo" / "apps" / "new_plugin" / "templates"
SNIPPETS = [*TEMPLATES.glob("*.txt"), *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """What mypy knows of other packages, for several runs."""
    return tmp_path_factory.mktemp("mypy")


def python(*command, cwd):
    command = [sys.executable, "-m", *map(str, command)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "program", [*sorted(PROGRAMS.glob("*.py")), PACKAGE], ids=lambda path: path.stem
)
def test_mypy_understands_the_public_api(program, cache, tmp_path):
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = True\n")
    done = python("mypy", "--cache-dir", cache, program, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_code_of_a_new_plugin_satisfies_a_strict_checker(cache, tmp_path):
    kinds = [part for kind in OBJECTS for part in ("--kind", kind.word)]
    done = python("ganzoo", "new-plugin", "every", *kinds, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "ganzoo-every" / "mypy.ini").write_text("[mypy]\nstrict = True\n")
    done = python("mypy", "--cache-dir", cache, ".", cwd=tmp_path / "ganzoo-every")
    assert done.returncode == 0, done.stdout + done.stderr


def test_pyright_understands_the_public_api(tmp_path):
    started = python("pyright", "--version", cwd=tmp_path)
    if started.returncode:  # it fetches its program from npm when it is first used
        words = (started.stderr or started.stdout).strip().splitlines() or ["no message"]
        pytest.skip(f"pyright does not start here: {words[-1]}")
    program = PROGRAMS / "program.py"
    done = python("pyright", "--pythonpath", sys.executable, program, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_finds_no_error_in_ganzoo(tmp_path):
    # With a cache of its own: what other options left in one can change what mypy infers.
    done = python("mypy", "--cache-dir", tmp_path / "cache", *SOURCES, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


# Fields --------------------------------------------------------------------------------------


def positional(code: str) -> list[int]:
    """List the lines of ``Field(...)`` calls whose default is positional."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Field") and node.args
    ]


def test_no_field_has_a_positional_default():
    # Pyright takes such a field for one that must be given.
    assert positional("x: int = Field(3, gt=0)\ny: int = pydantic.Field(default=3)") == [1]
    files = [file for source in SOURCES for file in sorted(source.rglob("*.py"))]
    assert [file for file in files if positional(file.read_text("utf-8"))] == []
    found = [
        f"{file.name}: {match[0]}"
        for file in SNIPPETS
        for match in re.finditer(r"\bField\((?!\s*(\w+=|\))).*", file.read_text("utf-8"))
    ]
    assert found == []
