"""The tracker for Weights & Biases."""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ganzoo import TrackedRun, Tracker
from ganzoo.errors import InputError
from ganzoo_zoo.trackers.packages import require_package

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = "wandb"
ROW_FILES = ("metrics.jsonl", "scores.jsonl")
"""Files of a run with lines that have a step."""


class WandB(Tracker):
    """Logs metrics, scores and sample pictures to Weights & Biases, by default offline.

    Offline, they are written to the run's folder and nothing is sent. ``wandb sync`` uploads them.
    With ``mode=online`` they are sent at once, to the account that ``wandb login`` has stored. It
    needs ``pip install 'ganzoo[wandb]>=0.1'``.
    """

    mode: Literal["offline", "online"] = Field(
        default="offline", description="Whether to send anything while the run trains."
    )
    project: str = Field(default="ganzoo", min_length=1, description="Project of the run.")
    entity: str | None = Field(
        default=None, description="User or team of the run; by default that of the account."
    )

    def check(self) -> None:
        """Check that the package is installed, and with ``mode=online`` that you are logged in."""
        require_package("wandb", "wandb")
        if self.mode == "online":
            import wandb

            if not wandb.login(prompt=False, verify=False):
                raise InputError(
                    "tracker 'wandb' with mode=online needs an account: run 'wandb login' once, or "
                    "set WANDB_API_KEY"
                )

    def start(self, folder: Path, config: dict[str, Any], step: int) -> WandBRun:
        """Start or continue the run that the folder belongs to.

        An offline file cannot lose steps. It is therefore written again from the run's own files.
        A server ignores steps that it has already.
        """
        earlier = sorted((folder / FOLDER).glob("*run-*-*"))
        run = self._open(folder, config, earlier[-1].name.rpartition("-")[2] if earlier else None)
        if self.mode == "offline":
            _replay(folder, step, run)
            for path in earlier:
                if path != run.folder:
                    shutil.rmtree(path)
        return run

    def _open(self, folder: Path, config: dict[str, Any], run_id: str | None) -> WandBRun:
        offline = self.mode == "offline"
        if offline:  # no report of wandb's own errors either
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        settings = wandb.Settings(
            console="off",
            silent=True,
            save_code=False,
            disable_git=True,
            x_disable_meta=offline,
            x_disable_stats=offline,
        )
        return WandBRun(
            wandb.init(
                mode=self.mode,
                dir=folder,
                project=self.project,
                entity=self.entity,
                name=folder.name,
                id=run_id,
                resume=None if offline else "allow",
                config=config,
                reinit="create_new",
                settings=settings,
            )
        )


class WandBRun(TrackedRun):
    """A run of Weights & Biases.

    Args:
        run: The run, of wandb's own class.
    """

    def __init__(self, run: Any) -> None:
        self._run = run

    @property
    def folder(self) -> Path:
        """The folder of its files."""
        return Path(self._run.dir).parent

    def metrics(self, row: dict[str, Any]) -> None:
        """Log every number of a row."""
        self._run.log(
            {name: value for name, value in row.items() if name != "step"}, step=row["step"]
        )

    def picture(self, step: int, picture: Tensor) -> None:
        """Log the sample picture of a step."""
        import wandb

        from ganzoo.media.images import to_pil

        self._run.log({"samples": wandb.Image(to_pil(picture))}, step=step)

    def close(self) -> None:
        """Write what is still pending."""
        self._run.finish()


def _replay(folder: Path, step: int, run: WandBRun) -> None:
    """Pass on what the run's own files hold of its steps until one."""
    from ganzoo.media.images import load_png

    pictures = ((int(path.stem), path) for path in sorted((folder / "samples").glob("*.png")))
    sources: list[Iterator[tuple[int, Any]]] = [*(_read_rows(folder / name) for name in ROW_FILES)]
    for at, found in heapq.merge(*sources, pictures, key=lambda each: each[0]):
        if at > step or step == 0:
            continue
        if isinstance(found, dict):
            run.metrics(found)
            continue
        with contextlib.suppress(InputError):  # a damaged picture
            run.picture(at, load_png(found)[0])


def _read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of numbers of a file of JSON lines, with their steps."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if "metric" in row:
                row = {"step": row["step"], f"score/{row['metric']}": row["value"]}
            if "step" in row and all(isinstance(value, int | float) for value in row.values()):
                yield row["step"], row
