"""A run on the page, as a card: its state, curves, frames and pictures, as JSON."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ganzoo.config import RunConfig
from ganzoo.display.formats import format_duration
from ganzoo.errors import GanzooError, escape_text, first_line
from ganzoo.runs.folder import Run
from ganzoo.runs.reproduce import format_argument
from ganzoo.runs.state import DIVERGED, FINISHED, INTERRUPTED, SILENT, TRAINING, WAITING
from ganzoo_zoo.apps.watch.points.frames import Frames, choose_evenly
from ganzoo_zoo.apps.watch.runs.run_reader import GONE, RunReader
from ganzoo_zoo.apps.watch.training.control_words import BETWEEN, STOPPED
from ganzoo_zoo.apps.watch.training.training_run import TrainingRun

SECONDS_BETWEEN_READS_AT_REST = 2.0
"""Time between two reads of a run that rests."""
MOST_POINTS = 240
"""The most points of a curve."""
MOST_FRAMES = 120
"""The most frames per request."""
MOST_PICTURES = 200
CHANGEABLE = ("train.generator_lr", "train.discriminator_lr", "train.n_critic")
"""Options that can be changed while a run trains."""
RESUME = "resume"
KINDS = (FINISHED, TRAINING, WAITING, GONE, INTERRUPTED, DIVERGED)


class Card:
    """A run on the page.

    Args:
        name: Name of the run on the page.
        run: Reader of its folder, once it exists.
        trained: The run as its process reports it, if it trains for the page.
        asked: The request that started it, for a restart.
        owner: The pupil whose run it is; empty for the teacher's.
    """

    def __init__(
        self,
        name: str,
        run: RunReader | None = None,
        trained: TrainingRun | None = None,
        asked: Mapping[str, Any] | None = None,
        owner: str = "",
    ) -> None:
        self.name = name
        self.trained = trained
        self.asked = asked
        self.owner = owner
        self.problem = ""
        """Why its folder cannot be read, or empty."""
        self._unread = ""
        self._state: dict[str, Any] | None = None
        """Its state as JSON, while it rests and its folder does not change."""
        self._curves: dict[str, Any] | None = None
        self._read_at, self._rested = 0.0, False
        self.run: RunReader | None = None
        self.frames: Frames | None = None
        if run is not None:
            self.follow(run)

    def follow(self, run: RunReader) -> None:
        """Start to read a folder."""
        self.run, self.frames = run, Frames(run.run.path)

    def update(self) -> None:
        """Read new data."""
        now, rests = time.monotonic(), self.rests
        if rests and self._rested and now - self._read_at < SECONDS_BETWEEN_READS_AT_REST:
            return
        self._read_at, self._rested = now, rests
        before = self.problem, self.newest_frame()
        try:
            if self.run is None and self.trained and self.trained.path:
                self.follow(RunReader(Run(self.trained.path)))
            if self.run and self.run.update():
                self._unread = ""
                self._state = self._curves = None
        except (GanzooError, OSError) as error:
            self._unread = first_line(error)  # shown until the folder changes
        self.problem = self._unread
        try:
            if self.frames and self.run and not self.run.is_gone:
                self.frames.update()
        except (GanzooError, OSError) as error:
            self.problem = self.problem or first_line(error)
        if before != (self.problem, self.newest_frame()):
            self._state = self._curves = None

    @property
    def rests(self) -> bool:
        """Whether nothing of it changes unless its folder does."""
        if self.trained is not None:
            return self.trained.is_over
        return self.run is not None and self.run.is_finished

    @property
    def config(self) -> RunConfig:
        """The configuration of the run."""
        if self.run:
            return self.run.config
        assert self.trained is not None  # a card has a folder or a process
        return self.trained.config

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        if self.trained and not self.trained.is_over:
            return False
        return (
            self.run is None or self.run.is_finished or self.run.is_gone or self.trained is not None
        )

    def state(self) -> tuple[str, str]:
        """Return the state of the run, as a word for the page and as a text for people."""
        if self.run and self.run.is_gone:
            return GONE, "the folder is gone"
        if self.trained and not (self.run and self.run.is_finished):
            return self.trained.state, self._describe_training(self.trained)
        assert self.run is not None  # a card has a folder or a process
        text = self.run.state()
        kind = next((kind for kind in KINDS if text.startswith(kind)), SILENT)
        return kind, text

    def _describe_training(self, trained: TrainingRun) -> str:
        text = f"{trained.state}: {trained.message}" if trained.message else trained.state
        if trained.state == STOPPED and self.run and self.run.saved_step:
            text += f" after step {self.run.saved_step:,}, state saved"
        return text

    def newest_frame(self) -> dict[str, Any] | None:
        """Return the newest frame, if there is one."""
        stored = self.frames.items[-1] if self.frames and self.frames.items else None
        sent = self.trained.frame if self.trained else None
        # After a return to a checkpoint, the frame that was sent last may be obsolete.
        if sent is None or (stored and stored["step"] >= sent["step"]):
            return stored
        return sent

    @property
    def may_resume(self) -> bool:
        """Whether it stopped, and a saved state tells how to train on."""
        if self.run is None or not self.run.saved_step:
            return False
        return self.state()[0] == (INTERRUPTED if self.trained is None else STOPPED)

    def as_json(self) -> dict[str, Any]:
        """Return the state of the card without curves, frames and pictures."""
        state = self._state or self._describe()
        self._state = state if self.rests else None
        return state

    def _describe(self) -> dict[str, Any]:
        config, run, trained = self.config, self.run, self.trained
        kind, text = self.state()
        live = self.newest_frame()
        may = [*(trained.allowed_commands if trained else ()), *([RESUME] * self.may_resume)]
        return {
            "name": self.name,
            "title": escape_text(config.title),
            "place": escape_text(str(run.run.path)) if run else "",
            "about": f"batch size {config.train.batch_size}, seed {config.train.seed}",
            "kind": kind,
            "said": text,
            "may": may,
            "own": trained is not None,
            "over": self.is_over,
            "owner": self.owner,
            "asked": self.asked,
            "preset": self.asked.get("preset") if self.asked else None,
            "problem": self.problem or (trained.refused if trained else ""),
            "step": self._step(live),
            "steps": config.train.steps,
            "phase": trained.phase if trained else "",
            "rates": self._rates(),
            "changes": list(trained.changes) if trained else [],
            "live": live["step"] if live else None,
            "points": bool(self.frames and self.frames.plane),
            **_folder_json(run, kind),
            "resume": self._resume_command(kind),
            "warnings": self._warnings(),
            "past": [each.describe() for each in run.past_warnings] if run else [],
        }

    def _rates(self) -> dict[str, str]:
        """Return the options that can be changed as they are now, written as for ``--set``."""
        config, rates = self.config, {}
        progress = config.progress_at(self.run.step if self.run else 0)
        for name in CHANGEABLE:
            value: Any = getattr(config.train, name.removeprefix("train."))
            if schedule := config.schedules.get(name):
                value = type(value)(f"{schedule.at(progress):.4g}")
            rates[name] = format_argument(value)
        for change in self.trained.changes if self.trained else ():
            rates |= {name: str(value) for name, value in change["options"].items()}
        return rates

    def stage(self) -> dict[str, Any] | None:
        """Return what the updates of the last step looked at, or None."""
        stage = self.trained.stage if self.trained else None
        if stage is None:
            return None
        return {**stage, "phase": "" if stage["generator"] else BETWEEN}

    def _step(self, live: Mapping[str, Any] | None) -> int:
        step = self.run.step if self.run else 0
        if self.trained and not self.trained.is_over and live:
            return max(step, live["step"])
        return step

    def _resume_command(self, kind: str) -> str:
        """Return the command that resumes the run, or empty unless it was interrupted."""
        if self.run is None or not self.run.saved_step or kind not in (INTERRUPTED, STOPPED):
            return ""
        return f"ganzoo train --resume {shlex.quote(escape_text(str(self.run.run.path)))}"

    def _warnings(self) -> list[str]:
        sources = (self.trained, self.run)
        messages = [message for each in sources if each for message in each.warnings]
        return list(dict.fromkeys(messages))

    def curves(self) -> dict[str, Any]:
        """Return the curves of all metrics and scores, and of the numbers of frames."""
        if self.run is None:
            return {"numbers": {}, "scores": {}}
        if self._curves is None:
            scores = {name: found.series for name, found in self.run.scores.items()}
            numbers = {**self.run.numbers, **(self.frames.series() if self.frames else {})}
            self._curves = {
                kind: {name: _curve_json(*each.curve(MOST_POINTS)) for name, each in found.items()}
                for kind, found in (("numbers", numbers), ("scores", scores))
            }
        return self._curves

    def frames_after(self, after: int) -> dict[str, Any]:
        """Return the frames after a step, and the newest one."""
        frames = self.frames
        return {
            "plane": frames.plane if frames else None,
            "kept": frames.after(after, MOST_FRAMES) if frames else [],
            "live": self.newest_frame(),
        }

    def picture(self, step: int) -> Path | None:
        """Return the path of the sample picture of a step, if there is one."""
        return self.run.pictures.get(step) if self.run else None


def _folder_json(run: RunReader | None, kind: str) -> dict[str, Any]:
    """Return the data from a run's folder."""
    if run is None:
        return {
            "numbers": {},
            "scores": {},
            "pictures": [],
            "pairs": False,
            "speed": "",
            "left": "",
        }
    pictures = [] if run.is_gone else list(run.pictures)
    left = run.seconds_left()
    return {
        "numbers": {name: series.last for name, series in run.numbers.items()},
        "scores": {name: found.as_json() for name, found in run.scores.items()},
        "pictures": [pictures[i] for i in choose_evenly(len(pictures), MOST_PICTURES)],
        "pairs": run.pairs,
        "speed": f"{run.speed:,.0f} images/s" if run.speed and kind in (TRAINING, FINISHED) else "",
        "left": f"{format_duration(left)} left" if left is not None and kind == TRAINING else "",
    }


def _curve_json(steps: Iterable[float], values: Iterable[float]) -> dict[str, list[float]]:
    return {
        "steps": [round(step, 1) for step in steps],
        "values": [float(f"{value:.5g}") for value in values],
    }
