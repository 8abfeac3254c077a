"""What the tests share: the command line, plugin packages, and a tiny run."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest
import torch

from browser import browser as browser
from families_package import installed
from tiny import TINY, Result

# No test reaches the real Hub by accident: its client reads these when it is imported.
os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes share the cores: more threads than cores would wait for each other.
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)

NEEDS_GPU = "needs a GPU"
"""Why tests that are marked ``gpu`` are skipped."""

collect_ignore = ["downstream"]
"""Packages of their own, with tests that run against them once they are installed."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests that are marked ``gpu`` where there is none."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip(NEEDS_GPU)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end how many tests need a GPU, and how to run them."""
    reports = terminalreporter.stats.get("skipped", ())
    if count := sum(NEEDS_GPU in str(report.longrepr) for report in reports):
        words = "1 test needs a GPU" if count == 1 else f"{count} tests need a GPU"
        terminalreporter.write_line(f"{words}: python tests/gpu/look.py")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Work in an empty folder, with an empty cache and a plain, narrow environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("GANZOO_DEBUG", raising=False)


@pytest.fixture
def ganzoo_cli(capsys) -> Callable[..., Result]:
    """Run the command line in this process."""
    from ganzoo.cli import main

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def refused(ganzoo_cli) -> Callable[..., str]:
    """Run a command that must fail in one or two lines, and return what it said."""

    def run(*arguments: object, code: int = 2) -> str:
        result = ganzoo_cli(*arguments)
        assert result.code == code, result
        assert result.out == ""
        lines = [line for line in result.err.splitlines() if line]
        wrong = [line for line in lines if line.startswith("Error: ")]
        assert len(wrong) == 1, result.err
        message = lines[lines.index(wrong[0]) :]
        assert 1 <= len(message) <= 2, result.err
        assert "Traceback" not in result.err
        return "\n".join(message)

    return run


@pytest.fixture(scope="session")
def _hub():
    from hub import FakeHub

    with FakeHub() as hub:
        yield hub


@pytest.fixture
def hub(_hub):
    """Return a Hub on this machine, empty and reachable; see ``hub.FakeHub``."""
    _hub.reset()
    yield _hub
    _hub.reset()


@pytest.fixture(scope="session")
def _client(_hub, tmp_path_factory):
    with _hub.client(home=tmp_path_factory.mktemp("huggingface")) as client:
        yield client


@pytest.fixture
def client(hub, _client):
    """Return a process that speaks to ``hub`` by the real client, with an empty cache."""
    _client.empty_cache()
    return _client


@pytest.fixture
def plugin(tmp_path, monkeypatch) -> Callable[..., Path]:
    """Install a plugin package by the real door: a folder with metadata on the path."""
    made: list[str] = []

    def install(
        package: str,
        code: str,
        entry_points: Mapping[str, Mapping[str, str]],
        version: str = "1.0",
        requires: Iterable[str] = (),
    ) -> Path:
        site = tmp_path / f"site-{package}"
        module = package.replace("-", "_")
        info = site / f"{module}-{version}.dist-info"
        info.mkdir(parents=True)
        (site / f"{module}.py").write_text(code)
        metadata = ["Metadata-Version: 2.1", f"Name: {package}", f"Version: {version}"]
        metadata += [f"Requires-Dist: {each}" for each in requires]
        (info / "METADATA").write_text("\n".join(metadata) + "\n")
        lines = []
        for group, points in entry_points.items():
            lines += [f"[{group}]", *(f"{name} = {target}" for name, target in points.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        monkeypatch.syspath_prepend(str(site))
        importlib.invalidate_caches()
        made.append(module)
        return site

    yield install
    for module in made:
        sys.modules.pop(module, None)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """A finished run of a small DCGAN on the digits; to be read, not changed."""
    import ganzoo

    return ganzoo.train(
        "dcgan",
        "wgan-gp",
        "digits",
        out=tmp_path_factory.mktemp("runs") / "tiny",
        settings={"arch.base_channels": 4, "arch.z_dim": 8, "data.image_size": 16},
        **TINY,
    )


@pytest.fixture(scope="module")
def styled_run(tmp_path_factory):
    """A run of an untrained style-based generator, whose package is installed for a module."""
    import ganzoo

    with installed(tmp_path_factory.mktemp("families")):
        yield ganzoo.train(
            "tiny-stylegan2",
            out=tmp_path_factory.mktemp("runs") / "styled",
            settings={"data.image_size": 16},
            **{**TINY, "steps": 0},
        )


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory) -> Path:
    """A file of random weights of Inception, as there is no network for the published ones."""
    from benchmarks.random_weights import random_inception

    return random_inception(tmp_path_factory.mktemp("weights") / "inception.pth")


@pytest.fixture
def in_terminal(monkeypatch) -> None:
    """Have standard output and error pass for a terminal."""
    monkeypatch.delenv("NO_COLOR")
    for name, value in {
        **{"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color"},
        **{"COLUMNS": "80", "LINES": "24"},
    }.items():
        monkeypatch.setenv(name, value)
