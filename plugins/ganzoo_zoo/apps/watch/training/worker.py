"""The worker process of the page, which trains one run after another.

It reads orders from standard input and writes news to standard output, both as lines of JSON, which
:mod:`ganzoo_zoo.apps.watch.training.control_words` describes. When standard input ends, the server
has ended, and the run under way saves its state and stops.
"""

from __future__ import annotations

import _thread
import base64
import json
import queue
import signal
import sys
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from ganzoo.api.training import continue_run, start
from ganzoo.compute.memory import keep_freed_memory
from ganzoo.config import RunConfig
from ganzoo.errors import GanzooError, Interrupted, first_line
from ganzoo.progress import JsonChannel
from ganzoo.training.observer import Observer
from ganzoo.training.warm_start import StartingWeights
from ganzoo_zoo.apps.shared.worker_process import LineReader, block_signals
from ganzoo_zoo.apps.watch.training.control_words import (
    BETWEEN,
    CONTINUE,
    FAILED,
    FINISHED,
    MAX_TRAINING,
    NEAREST,
    PAUSE,
    STEP,
    STEP_DISCRIMINATOR,
    STEP_GENERATOR,
    STOP,
    STOPPED,
    WALK,
)
from ganzoo_zoo.apps.watch.training.limits import (
    Watch,
    hold_to,
    require_change_within,
    require_within,
)

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.runs.folder import Run
    from ganzoo.training.trainer import Trainer
    from ganzoo.training.updates import Update
    from ganzoo_zoo.apps.watch.points.live import LivePlane

SECONDS_BETWEEN_FRAMES = 0.15


class Stopped(BaseException):
    """A run was stopped before its first step. ``except Exception`` must not catch this."""


