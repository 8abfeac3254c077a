"""Runs that are trained for a page, each in a process of its own, and what is known of them.

Processes are used again: each has to import torch once.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ganzoo.errors import GanzooError, excerpt
from ganzoo_zoo.apps.watch.commands import (
    CONTINUE,
    FAILED,
    FINISHED,
    MAX_TRAINING,
    PAUSE,
    STEP,
    STOP,
    STOPPED,
)
from ganzoo_zoo.apps.watch.frames import parse_frame
from ganzoo_zoo.apps.watch.run_reader import TRAINING, WARNINGS

if TYPE_CHECKING:
    from ganzoo.config import RunConfig

PATIENCE = 60.0
"""Seconds that a process may take to save the state of its run."""

STARTING, PAUSING, PAUSED, STOPPING = "starting", "pausing", "paused", "stopping"
ENDS = (FINISHED, STOPPED, FAILED)
ALLOWED_COMMANDS = {
    TRAINING: (PAUSE, STOP),
    PAUSING: (CONTINUE, STOP),
    PAUSED: (STEP, CONTINUE, STOP),
    STOPPING: (),
}
"""What a run may be told once it has begun."""
STATES_AFTER = {
    PAUSE: (PAUSING, PAUSED),
    CONTINUE: (TRAINING,),
    STOP: (STOPPING, *ENDS),
    STEP: (),
}
"""In which states a word changes nothing, as somebody else has said it before."""


class Busy(GanzooError):
    """What is asked for cannot be done now."""


class Unknown(GanzooError):
    """There is no such run, or none that is trained here."""


class TrainingRun:
    """A run that is trained for the page, as far as its process has told.

    Args:
        name: What news of it are called by.
        config: What is trained.
        paused: Whether it waits before its first update.
    """

    def __init__(self, name: str, config: RunConfig, *, paused: bool) -> None:
        self.name = name
        self.config = config
        self.state = STARTING
        self.paused = paused
        """Whether it is to rest as soon as it is ready."""
        self.path: Path | None = None
        """Its folder, once there is one."""
        self.message = ""
        """Why it failed, or what it does before its first step."""
        self.warnings: deque[str] = deque(maxlen=WARNINGS)
        self.frame: dict[str, Any] | None = None
        """The last points that it sent."""

    @property
    def allowed_commands(self) -> tuple[str, ...]:
        """What it may be told."""
        if self.state == STARTING:
            return (CONTINUE if self.paused else PAUSE), STOP
        return ALLOWED_COMMANDS.get(self.state, ())

    @property
    def is_awaiting_folder(self) -> bool:
        """Whether its folder may appear at any time."""
        return self.path is None and not self.is_over

    @property
    def is_over(self) -> bool:
        """Whether it is over, well or not."""
        return self.state in ENDS

    def take_news(self, news: Mapping[str, Any]) -> None:
        """Note what its process says."""
        if "frame" in news:
            self.frame = parse_frame(news["frame"])
        elif "run" in news:
            self.path, self.message = Path(news["run"]), ""
            if self.state == STARTING:
                self.state = PAUSING if self.paused else TRAINING
        elif "doing" in news:
            self.message = excerpt(f"{news['doing']}: {news['done']:,} of {news['total']:,}")
        elif "warning" in news:
            self.warnings.append(excerpt(news["warning"], 300))
        elif "ended" in news:
            self.state, self.message = news["ended"], excerpt(news.get("message", ""), 500)
        elif self.state != STOPPING:
            self._set_resting(resting="paused" in news)

    def _set_resting(self, *, resting: bool) -> None:
        if resting:
            self.state = PAUSED
        elif self.state == PAUSED and not self.paused:
            self.state = TRAINING

    def mark_lost(self, code: int) -> None:
        """Note that its process has ended without a word."""
        if not self.is_over:
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
            self.state, self.message = FAILED, f"its process {how}"


class TrainingProcesses:
    """The processes that train for a page.

    Args:
        lock: Held while what is known of a run changes.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._processes: list[_Process] = []

    def start(self, run: TrainingRun, instead: TrainingRun | None = None) -> None:
        """Have a run trained.

        Args:
            run: The run.
            instead: One that is stopped for it, if it is not over yet.

        Raises:
            Busy: as many are trained as may be.
        """
        process = next((each for each in self._processes if each.has_run(instead)), None)
        if process is not None and instead is not None:
            process.send_command(instead, STOP)
        else:
            process = self._find_idle()
        process.train(run)

    def send_command(self, run: TrainingRun, word: str) -> None:
        """Pass a word on to a run.

        Raises:
            Busy: it can do no such thing now.
        """
        if run.state in STATES_AFTER[word]:
            return
        if word not in run.allowed_commands:
            raise Busy(f"a run that is {run.state} cannot do that: {word}")
        for process in self._processes:
            if process.has_run(run):
                process.send_command(run, word)

    def close(self) -> None:
        """End every process; what they train saves its state before."""
        with self._lock:
            processes = list(self._processes)
        for process in processes:
            process.close_stdin()
        until = time.monotonic() + PATIENCE
        for process in processes:
            process.wait(until)

    def _find_idle(self) -> _Process:
        self._processes = [each for each in self._processes if each.is_alive]
        found = next((each for each in self._processes if not each.is_busy), None)
        if found is None:
            if len(self._processes) >= MAX_TRAINING:
                raise Busy(f"{MAX_TRAINING} runs are trained here already: stop one first")
            found = _Process(self._lock)
            self._processes.append(found)
        return found


class _Process:
    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._runs: dict[str, TrainingRun] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ganzoo_zoo.apps.watch.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for the server
        )
        self._reader = threading.Thread(target=self._read_news, daemon=True)
        self._reader.start()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def is_busy(self) -> bool:
        return any(not run.is_over for run in self._runs.values())

    def has_run(self, run: TrainingRun | None) -> bool:
        return run is not None and not run.is_over and self._runs.get(run.name) is run

    def train(self, run: TrainingRun) -> None:
        self._runs[run.name] = run
        config = run.config.model_dump(mode="json")
        self._send_order(name=run.name, config=config, paused=run.paused)

    def send_command(self, run: TrainingRun, word: str) -> None:
        run.paused = word in (PAUSE, STEP)
        self._send_order(name=run.name, word=word)
        if run.state != STARTING or word == STOP:
            run.state = {PAUSE: PAUSING, STEP: PAUSING, CONTINUE: TRAINING, STOP: STOPPING}[word]

    def close_stdin(self) -> None:
        with contextlib.suppress(OSError):
            _pipe(self._process.stdin).close()

    def wait(self, until: float) -> None:
        try:
            self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()

    def _send_order(self, **order: Any) -> None:
        # Of a process that has ended the reader learns, and says so of its runs.
        with contextlib.suppress(OSError, ValueError):
            _pipe(self._process.stdin).write(json.dumps(order) + "\n")
            _pipe(self._process.stdin).flush()

    def _read_news(self) -> None:
        for line in _pipe(self._process.stdout):
            if not line.endswith("\n"):
                break  # it was killed while it wrote
            news = json.loads(line)
            with self._lock:
                if (run := self._runs.get(news["name"])) is not None:
                    run.take_news(news)
                    if run.is_over:
                        del self._runs[run.name]
        _pipe(self._process.stdout).close()
        code = self._process.wait()
        with self._lock:
            for run in self._runs.values():
                run.mark_lost(code)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
