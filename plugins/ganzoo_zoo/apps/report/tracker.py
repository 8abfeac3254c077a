"""The tracker that collects data for the report during training, and writes it at the end.

This module does not import torch; :mod:`ganzoo_zoo.apps.report.tracker_run` does.
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
    """Writes ``report.html`` when training ends, like ``ganzoo report``, even after a failure.

    During training it records data for the report in the folder ``report``: the machine, warnings
    and, at each sample picture, the mean logits of 64 training samples and of 64 samples of the
    picture; for points also the discriminator's logits over the plane.
    """

    neighbours: int = Field(
        default=NEIGHBOURS,
        ge=0,
        le=MOST_NEIGHBOURS,
        description="Number of fakes to show beside their nearest training samples; with 0, "
        "neither the model nor the data are read at the end.",
    )

    def start(self, folder: Path, config: dict[str, Any], step: int) -> ReportedRun:
        """Start or resume tracking; records of later steps are dropped."""
        from ganzoo_zoo.apps.report.tracker_run import ReportedRun

        return ReportedRun(folder, self.neighbours, step)
