"""The protocol of a tracker: what receives a run's metrics and pictures while it trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ganzoo.component import Component

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.protocols.dataset import Samples

METRICS_FILE = "metrics.jsonl"


class TrackedRun(Protocol):
    """A run as a tracker follows it; what fails here is said once, and training goes on."""

    def metrics(self, row: dict[str, Any]) -> None:
        """Receive numbers by name beside their ``step``: a line of ``metrics.jsonl``, or scores."""

    def picture(self, step: int, picture: Tensor) -> None:
        """Receive the sample picture of a step, uint8 ``(C, H, W)`` of 1, 3 or 4 channels."""

    def discriminator(
        self, step: int, discriminator: nn.Module, fake: Samples, real: Samples
    ) -> None:
        """Look at the discriminator at the step of a sample picture; may be left out.

        Args:
            step: Steps done.
            discriminator: The network on the device of the training, in training mode. Its weights,
                buffers and modes are to be left as they are.
            fake: The samples of the picture, with the classes that were asked for, if any were.
            real: The training data.
        """

    def warning(self, step: int, message: str) -> None:
        """Receive what a person is warned of, such as that the run diverged; may be left out."""

    def close(self) -> None:
        """Write what is left; the run has ended, well or not."""


class Tracker(Component, ABC):
    """Base of trackers. None may ask for a login: what needs one reads it from its own settings."""

    def check(self) -> None:
        """Refuse to work, before the run's folder appears, if something is missing; else nothing.

        Raises:
            ganzoo.errors.GanzooError: what is missing, and how to get it.
        """

    @abstractmethod
    def start(self, folder: Path, config: dict[str, Any], step: int) -> TrackedRun:
        """Begin to follow a run, or again, after ``close``, when it went back after divergence.

        Args:
            folder: The run's folder; what the tracker writes to disk belongs in it.
            config: What ``config.json`` holds.
            step: Steps done. Greater than 0 for a resumed run, which repeats what comes after:
                what was received beyond this step is to be dropped.
        """
