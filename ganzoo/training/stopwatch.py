"""The time that a training has taken, over all of its interruptions and without its scoring.

It is the time of the steps that led to the present state. What a killed process did after its last
checkpoint is done again, and counts once; what a run did before it diverged and went back counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from ganzoo.distributed import Processes
from ganzoo.errors import InputError
from ganzoo.runs.scores import LONGEST_TIME
from ganzoo.storage.files import write_text
from ganzoo.storage.json_files import read_json, to_json

TIME_FILE = "time.json"
"""The time of a checkpoint, in its folder. No manifest lists it: it differs from run to run."""
DIGITS = 3


@dataclass(frozen=True)
class TrainingTime:
    """Time of training, pictures and checkpoints included, scores excluded."""

    seconds: float
    """Time by the clock."""
    processor_seconds: float
    """Time that cores have worked, summed over cores and processes."""

    def write(self, folder: Path) -> None:
        """Write it to the folder of a checkpoint."""
        write_text(folder / TIME_FILE, to_json(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> TrainingTime | None:
        """Read it from the folder of a checkpoint; None if it is missing or damaged."""
        try:
            found = cls(**read_json(folder / TIME_FILE))
            if all(0 <= each < LONGEST_TIME for each in asdict(found).values()):
                return found
        except (InputError, TypeError):
            pass
        return None


NO_TIME = TrainingTime(0.0, 0.0)
"""The time of a training that has not begun."""


class Stopwatch:
    """Measures the time of a training.

    Args:
        device: Device of the training, whose work is waited for whenever the time is read.
        team: The processes of the training.
    """

    def __init__(self, device: torch.device, team: Processes) -> None:
        self._device = device
        self._team = team
        self._before: TrainingTime | None = NO_TIME
        self._begin()

    def start(self, before: TrainingTime | None) -> None:
        """Measure from now on.

        Args:
            before: The time until now; None if it is unknown, and then it stays unknown.
        """
        self._before = before
        self._begin()

    def read(self) -> TrainingTime | None:
        """Return the time until now, in every process at once; None if it is unknown."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()
        worked = time.process_time() - self._worked
        if self._team.world > 1:
            shares = torch.tensor([worked], dtype=torch.float64, device=self._device)
            worked = self._team.world * float(self._team.mean(shares))
        if self._before is None:
            return None
        seconds = self._before.seconds + time.perf_counter() - self._began
        processor_seconds = self._before.processor_seconds + worked
        return TrainingTime(round(seconds, DIGITS), round(processor_seconds, DIGITS))

    @contextmanager
    def paused(self) -> Iterator[TrainingTime | None]:
        """Measure nothing within the block, in every process at once; yield the time until now."""
        before = self.read()
        try:
            yield before
        finally:
            self.start(before)

    def _begin(self) -> None:
        self._began, self._worked = time.perf_counter(), time.process_time()
