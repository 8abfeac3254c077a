"""The tracker that records frames of points for ``ganzoo watch --web`` during training.

This module does not import torch; :mod:`ganzoo_zoo.apps.watch.points.tracker_run` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo import Tracker

if TYPE_CHECKING:
    from ganzoo_zoo.apps.watch.points.tracker_run import WatchedRun


class WatchTracker(Tracker):
    """Records points in the plane, which ``ganzoo watch --web`` animates.

    At each sample picture it writes 400 points and the discriminator's logits over the plane to the
    folder ``watch``, in long runs at about 1,000 steps. Samples other than points are not recorded,
    since their pictures suffice.
    """

    def start(self, folder: Path, config: dict[str, Any], step: int) -> WatchedRun:
        """Start or resume tracking; frames of later steps are dropped."""
        from ganzoo_zoo.apps.watch.points.tracker_run import WatchedRun

        return WatchedRun(folder, config["train"]["steps"], step)