class RunControl(Observer):
    """Pauses, steps, changes and stops a run on command, answers questions, and reports progress.

    A run pauses after a step, once its line of metrics and its picture, if any, are written; or
    within a step, once the discriminator's updates are done and before the generator's. While it
    goes step by step it also reports what each update looks at.

    Places are counted in half steps: ``2 * s`` is after step ``s``, and ``2 * s + 1`` within the
    next one.

    Args:
        order: The order to train it.
        channel: Channel for news.
    """

    def __init__(self, order: Mapping[str, Any], channel: JsonChannel) -> None:
        self.order = order
        self.name: str = order["name"]
        self.stopping = False
        self.end_message = ""
        """Why it stops, if nobody asked for it."""
        self._channel = channel
        self._commanded = threading.Condition()
        self._place = 0
        """The last place that the run came to."""
        self._rest_at: int | None = 0 if order["paused"] else None
        """The place to pause at, or else after the next step; None to go on."""
        self._tells = False
        """Whether a pause is to be reported, because it begins or a command came."""
        self._asked: list[str] = []
        self._has_order = False
        self._rested_step = -1
        self._stop_requested = False
        self._trainer: Trainer | None = None
        """The trainer, from :meth:`on_ready` on."""
        self._plane: LivePlane | None = None
        self._frame_sent_at = 0.0
        self._watch = Watch(order.get("bounds"))

    # Called by the thread that reads orders.

    def take_order(self, order: Mapping[str, Any]) -> None:
        """Take a command, a question or a change of options."""
        if "change" in order:
            try:
                require_change_within(order["change"], self.order.get("bounds"))
                self.change(order["change"])
            except GanzooError as error:
                self.send_news(refused="; ".join(str(error).splitlines()))
        with self._commanded:
            if (word := order.get("word")) in (WALK, NEAREST):
                self._asked.append(word)
            elif word is not None:
                self._apply_command(word)
            self._has_order = True
            self._commanded.notify()

    def _apply_command(self, word: str) -> None:
        """Apply a command; several that come at once add up."""
        at = self._place if self._rest_at is None else max(self._rest_at, self._place)
        if word == STOP:
            self.stopping = True
        elif word == CONTINUE:
            self._rest_at = None
        elif word == PAUSE:
            self._rest_at = self._place
        elif word in (STEP, STEP_GENERATOR):
            self._rest_at = at - at % 2 + 2
        elif word == STEP_DISCRIMINATOR:
            self._rest_at = at - at % 2 + 1
        self._tells = True

    # Called by training.

    def on_ready(self, trainer: Trainer) -> None:
        """Keep the trainer, for frames between two pictures."""
        from ganzoo_zoo.apps.watch.points.live import LivePlane

        self.raise_if_stopping()
        require_within(trainer, self.order.get("bounds"))
        self._trainer = trainer
        self._plane = LivePlane.of(trainer)
        self._watch_updates()

    def on_start(self, run: Run, config: RunConfig, step: int) -> None:
        """Report the folder of the run; one that is trained on may pause before its next step."""
        self.send_news(run=str(run.path))
        with self._commanded:
            if self._rest_at is not None:
                self._rest_at += 2 * step - self._place
            self._place = 2 * step
        if step:
            self._rest(step)

    def on_step(self, step: int) -> None:
        """Stop on request, or pause if neither a line nor a picture follows at this step."""
        if reason := self._watch.find_excess():
            self.stopping, self.end_message = True, reason
        if self.stopping and not self._stop_requested:
            self._stop_requested = True
            _thread.interrupt_main(signal.SIGTERM)
        options = self._started.options
        if step % options.log_every and step % options.sample_every:
            self._rest(step)

    def on_log(self, row: dict[str, Any]) -> None:
        """Pause, unless a picture follows."""
        if row["step"] % self._started.options.sample_every:
            self._rest(row["step"])

    def on_picture(self, step: int, picture: Tensor, layout: str) -> None:
        """Pause."""
        self._rest(step)

    def on_change(self, step: int, options: dict[str, Any]) -> None:
        """Report a change of options."""
        self.send_news(changed={"step": step, "options": options})

    def on_progress(self, what: str, done: int, total: int) -> None:
        """Report the progress of long work before training, and stop on request."""
        if self._trainer is None:  # training itself stops between two steps
            self.send_news(doing=what, done=done, total=total)
            self.raise_if_stopping()

    def on_warning(self, message: str) -> None:
        """Report a warning."""
        self.send_news(warning=message)

    def on_warning_end(self, warning: str, message: str) -> None:
        """Report which warning has ended."""
        self.send_news(ended_warning=warning)

    def send_news(self, **news: Any) -> None:
        """Send news of this run."""
        self._channel.tell(name=self.name, **news)

    def raise_if_stopping(self) -> None:
        """Raise :class:`Stopped` if the run has been stopped."""
        if self.stopping:
            raise Stopped

    @property
    def _started(self) -> Trainer:
        assert self._trainer is not None  # set by on_ready, before any step
        return self._trainer

    def _rest(self, step: int) -> None:
        """Pause after a step, if commanded, until the next command."""
        if step in (self._rested_step, self._started.options.steps):
            return  # a step may have two pictures, and a run does not pause at its end
        self._rested_step = step
        self._rest_at_place(2 * step, "")
        self._watch_updates()

    def _watch_updates(self) -> None:
        """Look at the updates of the next step, unless the run goes on at full speed."""
        self._started.on_update = None if self._rest_at is None else self._show_update

    def _show_update(self, update: Update) -> None:
        """Report what an update looks at, and pause before the generator's, if commanded."""
        from ganzoo_zoo.apps.watch.points.stage import make_part

        if update.network == "generator":
            self._rest_at_place(2 * update.step - 1, BETWEEN)
        plane = None if self._plane is None else self._plane.plane
        part = make_part(update, plane, self._started)
        if part is not None:  # None if the run diverges, and reports it itself
            self.send_news(stage=part, network=update.network, step=update.step)

    def _rest_at_place(self, place: int, phase: str) -> None:
        """Pause at a place, if commanded, until the next command; answer and change meanwhile."""
        with self._commanded:
            self._place = place
            self._tells = True
        self._send_frame(now=self._rests())
        waited = False
        with self._watch.paused():
            while self._rests():
                waited = True
                self._answer_questions()
                if self._changes is not None and not phase:
                    self._changes.take_up()
                with self._commanded:
                    if not self._rests():
                        break
                    if self._tells:
                        self._tells = False
                        within = {"phase": phase} if phase else {}
                        self.send_news(paused=self._started.state.step, **within)
                    self._commanded.wait_for(lambda: self._has_order)
                    self._has_order = False
        self._answer_questions()
        if waited:
            self.send_news(going=self._started.state.step)

    def _rests(self) -> bool:
        """Tell whether the run pauses at its place: within a step only if just that was asked."""
        at, place = self._rest_at, self._place
        return (
            not self.stopping and at is not None and (place == at or (place > at and not place % 2))
        )

    def _answer_questions(self) -> None:
        """Answer what was asked since, without a change of the training."""
        while self._asked:
            word, step = self._asked.pop(0), self._started.state.step
            self.send_news(**{word: _look(word, self._started), "step": step})

    def _send_frame(self, now: bool) -> None:
        """Send a frame if the run pauses or if the last frame is old enough."""
        if self._plane is None or not (
            now or time.monotonic() - self._frame_sent_at > SECONDS_BETWEEN_FRAMES
        ):
            return
        if frame := self._plane.make_frame():
            self.send_news(frame=frame)
        self._frame_sent_at = time.monotonic()


