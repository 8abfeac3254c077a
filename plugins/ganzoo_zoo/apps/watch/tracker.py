"""What only the training itself can see of points in the plane, kept for ``ganzoo watch --web``.

The tracker alone is here; what follows a run imports torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo import Tracker

if TYPE_CHECKING:
    from ganzoo_zoo.apps.watch.tracker_run import WatchedRun


class WatchTracker(Tracker):
    """Keeps of points in the plane what ``ganzoo watch --web`` shows moving.

    At each sample picture 400 of its points and the discriminator's logits over the plane go to the
    folder ``watch``, of long runs at about 1,000 steps. Other samples need nothing beside their
    pictures.
    """

    def start(self, folder: Path, config: dict[str, Any], step: int) -> WatchedRun:
        """Begin to look on, or again; what was kept of later steps is dropped."""
        from ganzoo_zoo.apps.watch.tracker_run import WatchedRun

        return WatchedRun(folder, config["train"]["steps"], step)
