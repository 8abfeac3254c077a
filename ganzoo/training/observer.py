"""The observer: callbacks that watch a run without changing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from ganzoo.config import RunConfig

if TYPE_CHECKING:
    from ganzoo.runs.folder import Run
    from ganzoo.runs.scores import ScoreRow
    from ganzoo.training.trainer import Trainer


class Observer:
    """What watches a run; every method may be left as it is."""

    def on_ready(self, trainer: Trainer) -> None:
        """All is ready, and nothing is written yet; the networks are to be left as they are."""

    def on_start(self, run: Run, config: RunConfig, step: int) -> None:
        """The run is about to do the step after ``step``."""

    def on_step(self, step: int) -> None:
        """A step was handed to the device; nothing may be read from the device here."""

    def on_log(self, row: dict[str, Any]) -> None:
        """A line was written to ``metrics.jsonl``."""

    def on_picture(self, step: int, picture: Tensor, layout: str) -> None:
        """The sample picture of a step was written.

        Args:
            step: The step.
            picture: uint8 ``(C, H, W)`` of 1, 3 or 4 channels, on the CPU.
            layout: How it is laid out, for :func:`ganzoo.media.images.split_picture`.
        """

    def on_scores(self, rows: list[ScoreRow]) -> None:
        """The snapshot of a step was judged; see ``scores.jsonl``."""

    def on_progress(self, what: str, done: int, total: int) -> None:
        """Some long work that is no step, such as reading the data, is so far."""

    def on_warning(self, message: str) -> None:
        """Something is worth a person's attention."""
