"""The report at the end of a training, and what only the training itself can see for it.

The tracker alone is here; what follows a run imports torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ganzoo import Tracker
from ganzoo_zoo.apps.report import MOST_NEIGHBOURS, NEIGHBOURS

if TYPE_CHECKING:
    from ganzoo_zoo.apps.report.tracker_run import ReportedRun


class ReportTracker(Tracker):
    """Writes ``report.html`` when a training ends, well or not, as ``ganzoo report`` does.

    In the folder ``report`` it keeps for it what only a training sees: the machine, warnings and,
    at each sample picture, the mean logits of 64 training samples and of 64 samples of the picture,
    and of points the discriminator's logits over the plane.
    """

    neighbours: int = Field(
        default=NEIGHBOURS,
        ge=0,
        le=MOST_NEIGHBOURS,
        description="Fakes that are shown beside their nearest training samples; for 0 neither the "
        "model nor the data are read at the end.",
    )

    def start(self, folder: Path, config: dict[str, Any], step: int) -> ReportedRun:
        """Begin to look on, or again; what was kept of later steps is dropped."""
        from ganzoo_zoo.apps.report.tracker_run import ReportedRun

        return ReportedRun(folder, self.neighbours, step)
