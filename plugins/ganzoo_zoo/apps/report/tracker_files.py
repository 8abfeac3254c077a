"""What the tracker keeps of a run for its report, in a folder of its own within the run's."""

from __future__ import annotations

from pathlib import Path

from ganzoo.errors import InputError
from ganzoo.runs.metrics import Curve, is_number, read_metrics
from ganzoo.storage.json_files import read_json

NAMES = ("real", "fake")
"""What the discriminator tells apart, in its lines of logits."""


class TrackerFiles:
    """The folder of what is kept of a run.

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
        """Return where the surface of a step is."""
        return self.surfaces / f"{step:08d}.png"

    def read_logits(self) -> dict[str, Curve]:
        """Read mean logits by what they are of; nothing if there are none.

        Raises:
            InputError: something that is not a regular file is in its place.
        """
        curves: dict[str, Curve] = {}
        for step, row in read_metrics(self.logits) if self.logits.exists() else ():
            for name in NAMES:
                if is_number(row.get(name)):
                    curves.setdefault(name, {})[step] = row[name]
        return curves

    def read_warnings(self) -> list[str]:
        """Read what was warned of, in order; nothing if there was nothing.

        Raises:
            InputError: something that is not a regular file is in its place.
        """
        rows = read_metrics(self.warnings) if self.warnings.exists() else ()
        return [str(row.get("message")) for _, row in rows]

    def read_machine(self) -> dict[str, str]:
        """Read what the run was trained on; nothing if that was not kept.

        Raises:
            InputError: the file is damaged.
        """
        if not self.machine.exists():
            return {}
        found = read_json(self.machine)
        if not isinstance(found, dict):
            raise InputError(f"{self.machine} says nothing of a machine")
        return {str(word): str(value) for word, value in found.items()}
