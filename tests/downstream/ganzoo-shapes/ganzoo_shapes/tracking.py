"""A tracker that keeps the last row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ganzoo import TrackedRun, Tracker


class LastRow(Tracker):
    """Keeps the newest metrics in the run's folder, as JSON."""

    def start(self, folder: Path, config: dict[str, Any], step: int) -> LastRowRun:
        """Begin with an empty file."""
        path = folder / "last-row.json"
        path.write_text("{}\n")
        return LastRowRun(path)


class LastRowRun(TrackedRun):
    """The file of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def metrics(self, row: dict[str, Any]) -> None:
        """Replace the row."""
        self.path.write_text(json.dumps(row) + "\n")
