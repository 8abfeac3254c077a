"""The machines of a run: a line for each start and each resume."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from ganzoo.config import Name, versions
from ganzoo.storage.json_files import append_line, read_lines, warn_of_damaged_lines

if TYPE_CHECKING:
    from ganzoo.compute.machine import Machine

MACHINES_FILE = "machines.jsonl"
"""The machines of a run. It differs each time that the run is trained."""
MOST_MACHINES = 1000
"""Lines that are read, at most; the newest ones."""


class MachineRow(BaseModel):
    """A start or a resume of a run, and the machine of its first process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    date: Name
    """When it was, in ISO 8601 and UTC."""
    step: int = Field(ge=0, lt=2**63)
    """The step after which the run continued; 0 for a new run."""
    processes: int = Field(ge=1, lt=2**31)
    device: Name
    device_name: Name
    processor: Name
    cores: int = Field(ge=1, lt=2**31)
    threads: int = Field(ge=1, lt=2**31)
    system: Name
    versions: dict[Name, Name]


def log_machine(path: Path, machine: Machine, step: int, processes: int = 1) -> None:
    """Append a line to the machines of a run.

    Args:
        path: The file.
        machine: The machine.
        step: The step after which the run continues.
        processes: Number of processes that train it.
    """
    date = datetime.now(UTC).isoformat(timespec="seconds")
    about = {"date": date, "step": step, "processes": processes}
    append_line(path, {**about, **asdict(machine), "versions": versions()})


def read_machines(path: Path) -> list[MachineRow]:
    """Read the machines of a run in their order; an empty list if it did not note them.

    Damaged lines are skipped with a warning.

    Raises:
        ganzoo.errors.InputError: the path is taken by something that is not a regular file.
        OSError: it cannot be read; the error names it.
    """
    if not path.exists():
        return []
    rows, skipped = [], 0
    for line in read_lines(path):
        try:
            rows.append(MachineRow.model_validate(json.loads(line)))
        except (ValueError, RecursionError):
            skipped += 1
    warn_of_damaged_lines(path, skipped)
    return rows[-MOST_MACHINES:]
