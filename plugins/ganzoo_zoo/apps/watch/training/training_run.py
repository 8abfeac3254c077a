"""A run that trains for the page: its state, as its process and the queue report it."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.errors import GanzooError, excerpt
from ganzoo.runs.state import TRAINING
from ganzoo_zoo.apps.shared.worker_process import describe_exit
from ganzoo_zoo.apps.watch.points.frames import parse_frame
from ganzoo_zoo.apps.watch.runs.run_reader import LONGEST_WARNING, WARNINGS
from ganzoo_zoo.apps.watch.training.control_words import (
    BETWEEN,
    CONTINUE,
    FAILED,
    FINISHED,
    NEAREST,
    PAUSE,
    STEP,
    STEP_DISCRIMINATOR,
    STEP_GENERATOR,
    STOP,
    STOPPED,
    WALK,
)
from ganzoo_zoo.apps.watch.training.limits import RunLimits

if TYPE_CHECKING:
    from ganzoo.config import RunConfig
MOST_CHANGES = 200
"""The most changes of a run that the page lists, the last ones."""

QUEUED, SET_ASIDE = "queued", "set aside"
STARTING, PAUSING, PAUSED, STOPPING = "starting", "pausing", "paused", "stopping"
ENDS = (FINISHED, STOPPED, FAILED)
CHANGE = "change"
STEPS = (STEP, STEP_DISCRIMINATOR, STEP_GENERATOR)
"""Commands after which a run pauses again."""
ALLOWED_COMMANDS = {
    QUEUED: (STOP,),
    SET_ASIDE: (CONTINUE, STOP),
    TRAINING: (PAUSE, STOP, CHANGE),
    PAUSING: (CONTINUE, STOP, CHANGE),
    PAUSED: (*STEPS, CONTINUE, STOP, CHANGE),
    STOPPING: (),
}
"""The commands that a run accepts in each state, once it has started."""
STATES_AFTER = {
    PAUSE: (PAUSING, PAUSED, SET_ASIDE),
    CONTINUE: (TRAINING, QUEUED),
    STOP: (STOPPING, *ENDS),
    **dict.fromkeys(STEPS, ()),
}
"""The states in which a command is ignored, because another tab has sent it before."""


class Busy(GanzooError):
    """A request cannot be met at the moment."""


class Unknown(GanzooError):
    """There is no such run, or it is not trained here."""


class TrainingRun:
    """A run that trains for the page, as its process reports it.

    Args:
        name: Name of the run on the page.
        config: Configuration of the run.
        paused: Whether it pauses before its first update.
        owner: The pupil whose run it is; empty for the teacher's.
        out: Folder that it makes; None for a new one under ``runs/``.
        init: Name of the model that it starts from, if any.
        path: Folder of the run to train on; None for a new run.
        limits: What it may take.
    """

    def __init__(
        self,
        name: str,
        config: RunConfig,
        *,
        paused: bool,
        owner: str = "",
        out: Path | None = None,
        init: str | None = None,
        path: Path | None = None,
        limits: RunLimits | None = None,
    ) -> None:
        self.name = name
        self.config = config
        self.state = STARTING
        self.paused = paused
        """Whether it pauses as soon as it is ready."""
        self.owner = owner
        self.out = out
        self.init = init
        self.path = path
        """Folder of the run, once it exists."""
        self.limits = limits or RunLimits()
        self.seconds = 0.0
        """Seconds that it has had a process, as its limits count them."""
        self.turn = 0.0
        """The same since it got its present process."""
        self.paused_for = 0.0
        """Seconds that it has paused while others waited."""
        self.stopping_for = 0.0
        """Seconds since it was told to stop."""
        self.reason = ""
        """Why it is being stopped, if nobody asked for it."""
        self.message = ""
        """Why the run failed, or what it does before its first step."""
        self.refused = ""
        """Why the last change of its options was refused, or empty."""
        self.phase = ""
        """``between`` while it pauses after the discriminator's updates of a step."""
        self.stage: dict[str, Any] | None = None
        """What the updates of the last step looked at, if the run was asked to keep it."""
        self.changes: deque[dict[str, Any]] = deque(maxlen=MOST_CHANGES)
        """Options that were changed, each with its step."""
        self.answers: dict[str, dict[str, Any]] = {}
        """The last answer to each question."""
        self.asked: set[str] = set()
        """Questions that were not answered yet."""
        self.warnings: deque[str] = deque(maxlen=WARNINGS)
        self.frame: dict[str, Any] | None = None
        """The last frame that the run sent."""
        self._makes_way = False

    @property
    def allowed_commands(self) -> tuple[str, ...]:
        """The commands that the run accepts now."""
        if self.state == STARTING:
            return (CONTINUE if self.paused else PAUSE), STOP
        allowed = ALLOWED_COMMANDS.get(self.state, ())
        if self.phase == BETWEEN:
            return tuple(word for word in allowed if word != STEP_DISCRIMINATOR)
        return allowed

    @property
    def is_awaiting_folder(self) -> bool:
        """Whether its folder does not exist yet but may appear at any time."""
        waits = self.state in (QUEUED, SET_ASIDE)
        return self.path is None and self.out is None and not (waits or self.is_over)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, successfully or not."""
        return self.state in ENDS

    def set_aside(self) -> None:
        """Note that the run makes way once its state is saved, and goes on later."""
        self._makes_way = True

    def stay_stopped(self) -> None:
        """Note that the run does not go on, should it be making way at the moment."""
        self._makes_way = False

    def prepare_again(self, *, paused: bool) -> None:
        """Make ready for another process, which trains on."""
        self.state, self.paused, self.message, self.phase = QUEUED, paused, "", ""
        self.turn = self.paused_for = self.stopping_for = 0.0
        self.reason, self._makes_way = "", False

    def take_time(self, seconds: float, *, others_wait: bool) -> None:
        """Count seconds in which the run has had a process."""
        rests = self.state == PAUSED
        if others_wait or not rests:
            self.seconds += seconds
            self.turn += seconds
        self.paused_for = self.paused_for + seconds if others_wait and rests else 0.0
        self.stopping_for = self.stopping_for + seconds if self.state == STOPPING else 0.0

    def take_news(self, news: Mapping[str, Any]) -> None:
        """Update the run by a message from its process."""
        for word, take in NEWS.items():
            if word in news:
                take(self, news)
                return
        if self.state != STOPPING:
            self._set_resting(resting="paused" in news, phase=news.get("phase", ""))

    def _take_frame(self, news: Mapping[str, Any]) -> None:
        self.frame = parse_frame(news["frame"])

    def _take_folder(self, news: Mapping[str, Any]) -> None:
        self.path, self.message = Path(news["run"]), ""
        if self.state == STARTING:
            self.state = PAUSING if self.paused else TRAINING

    def _take_progress(self, news: Mapping[str, Any]) -> None:
        self.message = excerpt(f"{news['doing']}: {news['done']:,} of {news['total']:,}")

    def _take_warning(self, news: Mapping[str, Any]) -> None:
        self.warnings.append(excerpt(news["warning"], LONGEST_WARNING))

    def _take_warning_end(self, news: Mapping[str, Any]) -> None:
        ended = excerpt(news["ended_warning"], LONGEST_WARNING)
        self.warnings = deque((w for w in self.warnings if w != ended), maxlen=WARNINGS)

    def _take_change(self, news: Mapping[str, Any]) -> None:
        self.refused = ""
        self.changes.append(news["changed"])

    def _take_refusal(self, news: Mapping[str, Any]) -> None:
        self.refused = excerpt(news["refused"], LONGEST_WARNING)

    def _take_walk(self, news: Mapping[str, Any]) -> None:
        self._take_answer(WALK, {"picture": news[WALK]})

    def _take_nearest(self, news: Mapping[str, Any]) -> None:
        self._take_answer(NEAREST, make_finite(news[NEAREST]))

    def _take_stage(self, news: Mapping[str, Any]) -> None:
        """Keep the parts of one step, one of each network."""
        step = news["step"]
        if self.stage is None or self.stage["step"] != step:
            self.stage = {"step": step, "discriminator": None, "generator": None}
        self.stage[news["network"]] = make_finite(news["stage"])

    def _take_answer(self, word: str, answer: dict[str, Any]) -> None:
        self.asked.discard(word)
        self.answers[word] = {**answer, "at": time.monotonic()}

    def _set_resting(self, *, resting: bool, phase: str) -> None:
        self.phase = phase if resting else ""
        if resting:
            self.state = PAUSED
        elif self.state == PAUSED and not self.paused:
            self.state = TRAINING

    def _take_end(self, news: Mapping[str, Any]) -> None:
        self._end(news["ended"], excerpt(news.get("message", ""), 500))

    def _end(self, how: str, message: str) -> None:
        self.state, self.phase = how, ""
        self.message = message or self.reason
        self.asked.clear()
        if how == STOPPED and self._makes_way:
            self.state, self.message = SET_ASIDE, ""

    def mark_lost(self, code: int) -> None:
        """Mark the run as failed because its process ended unexpectedly."""
        if not self.is_over:
            self._end(FAILED, self.reason or describe_exit(code))


NEWS: dict[str, Callable[[TrainingRun, Mapping[str, Any]], None]] = {
    "frame": TrainingRun._take_frame,
    "run": TrainingRun._take_folder,
    "doing": TrainingRun._take_progress,
    "warning": TrainingRun._take_warning,
    "ended_warning": TrainingRun._take_warning_end,
    "stage": TrainingRun._take_stage,
    "changed": TrainingRun._take_change,
    "refused": TrainingRun._take_refusal,
    WALK: TrainingRun._take_walk,
    NEAREST: TrainingRun._take_nearest,
    "ended": TrainingRun._take_end,
}
"""What a message from a process is about, and what takes it."""


def make_finite(value: Any) -> Any:
    """Replace numbers that JSON does not know by None, in a value of JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: make_finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return [make_finite(each) for each in value]
    return value
