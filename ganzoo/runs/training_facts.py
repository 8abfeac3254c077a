"""What a run's own files say of a training, beside its configuration: for the card of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganzoo.protocols.tracker import METRICS_FILE
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
    memorised: float | None = None
    """Share of the samples in the picture of this step that repeat a training image."""


NO_FACTS = TrainingFacts()


def read_training_facts(run: Run, step: int) -> TrainingFacts:
    """Read what the scores and the metrics of a run say of its training until a step.

    Raises:
        ganzoo.errors.InputError: a file is far too large.
        OSError: a file cannot be read; the error names it.
    """
    timed = [
        row
        for row in read_logged_scores(run.scores)
        if row.step == step and row.seconds is not None
    ]
    seconds, worked = (timed[0].seconds, timed[0].processor_seconds) if timed else (None, None)
    return TrainingFacts(seconds, worked, _find_memorised(run, step))


def _find_memorised(run: Run, step: int) -> float | None:
    path, found = run.path / METRICS_FILE, None
    if path.exists():
        for at, row in read_metrics(path):
            if at == step and is_number(share := row.get(MEMORISED)):
                found = float(share)
    return found
