"""Recording frames of points during training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo import TrackedRun
from ganzoo.runs.metrics import read_metrics
from ganzoo.storage.files import flush, remove_leftovers, write_text
from ganzoo.storage.json_files import append_line, drop_lines_after, to_json
from ganzoo_zoo.apps.watch.points.frames import MOST_FRAMES, FrameFiles
from ganzoo_zoo.apps.watch.points.plane import Plane, has_plane

if TYPE_CHECKING:
    from ganzoo.protocols.dataset import Samples
    from ganzoo.protocols.tracker import Networks


class WatchedRun(TrackedRun):
    """A run whose frames are recorded.

    Args:
        folder: The run's folder.
        steps: Number of steps of the run.
        step: Number of finished steps; frames of later steps are dropped.
    """

    def __init__(self, folder: Path, steps: int, step: int) -> None:
        self.files = FrameFiles(folder)
        self.steps = steps
        self._every = max(1, -(-steps // MOST_FRAMES))
        self._plane: Plane | None = None
        remove_leftovers(self.files.path)
        drop_lines_after(self.files.frames, step)
        before = read_metrics(self.files.frames) if self.files.frames.exists() else ()
        self._last = max((done for done, _ in before), default=-1)

    def networks(self, step: int, networks: Networks, fake: Samples, real: Samples) -> None:
        """Record the frame of a step, if samples are points."""
        too_soon = self._last >= 0 and step - self._last < self._every
        if step <= self._last or (too_soon and step != self.steps):
            return
        if not has_plane(real.spec, conditional=fake.labels is not None):
            return
        if self._plane is None:
            self._plane = Plane(real, networks)
            self.files.path.mkdir(parents=True, exist_ok=True)
            write_text(self.files.plane, to_json(self._plane.describe()))
        points, judge = fake.stored, networks.discriminator
        if frame := self._plane.make_frame(step, points, judge, networks):
            append_line(self.files.frames, frame)
            self._last = step

    def flush(self) -> None:
        """Have the frames written to the disk."""
        for path in (self.files.frames, self.files.path):
            if path.exists():
                flush(path)
