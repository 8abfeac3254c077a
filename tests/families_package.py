"""The package of families in ``downstream/``, put on the path for some tests."""

import sys
import tomllib
from contextlib import contextmanager
from pathlib import Path

SOURCE = Path(__file__).parent / "downstream" / "ganzoo-families"
PROJECT = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]


@contextmanager
def installed(site):
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
    added = [str(site), str(SOURCE)]
    sys.path[:0] = added
    yield added
    for path in added:
        sys.path.remove(path)
