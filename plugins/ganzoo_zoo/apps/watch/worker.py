"""A process that trains for a page: orders on standard input, news on standard output.

Both are lines of JSON. An order is a run to be trained, or a word for one: to pause, to do a step,
to go on, or to stop. Runs are trained one after another. When standard input ends, the page's
server has, well or not: what is under way saves its state, so that nothing waits for ever. That and
the word are the ways to stop it in good order.
"""

from __future__ import annotations

import _thread
import json
import queue
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import torch

from ganzoo.api import start
from ganzoo.compute.memory import keep_freed_memory
from ganzoo.config import RunConfig
from ganzoo.errors import GanzooError, Interrupted, first_line
from ganzoo.progress import JsonChannel
from ganzoo.training.observer import Observer
from ganzoo_zoo.apps.watch.commands import (
    FAILED,
    FINISHED,
    MAX_TRAINING,
    PAUSE,
    STEP,
    STOP,
    STOPPED,
)

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.runs.folder import Run
    from ganzoo.training.trainer import Trainer
    from ganzoo_zoo.apps.watch.points import Plane

SECONDS_BETWEEN_FRAMES = 0.15


class Stopped(BaseException):
    """A run was stopped before its first step, which no reader of broken files is to catch."""


class RunControl(Observer):
    """Has a run train as fast as it may, and tells how it goes.

    A run rests after an update whose line and picture, if it has any, are written.

    Args:
        name: What news of the run are called by.
        config: What is trained, as JSON.
        paused: Whether it waits before its first update.
        channel: Where its news go.
    """

    def __init__(
        self, name: str, config: dict[str, Any], paused: bool, channel: JsonChannel
    ) -> None:
        self.name = name
        self.config = config
        self.stopping = False
        self._channel = channel
        self._changed = threading.Condition()
        self._allowed: int | None = 0 if paused else None
        """Updates that it may do before it rests; None for all."""
        self._rested_step = -1
        self._stop_requested = False
        self._trainer: Trainer | None = None
        self._plane: Plane | None = None
        self._inputs: Any = None
        self._frame_sent_at = 0.0

    # What the other thread calls.

    def apply_command(self, word: str) -> None:
        """Do as a word says."""
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

    # What training calls.

    def on_ready(self, trainer: Trainer) -> None:
        """Get to know what is trained, so that points can be looked at between two pictures."""
        from ganzoo_zoo.apps.watch.points import Plane, has_plane

        self.raise_if_stopping()
        self._trainer = trainer
        if has_plane(trainer.samples.spec, conditional=trainer.conditional):
            self._plane, self._inputs = Plane(trainer.samples), trainer.picture_inputs()

    def on_start(self, run: Run, config: RunConfig, step: int) -> None:
        """Tell where the run is."""
        self.send_news(run=str(run.path))

    def on_step(self, step: int) -> None:
        """Meet a request to stop, or rest if nothing more follows at this step."""
        if self.stopping and not self._stop_requested:
            self._stop_requested = True
            _thread.interrupt_main(signal.SIGTERM)  # as if it had come
        options = self._trainer.options
        if step % options.log_every and step % options.sample_every:
            self._rest(step)

    def on_log(self, row: dict[str, Any]) -> None:
        """Rest, unless a picture follows."""
        if row["step"] % self._trainer.options.sample_every:
            self._rest(row["step"])

    def on_picture(self, step: int, picture: Tensor, layout: str) -> None:
        """Rest."""
        self._rest(step)

    def on_progress(self, what: str, done: int, total: int) -> None:
        """Tell how far long work is that is no step, and leave it if that is asked for."""
        if self._trainer is None:  # what is trained stops between two steps
            self.send_news(doing=what, done=done, total=total)
            self.raise_if_stopping()

    def on_warning(self, message: str) -> None:
        """Pass it on."""
        self.send_news(warning=message)

    def send_news(self, **news: Any) -> None:
        """Tell news of this run."""
        self._channel.tell(name=self.name, **news)

    def raise_if_stopping(self) -> None:
        """Leave what is not trained yet, if that is asked for."""
        if self.stopping:
            raise Stopped

    def _rest(self, step: int) -> None:
        if step in (self._rested_step, self._trainer.options.steps):
            return  # a snapshot may need a picture of its own, and the last step leads to the end
        self._rested_step = step
        with self._changed:
            resting = self._allowed == 0 and not self.stopping
        self._send_frame(step, now=resting)
        with self._changed:
            waited = False
            while self._allowed == 0 and not self.stopping:
                self.send_news(paused=step)  # again where it went on and paused in no time
                waited = self._changed.wait()
            if self._allowed:
                self._allowed -= 1
        if waited:
            self.send_news(going=step)

    def _send_frame(self, step: int, now: bool) -> None:
        """Send what points there are now and then, and whenever the run rests."""
        if self._plane is None or not (
            now or time.monotonic() - self._frame_sent_at > SECONDS_BETWEEN_FRAMES
        ):
            return
        from ganzoo.models.model import generate_stored

        state = self._trainer.state
        try:
            points = generate_stored(state.generator_ema.module, self._inputs, self._plane.spec)
        except GanzooError:
            return  # it diverges, which the run itself will say
        if frame := self._plane.make_frame(step, points, state.discriminator):
            self.send_news(frame=frame)
        self._frame_sent_at = time.monotonic()


class OrderReader(threading.Thread):
    """Reads orders, and notices when there will be no more."""

    def __init__(self, channel: JsonChannel) -> None:
        super().__init__(daemon=True)
        self.runs: queue.SimpleQueue[RunControl | None] = queue.SimpleQueue()
        self._channel = channel
        self._controls: dict[str, RunControl] = {}

    def run(self) -> None:
        """Hand on each order; at the end stop what is under way."""
        # Without a buffer, whose lock this thread would hold when Python ends.
        with open(0, "rb", buffering=0, closefd=False) as lines:
            for line in lines:
                self._handle_order(json.loads(line))
        for pace in list(self._controls.values()):
            pace.apply_command(STOP)
        self.runs.put(None)

    def forget(self, pace: RunControl) -> None:
        """Let go of a run that has ended."""
        self._controls.pop(pace.name, None)

    def _handle_order(self, order: dict[str, Any]) -> None:
        if "config" in order:
            pace = RunControl(order["name"], order["config"], order["paused"], self._channel)
            self._controls[pace.name] = pace
            self.runs.put(pace)
        elif pace := self._controls.get(order["name"]):
            pace.apply_command(order["word"])


def main() -> int:
    """Train until there are no more orders; return the exit code."""
    if hasattr(signal, "pthread_sigmask"):  # Windows has none
        # Ctrl-C and schedulers are for the server, whose end is heard here in any case.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    channel = JsonChannel()
    inbox = OrderReader(channel)
    inbox.start()
    keep_freed_memory()
    torch.set_num_threads(max(1, torch.get_num_threads() // MAX_TRAINING))
    while (pace := inbox.runs.get()) is not None:
        ended = _train_run(pace)
        inbox.forget(pace)
        pace.send_news(**ended)
    return 0


def _train_run(pace: RunControl) -> dict[str, Any]:
    """Train a run, and return how it ended."""
    try:
        pace.raise_if_stopping()
        start(RunConfig.model_validate(pace.config), observer=pace)
    except (Interrupted, Stopped):
        return {"ended": STOPPED}
    except GanzooError as error:
        return {"ended": FAILED, "message": "; ".join(str(error).splitlines())}
    except Exception as error:
        return {"ended": FAILED, "message": f"{type(error).__name__}: {first_line(error)}"}
    return {"ended": FINISHED}


if __name__ == "__main__":
    sys.exit(main())
