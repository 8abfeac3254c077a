"""A run of points as it is looked at while it trains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo import TrackedRun
from ganzoo.runs.metrics import read_metrics
from ganzoo.storage.files import write_text
from ganzoo.storage.json_files import append_line, drop_lines_after, to_json
from ganzoo_zoo.apps.watch.frames import MOST_FRAMES, FrameFiles
from ganzoo_zoo.apps.watch.points import Plane, has_plane

if TYPE_CHECKING:
    from torch import nn

    from ganzoo.protocols.dataset import Samples


class WatchedRun(TrackedRun):
    """A run of which frames are kept.

    Args:
        folder: The run's folder.
        steps: How many it is to do.
        step: Steps done; what was kept of later ones is dropped.
    """

    def __init__(self, folder: Path, steps: int, step: int) -> None:
        self.kept = FrameFiles(folder)
        self.steps = steps
        self._every = max(1, -(-steps // MOST_FRAMES))
        self._plane: Plane | None = None
        drop_lines_after(self.kept.frames, step)
        before = read_metrics(self.kept.frames) if self.kept.frames.exists() else ()
        self._last = max((done for done, _ in before), default=-1)

    def discriminator(
        self, step: int, discriminator: nn.Module, fake: Samples, real: Samples
    ) -> None:
        """Keep points and logits of this step, where samples are points."""
        if step <= self._last or (step % self._every and step != self.steps):
            return
        if not has_plane(real.spec, conditional=fake.labels is not None):
            return
        if self._plane is None:
            self._plane = Plane(real)
            self.kept.path.mkdir(parents=True, exist_ok=True)
            write_text(self.kept.plane, to_json(self._plane.describe()))
        if frame := self._plane.make_frame(step, fake.stored, discriminator):
            append_line(self.kept.frames, frame)
            self._last = step
