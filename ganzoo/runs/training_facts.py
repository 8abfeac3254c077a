"""What a run's own files say of a training, beside its configuration: for the card of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganzoo.protocols.tracker import METRICS_FILE
from ganzoo.runs.machines import MACHINES_FILE, MachineRow, read_machines
from ganzoo.runs.metrics import MEMORISED, is_number, read_metrics
from ganzoo.runs.scores import read_logged_scores

if TYPE_CHECKING:
    from ganzoo.runs.folder import Run


@dataclass(frozen=True)
class TrainingFacts:
    """What is known of a training until a step; None for what its files do not say."""

    seconds: float | None = None
    """Its time by the clock, without its scoring."""
    processor_seconds: float | None = None
    """The same of processors, summed over cores and processes."""
    machines: tuple[str, ...] = ()
    """The machines, in their order, by the names of their processors or GPUs."""
    memorised: float | None = None
    """Share of the samples in the picture of this step that repeat a training image."""


NO_FACTS = TrainingFacts()


def read_training_facts(run: Run, step: int) -> TrainingFacts:
    """Read what the files of a run say of its training until a step.

    Raises:
        ganzoo.errors.InputError: a file is far too large.
        OSError: a file cannot be read; the error names it.
    """
    timed = [
        row
        for row in read_logged_scores(run.score_log)
        if row.step == step and row.seconds is not None
    ]
    seconds, worked = (timed[0].seconds, timed[0].processor_seconds) if timed else (None, None)
    return TrainingFacts(seconds, worked, _find_machines(run, step), _find_memorised(run, step))


def _find_machines(run: Run, step: int) -> tuple[str, ...]:
    names = [
        _name_machine(row) for row in read_machines(run.path / MACHINES_FILE) if row.step < step
    ]
    return tuple(dict.fromkeys(names))


def _name_machine(row: MachineRow) -> str:
    parts = [row.device_name]
    if row.processes > 1:
        parts.append(f"{row.processes} processes")
    if row.device_name == row.processor:  # no GPU computes
        parts.append(f"{row.threads} thread" if row.threads == 1 else f"{row.threads} threads")
    return ", ".join(parts)


def _find_memorised(run: Run, step: int) -> float | None:
    path, found = run.path / METRICS_FILE, None
    if path.exists():
        for at, row in read_metrics(path):
            if at == step and is_number(row.get(MEMORISED)):
                found = float(row[MEMORISED])
    return found
