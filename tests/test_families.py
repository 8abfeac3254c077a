"""What great families need of a training, as plugins: each passes the kit, and resumes exactly."""

import sys
import tomllib
from pathlib import Path

import pytest

from ganzoo import registry
from ganzoo.testing.conformance import CHECKS

SOURCE = Path(__file__).parent / "downstream" / "ganzoo-families"
PROJECT = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]
PLUGINS = sorted((SOURCE / "ganzoo_families").glob("[a-z]*.py"))
MOST_LINES = 60


def install(site):
    """Install the package by the real door: its metadata beside its source, on the path."""
    info = site / "ganzoo_families-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {PROJECT['name']}\nVersion: {PROJECT['version']}\n"
    )
    lines = []
    for group, points in PROJECT["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return [str(site), str(SOURCE)]


@pytest.fixture(scope="module", autouse=True)
def families(tmp_path_factory):
    """Have the package installed, for this process and those that it starts."""
    added = install(tmp_path_factory.mktemp("families"))
    sys.path[:0] = added
    yield added
    for path in added:
        sys.path.remove(path)


ANNOUNCED = {
    name: kind for kind in registry.KINDS for name in PROJECT["entry-points"].get(kind.group, {})
}
CASES = [(name, check) for name, kind in ANNOUNCED.items() for check in CHECKS[kind]]


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.stem)
def test_a_plugin_is_a_small_file(path):
    assert len(path.read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize(
    ("name", "check"), CASES, ids=[f"{name}-{check.__name__}" for name, check in CASES]
)
def test_each_plugin_passes_the_kit(name, check):
    check(registry.get(ANNOUNCED[name], name)())