def _look(word: str, trainer: Trainer) -> Any:
    """Return the answer to a question about images, which is empty if there is none."""
    from ganzoo_zoo.apps.watch.training.looks import find_nearest, make_walk

    try:
        if word == WALK:
            picture = make_walk(trainer)
            return None if picture is None else base64.b64encode(picture).decode("ascii")
        return find_nearest(trainer) or {"step": trainer.state.step, "pairs": []}
    except GanzooError:
        return None if word == WALK else {"step": trainer.state.step, "pairs": []}


class OrderQueue:
    """Orders from standard input; at its end the run under way is stopped."""

    def __init__(self, channel: JsonChannel) -> None:
        self.runs: queue.SimpleQueue[RunControl | None] = queue.SimpleQueue()
        self._channel = channel
        self._controls: dict[str, RunControl] = {}
        LineReader(lambda line: self._handle(json.loads(line)), self._end).start()

    def forget(self, control: RunControl) -> None:
        """Forget a run that has ended."""
        self._controls.pop(control.name, None)

    def _handle(self, order: Mapping[str, Any]) -> None:
        control = self._controls.get(order["name"])
        if "config" in order or "resume" in order:
            control = RunControl(order, self._channel)
            self._controls[control.name] = control
            self.runs.put(control)
        elif control is not None:
            control.take_order(order)

    def _end(self) -> None:
        for control in list(self._controls.values()):
            control.take_order({"word": STOP})
        self.runs.put(None)


def main() -> int:
    """Train until there are no more orders, and return the exit code."""
    block_signals()
    inbox = OrderQueue(JsonChannel())
    keep_freed_memory()
    # Torch's first optimiser imports for seconds, which pass while a person reads the form.
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    most = torch.get_num_threads()
    while (control := inbox.runs.get()) is not None:
        torch.set_num_threads(max(1, most // control.order.get("share", MAX_TRAINING)))
        ended = _train_run(control)
        inbox.forget(control)
        control.send_news(**ended)
    return 0


def _train_run(control: RunControl) -> dict[str, Any]:
    """Train a run, and return how it ended."""
    try:
        control.raise_if_stopping()
        with hold_to(control.order.get("bounds")):
            _start_run(control, control.order)
    except (Interrupted, Stopped):
        why = {"message": control.end_message} if control.end_message else {}
        return {"ended": STOPPED, **why}
    except GanzooError as error:
        return {"ended": FAILED, "message": "; ".join(str(error).splitlines())}
    except Exception as error:
        return {"ended": FAILED, "message": f"{type(error).__name__}: {first_line(error)}"}
    return {"ended": FINISHED}


def _start_run(control: RunControl, order: Mapping[str, Any]) -> None:
    """Train a new run, or train on one that stopped."""
    if "resume" in order:
        continue_run(order["resume"], {}, control, trackers=None)
        return
    config = RunConfig.model_validate(order["config"])
    init = order.get("init")
    # Another process that resumes the run has another number of threads.
    config = config.model_copy(update={"threads": torch.get_num_threads()})
    start(config, order.get("out"), control, None if init is None else StartingWeights.load(init))


if __name__ == "__main__":
    sys.exit(main())
