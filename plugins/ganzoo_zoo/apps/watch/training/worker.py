"""The worker process of the page, which trains one run after another.

It reads orders from standard input and writes news to standard output, both as lines of JSON. An
order is a run to train, or a command to a run: pause, step, continue or stop. When standard input
ends, the server has ended, and the run under way saves its state and stops.
"""

from __future__ import annotations

import _thread
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
    FAILED,
    FINISHED,
    MAX_TRAINING,
    PAUSE,
    STEP,
    STOP,
    STOPPED,
)
from ganzoo_zoo.apps.watch.training.limits import hold_to, require_within

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.runs.folder import Run
    from ganzoo.training.trainer import Trainer
    from ganzoo_zoo.apps.watch.points.live import LivePlane

SECONDS_BETWEEN_FRAMES = 0.15


class Stopped(BaseException):
    """A run was stopped before its first step. ``except Exception`` must not catch this."""


class RunControl(Observer):
    """Pauses, steps and stops a run on command, and reports its progress.

    A run pauses after an update, once its line of metrics and its picture, if any, are written.

    Args:
        order: The order to train it: its ``name`` in news; its ``config``, or the folder of the run
            to ``resume``; whether it is ``paused`` before its first update; and, if any, the folder
            ``out`` that it makes, the model ``init`` that it starts from, and its ``bounds``.
        channel: Channel for news.
    """

    def __init__(self, order: Mapping[str, Any], channel: JsonChannel) -> None:
        self.order = order
        self.name: str = order["name"]
        self.stopping = False
        self._channel = channel
        self._changed = threading.Condition()
        self._allowed: int | None = 0 if order["paused"] else None
        """Number of updates before the next pause; None without limit."""
        self._rested_step = -1
        self._stop_requested = False
        self._trainer: Trainer | None = None
        """The trainer, from :meth:`on_ready` on."""
        self._plane: LivePlane | None = None
        self._frame_sent_at = 0.0

    # Called by the thread that reads orders.

    def apply_command(self, word: str) -> None:
        """Apply a command: pause, step, continue or stop."""
        with self._changed:
            if word == STOP:
                self.stopping = True
            elif word == PAUSE:
                self._allowed = 0
            elif word == STEP:
                self._allowed = (self._allowed or 0) + 1
            else:
                self._allowed = None
            self._changed.notify()

    # Called by training.

    def on_ready(self, trainer: Trainer) -> None:
        """Keep the trainer, for frames between two pictures."""
        from ganzoo_zoo.apps.watch.points.live import LivePlane

        self.raise_if_stopping()
        require_within(trainer, self.order.get("bounds"))
        self._trainer = trainer
        self._plane = LivePlane.of(trainer)

    def on_start(self, run: Run, config: RunConfig, step: int) -> None:
        """Report the folder of the run."""
        self.send_news(run=str(run.path))

    def on_step(self, step: int) -> None:
        """Stop on request, or pause if neither a line nor a picture follows at this step."""
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
        with self._changed:
            resting = self._allowed == 0 and not self.stopping
        self._send_frame(now=resting)
        with self._changed:
            waited = False
            while self._allowed == 0 and not self.stopping:
                self.send_news(paused=step)  # once per command, even if the run paused again
                waited = self._changed.wait()
            if self._allowed:
                self._allowed -= 1
        if waited:
            self.send_news(going=step)

    def _send_frame(self, now: bool) -> None:
        """Send a frame if the run pauses or if the last frame is old enough."""
        if self._plane is None or not (
            now or time.monotonic() - self._frame_sent_at > SECONDS_BETWEEN_FRAMES
        ):
            return
        if frame := self._plane.make_frame():
            self.send_news(frame=frame)
        self._frame_sent_at = time.monotonic()


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
            control.apply_command(order["word"])

    def _end(self) -> None:
        for control in list(self._controls.values()):
            control.apply_command(STOP)
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
        return {"ended": STOPPED}
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
