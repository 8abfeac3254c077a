"""The files that the tracker writes for the report, in a folder within the run's."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

from ganzoo.errors import InputError
from ganzoo.runs.metrics import MOST_WARNINGS, Curve, CurveGroup, is_number, read_metrics
from ganzoo.storage.files import write_text
from ganzoo.storage.json_files import read_json

NAMES = ("real", "fake")
"""Keys of the file of logits."""


class TrackerFiles:
    """The tracker's files of a run.

    Args:
        run: The run's folder.
    """

    def __init__(self, run: Path) -> None:
        self.path = run / "report"
        self.machine = self.path / "machine.json"
        self.logits = self.path / "logits.jsonl"
        self.warnings = self.path / "warnings.jsonl"
        self.surfaces = self.path / "surfaces"

    def surface_path(self, step: int) -> Path:
        """Return the path of the surface of a step."""
        return self.surfaces / f"{step:08d}.png"

    def read_logits(self) -> dict[str, Curve]:
        """Read the mean logits, as curves of real and of fake samples; empty without a file.

        Raises:
            InputError: the file is not a regular file.
        """
        group = CurveGroup()
        for step, row in read_metrics(self.logits) if self.logits.exists() else ():
            for name in NAMES:
                if is_number(row.get(name)):
                    group.add(name, step, row[name])
        return group.curves()

    def read_warnings(self) -> list[str]:
        """Read the first warnings in order; empty without a file.

        Raises:
            InputError: the file is not a regular file.
        """
        rows = read_metrics(self.warnings) if self.warnings.exists() else iter(())
        return [str(row.get("message")) for _, row in islice(rows, MOST_WARNINGS)]

    def drop_warning(self, message: str) -> None:
        """Drop a warning from the file, if it is there.

        Raises:
            InputError: the file is not a regular file.
        """
        rows = [row for _, row in read_metrics(self.warnings)] if self.warnings.exists() else []
        kept = [row for row in rows if row.get("message") != message]
        if len(kept) < len(rows):
            write_text(self.warnings, "".join(f"{json.dumps(row)}\n" for row in kept))

    def read_machine(self) -> dict[str, str]:
        """Read the description of the machine; empty without a file.

        Raises:
            InputError: the file is damaged.
        """
        if not self.machine.exists():
            return {}
        found = read_json(self.machine)
        if not isinstance(found, dict):
            raise InputError(f"{self.machine} does not describe a machine")
        return {str(word): str(value) for word, value in found.items()}
