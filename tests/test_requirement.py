"""What ganzoo is installed by: a name with a version, in every line that somebody may copy."""

import re
import shlex
from pathlib import Path

import pytest

import ganzoo
from ganzoo.cards.card import foreign_packages
from ganzoo.cli.plugins import find_missing_extra
from ganzoo.config import ComponentChoice
from ganzoo.registry import COMMAND, Entry
from ganzoo.requirement import build_requirement, install_command

ROOT = Path(__file__).parents[1]
SUFFIXES = {".py", ".md", ".toml", ".txt", ".jinja", ".yaml"}
PLACES = ("ganzoo", "plugins", "docs", "README.md", "tests/downstream")
NAMED = re.compile(r"(?<![\w./-])ganzoo(?:\[[\w,]+\])?(?:[<>=~!]=[^\s'\"`),;]*)?(?![\w/.-])")
"""The name of the package as pip takes it, with or without an extra and a version."""


def find_requirements(text):
    """Yield what text asks pip for: in a command, or as a dependency with a version."""
    for line in text.splitlines():
        before, *commands = line.split("pip install ")
        yield from (found[0] for found in NAMED.finditer(before) if "=" in found[0])
        for command in commands:
            arguments = re.split("&&|[;#`]", command)[0]
            yield from (found[0] for found in NAMED.finditer(arguments))


def is_right(requirement):
    extra = re.search(r"\[([\w,]+)\]", requirement)
    return requirement == build_requirement(extra[1] if extra else None)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("pip install ganzoo", ["ganzoo"]),
        ("needs `pip install 'ganzoo[demo]'`", ["ganzoo[demo]"]),
        ("pip install 'ganzoo>=0.1' acme", ["ganzoo>=0.1"]),
        ('dependencies = ["ganzoo==0.1.0"]', ["ganzoo==0.1.0"]),
        ("pip install ganzoo-shapes ./ganzoo ganzoo.whl", []),
        ("pip install -q . && ganzoo train dcgan", []),
        ("`pip install 'ganzoo[mp4]'`, `pip install ganzoo`", ["ganzoo[mp4]", "ganzoo"]),
        ("import ganzoo  # as ganzoo[demo]", []),
    ],
)
def test_requirements_are_found(line, found):
    assert list(find_requirements(line)) == found
    assert [is_right(each) for each in found] == [each.endswith(">=0.1") for each in found]


def test_no_line_names_ganzoo_by_another_requirement():
    files = [ROOT / place for place in PLACES if (ROOT / place).is_file()]
    files += [file for place in PLACES for file in (ROOT / place).rglob("*.*")]
    right, wrong = [], []
    for file in files:
        if file.suffix in SUFFIXES:
            for each in find_requirements(file.read_text("utf-8")):
                (right if is_right(each) else wrong).append((file.relative_to(ROOT), each))
    assert wrong == []
    assert {"README.md", "docs/plugins/converters.md"} <= {path.as_posix() for path, _ in right}


def test_the_requirement_is_of_the_installed_version():
    version = ganzoo.__version__
    major, minor = version.split(".")[:2]
    assert build_requirement() == f"ganzoo>={major}.{minor}"
    assert build_requirement("demo") == f"ganzoo[demo]>={major}.{minor}"


def test_the_command_is_quoted_for_a_shell():
    command = install_command("demo", ["zoo-of-ada"])
    assert shlex.split(command) == ["pip", "install", build_requirement("demo"), "zoo-of-ada"]
    assert "'" in command


def test_an_extra_that_a_command_needs_is_named_with_the_version(monkeypatch):
    needs = ["no-such-package-anywhere>=1; extra == 'demo'"]
    monkeypatch.setattr("importlib.metadata.requires", lambda package: needs)
    for package, wanted in (("ganzoo", build_requirement("demo")), ("acme", "acme[demo]")):
        assert find_missing_extra(Entry(COMMAND, "demo", package, "1.0", "x:y")) == wanted


def test_ganzoo_is_no_foreign_package():
    own, other = (
        ComponentChoice(name="x", package=package, version="1.0", options={})
        for package in ("ganzoo", "acme")
    )
    assert foreign_packages([own, other]) == [("acme", "1.0")]
