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

    At each sample picture it writes to the folder ``watch``: 400 points of the generator and of its
    average, where the first 100 are pulled, a grid of latents of one or two numbers carried through
    the generator, the discriminator's logits over the plane, and how many modes are held and how
    far the points are from the true ones. Long runs are recorded at about 1,000 steps. Samples
    other than points are not recorded, since their pictures suffice.
    """

    def start(self, folder: Path, config: dict[str, Any], step: int) -> WatchedRun:
        """Start or resume tracking; frames of later steps are dropped."""
        from ganzoo_zoo.apps.watch.points.tracker_run import WatchedRun

        return WatchedRun(folder, config["train"]["steps"], step)
