"""The tracker for Trackio."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ganzoo import TrackedRun, Tracker
from ganzoo.errors import GanzooError
from ganzoo_zoo.trackers.packages import require_package

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = "trackio"
LOG_FILE = "writer.log"
WRITER = Path(__file__).with_name("trackio_writer.py")
PATIENCE = 60.0
"""Seconds that the writer may take to write what is left."""
ELSEWHERE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_BUCKET_ID", "TRACKIO_WEBHOOK_URL")
"""Variables by which Trackio would send metrics to a server."""


class Trackio(Tracker):
    """Logs metrics, scores and sample pictures to a database of Trackio in the run's folder.

    Nothing is sent. ``trackio show`` displays it, and ``trackio sync`` uploads it, both with
    ``TRACKIO_DIR=RUN/trackio`` in the environment. It needs ``pip install 'ganzoo[trackio]>=0.1'``.
    """

    project: str = Field(
        default="ganzoo", pattern=r"^[\w-]+$", description="Trackio's project of the run."
    )

    def check(self) -> None:
        """Check that the package is installed."""
        require_package("trackio", "trackio")

    def start(self, folder: Path, config: dict[str, Any], step: int) -> TrackioRun:
        """Start or continue the run of the folder, without metrics of later steps."""
        (folder / FOLDER).mkdir(exist_ok=True)
        return TrackioRun(
            folder / FOLDER,
            {"project": self.project, "name": folder.name, "config": config, "step": step},
        )


class TrackioRun(TrackedRun):
    """A process that writes to a run of Trackio.

    Trackio has one folder in a process, so each run has a process of its own. It reads lines of
    JSON, and outlives a training that is killed until it has written all of them.

    Args:
        folder: Trackio's folder.
        options: What the process is told first.
    """

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        kept = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
        self._log = folder / LOG_FILE
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(WRITER)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={
                    **kept,
                    "TRACKIO_DIR": str(folder.resolve()),
                    "HF_HUB_OFFLINE": "1",  # Trackio would ask the Hub for the name of the user
                    "PYTHONPATH": os.pathsep.join(sys.path),
                },
                text=True,
                start_new_session=True,  # Ctrl-C is for the training alone
            )
        self._send(options)

    def metrics(self, row: dict[str, Any]) -> None:
        """Log every number of a row."""
        self._send({"row": row})

    def picture(self, step: int, picture: Tensor) -> None:
        """Log the sample picture of a step."""
        from ganzoo.media.images import to_pil

        image = to_pil(picture)
        pixels = base64.b64encode(image.tobytes()).decode()
        self._send({"step": step, "mode": image.mode, "size": image.size, "pixels": pixels})

    def close(self) -> None:
        """Wait until everything is written."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        if self._process.wait(PATIENCE):
            said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise GanzooError(f"{said[-1] if said else 'its process ended'}; see {self._log}")

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self.close()  # tells why it ended
            raise
