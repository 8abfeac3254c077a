"""The tracker for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ganzoo import TrackedRun, Tracker
from ganzoo_zoo.trackers.packages import require_package

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = "tensorboard"


class TensorBoard(Tracker):
    """Writes metrics and sample pictures as event files of TensorBoard, in the run's folder.

    ``tensorboard --logdir runs`` shows them. It needs ``pip install 'ganzoo[tensorboard]>=0.1'``.
    """

    flush_seconds: int = Field(
        default=30, ge=1, description="Longest delay in seconds until new metrics are written."
    )

    def check(self) -> None:
        """Check that the package tensorboard is installed."""
        require_package("tensorboard", "tensorboard")

    def start(self, folder: Path, config: dict[str, Any], step: int) -> TensorBoardRun:
        """Open an event file; TensorBoard then ignores earlier entries after ``step``."""
        return TensorBoardRun(folder / FOLDER, step, self.flush_seconds)


class TensorBoardRun(TrackedRun):
    """The event file of a run."""

    def __init__(self, folder: Path, step: int, flush_seconds: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(
            str(folder), purge_step=step + 1 if step else 0, flush_secs=flush_seconds
        )

    def metrics(self, row: dict[str, Any]) -> None:
        """Log every number of a row."""
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, row["step"])

    def picture(self, step: int, picture: Tensor) -> None:
        """Log the sample picture of a step."""
        self._writer.add_image("samples", picture, step)

    def flush(self) -> None:
        """Write what is still pending."""
        self._writer.flush()

    def close(self) -> None:
        """Write what is still pending."""
        self._writer.close()
