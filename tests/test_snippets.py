"""Every block of a page that somebody may copy is tried, or excused here with a reason.

Commands of ganzoo are tried in ``test_docs.py``, and the pages on plugins and the tutorial as a
whole there and in ``test_tutorial.py``.
"""

import ast
import importlib
import inspect
import json
import re
import textwrap
import tomllib
from functools import cached_property
from pathlib import Path

import pytest
import yaml

import ganzoo
from ganzoo.config import TrainKeywords
from pages import DOCS, ROOT, RUNNERS, blocks, snippets, typed

PAGES = [page.relative_to(ROOT).as_posix() for page in DOCS]
EXCUSED = {
    "cat": "shows files",
    "cd": "changes the folder",
    "echo": "prints a line",
    ".": "activates an environment",
    "wc": "counts lines",
    "sbatch": "the client of a cluster; test_search.py runs its script",
    "wandb": "another program, which needs an account",
    "mlflow": "another program, which shows a page",
    "trackio": "another program, which shows a page",
    "hf": "the client of the Hub, which has tests of its own",
    "uv": "another program, which needs a network",
    "pip-audit": "another program, which needs a network",
    "ruff": "another program, which the workflow runs",
    "sphinx-build": "tried in test_site.py",
}
"""Programs of other people that pages name, with the reason why their options are not tried."""
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def try_pip(words):
    """Try that an extra of ganzoo exists; a folder with a package may be the reader's own."""
    assert words[1] == "install"
    for target in words[2:]:
        extra = re.match(r"(?:ganzoo|\.)\[([\w,]+)\]", target)
        assert not extra or set(extra[1].split(",")) <= EXTRAS.keys(), target
        known = (
            r"-[qe]$|\.$|\.\[|ganzoo\b|torch(vision)?$|--index-url$|https://download\.pytorch\.org/"
        )
        assert re.match(known, target), target


def try_pytest(words):
    """Try that the files exist."""
    for word in words[1:]:
        assert not word.startswith("tests/") or (ROOT / word).exists(), word


def try_python(words):
    """Try that a script of this project exists, and knows the options."""
    if words[1] == "-m":
        assert words[2] in ("venv", "ganzoo", "build"), words
        return
    script = (ROOT / words[1]).read_text()
    for word in words[2:]:
        assert not word.startswith("--") or f'"{word}"' in script, words


TRIALS = {"pip": try_pip, "pytest": try_pytest, "python": try_python, "python3": try_python}


@pytest.mark.parametrize("page", PAGES)
def test_a_command_is_tried_or_excused(page):
    for words in typed(page):
        if words[0] in TRIALS:
            TRIALS[words[0]](words)
        elif words[0] in RUNNERS:
            assert "ganzoo" in words, words
        else:
            assert words[0] == "ganzoo" or words[0] in EXCUSED, words


def resolve(node):
    """Return what a call of ganzoo or of a model calls, or None for other calls."""
    if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
        return None
    if node.value.id == "ganzoo":
        return getattr(ganzoo, node.attr)
    return getattr(ganzoo.Model, node.attr) if node.value.id == "model" else None


def try_call(call):
    """Try that a call fits the signature of what it calls."""
    called = resolve(call.func)
    if called is None or any(isinstance(each, ast.Starred) for each in call.args):
        return
    given = {keyword.arg: None for keyword in call.keywords if keyword.arg}
    if inspect.isfunction(called) and called.__name__ == "train":
        own = inspect.signature(called).parameters
        assert {name for name in given if name not in own} <= TrainKeywords.__annotations__.keys()
    of_model = call.func.value.id == "model"
    if isinstance(called, cached_property):
        return  # of a network, which the architecture gives
    inspect.signature(called).bind(*[None] * (len(call.args) + of_model), **given)


def try_python_code(code):
    """Try that code can be read, and that what it takes of ganzoo is there."""
    for node in ast.walk(ast.parse(textwrap.dedent(code))):
        if isinstance(node, ast.ImportFrom) and re.match(r"ganzoo(_zoo)?\b", node.module):
            if node.module.split(".")[0] not in ("ganzoo", "ganzoo_zoo"):
                continue  # the package of a page
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name), alias.name
        elif isinstance(node, ast.Call):
            try_call(node)


READERS = {
    "python": try_python_code,
    "toml": tomllib.loads,
    "yaml": yaml.safe_load,
    "json": json.loads,
    # Commands are tried above; a text is what a program prints, or a tree of files.
    **dict.fromkeys(("console", "bash", "text"), str),
}


@pytest.mark.parametrize("page", PAGES)
def test_a_snippet_can_be_read(page):
    for language, code in snippets(page):
        READERS[language](code)


def test_a_snippet_that_does_not_hold_is_found():
    for code in (
        "from ganzoo import Lose",
        "import ganzoo\nganzoo.trian('dcgan')",
        "ganzoo.train('dcgan', stesp=3)",
        "ganzoo.load('a', 'b', 'c')",
        "model.sample(16, seeds=0)",
    ):
        with pytest.raises((AssertionError, AttributeError, TypeError)):
            try_python_code(code)
    try_python_code("run = ganzoo.train('dcgan', steps=3)\nmodel.sample(16, seed=0)")


SMALL = {"steps": 1, "batch_size": 8, "device": "cpu"}
SMALL_NETWORKS = {"arch.base_channels": 4, "arch.z_dim": 8, "data.image_size": 16}


@pytest.fixture
def small(monkeypatch):
    """Make every training a short one of small networks, and every model one of these."""
    train, load, evaluate = ganzoo.train, ganzoo.load, ganzoo.evaluate
    runs = []

    def train_shortly(*names, settings=None, **options):
        runs.append(
            train(*names, settings={**(settings or {}), **SMALL_NETWORKS}, **{**options, **SMALL})
        )
        return runs[-1]

    def load_small(model=None):
        if isinstance(model, str) and not runs:
            train_shortly("dcgan", settings={"arch.conditional": True})
        return load(runs[-1])

    def evaluate_few(*given, **options):
        return evaluate(*given, **options, samples=64, real_samples=64)

    monkeypatch.setattr(ganzoo, "train", train_shortly, raising=False)
    monkeypatch.setattr(ganzoo, "load", load_small, raising=False)
    monkeypatch.setattr(ganzoo, "evaluate", evaluate_few, raising=False)


RUN = ["README.md", *(f"docs/how-to/{name}.md" for name in ("train", "classes", "recipes", "hub"))]


@pytest.mark.parametrize("page", RUN)
def test_python_of_a_page_runs(page, small):
    for text in blocks(page, "yaml"):
        if name := re.match(r"# (\S+\.yaml)\n", text):
            Path(name[1]).write_text(text)
    names = {}
    for code in blocks(page, "python"):
        exec(code, names)
    if "images" in names:
        assert names["images"].shape == (16, 1, 16, 16)
    if "scores" in names:
        assert names["scores"][0].metric == "fid[digits-cnn]"
    if "sevens" in names:
        assert len(names["sevens"]) == 16
