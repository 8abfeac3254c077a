"""The runs that train for the page, each in its own process.

Processes are reused, so each imports torch only once.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.errors import GanzooError, excerpt
from ganzoo.runs.state import TRAINING
from ganzoo_zoo.apps.shared.worker_process import describe_exit, pipes, start_process
from ganzoo_zoo.apps.watch.points.frames import parse_frame
from ganzoo_zoo.apps.watch.runs.run_reader import LONGEST_WARNING, WARNINGS
from ganzoo_zoo.apps.watch.training.control_words import (
    CONTINUE,
    FAILED,
    FINISHED,
    MAX_TRAINING,
    PAUSE,
    STEP,
    STOP,
    STOPPED,
)

if TYPE_CHECKING:
    from ganzoo.config import RunConfig

PATIENCE = 60.0
"""Seconds that a process has to save the state of its run."""

STARTING, PAUSING, PAUSED, STOPPING = "starting", "pausing", "paused", "stopping"
ENDS = (FINISHED, STOPPED, FAILED)
ALLOWED_COMMANDS = {
    TRAINING: (PAUSE, STOP),
    PAUSING: (CONTINUE, STOP),
    PAUSED: (STEP, CONTINUE, STOP),
    STOPPING: (),
}
"""The commands that a run accepts in each state, once it has started."""
STATES_AFTER = {
    PAUSE: (PAUSING, PAUSED),
    CONTINUE: (TRAINING,),
    STOP: (STOPPING, *ENDS),
    STEP: (),
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
    """

    def __init__(self, name: str, config: RunConfig, *, paused: bool) -> None:
        self.name = name
        self.config = config
        self.state = STARTING
        self.paused = paused
        """Whether it pauses as soon as it is ready."""
        self.path: Path | None = None
        """Folder of the run, once it exists."""
        self.message = ""
        """Why the run failed, or what it does before its first step."""
        self.warnings: deque[str] = deque(maxlen=WARNINGS)
        self.frame: dict[str, Any] | None = None
        """The last frame that the run sent."""

    @property
    def allowed_commands(self) -> tuple[str, ...]:
        """The commands that the run accepts now."""
        if self.state == STARTING:
            return (CONTINUE if self.paused else PAUSE), STOP
        return ALLOWED_COMMANDS.get(self.state, ())

    @property
    def is_awaiting_folder(self) -> bool:
        """Whether its folder does not exist yet but may appear at any time."""
        return self.path is None and not self.is_over

    @property
    def is_over(self) -> bool:
        """Whether it has ended, successfully or not."""
        return self.state in ENDS

    def take_news(self, news: Mapping[str, Any]) -> None:
        """Update the run by a message from its process."""
        if "frame" in news:
            self.frame = parse_frame(news["frame"])
        elif "run" in news:
            self.path, self.message = Path(news["run"]), ""
            if self.state == STARTING:
                self.state = PAUSING if self.paused else TRAINING
        elif "doing" in news:
            self.message = excerpt(f"{news['doing']}: {news['done']:,} of {news['total']:,}")
        elif "warning" in news:
            self.warnings.append(excerpt(news["warning"], LONGEST_WARNING))
        elif "ended_warning" in news:
            ended = excerpt(news["ended_warning"], LONGEST_WARNING)
            self.warnings = deque((w for w in self.warnings if w != ended), maxlen=WARNINGS)
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
        """Mark the run as failed because its process ended unexpectedly."""
        if not self.is_over:
            self.state, self.message = FAILED, describe_exit(code)


class TrainingProcesses:
    """The processes that train for the page.

    Args:
        lock: Held while the state of a run changes.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._processes: list[_Process] = []

    def prepare(self) -> None:
        """Start a process that has imported what takes long before there is a run for it."""
        with self._lock, contextlib.suppress(Busy):
            self._find_idle()

    def start(self, run: TrainingRun, instead: TrainingRun | None = None) -> None:
        """Start a run.

        Args:
            run: The run.
            instead: A run to stop in its favour, unless it is over.

        Raises:
            Busy: no process is free.
        """
        process = next((each for each in self._processes if each.has_run(instead)), None)
        if process is not None and instead is not None:
            process.send_command(instead, STOP)
        else:
            process = self._find_idle()
        process.train(run)

    def send_command(self, run: TrainingRun, word: str) -> None:
        """Send a command to a run.

        Raises:
            Busy: the run does not accept the command in its state.
        """
        if run.state in STATES_AFTER[word]:
            return
        if word not in run.allowed_commands:
            raise Busy(f"cannot {word} a run that is {run.state}")
        for process in self._processes:
            if process.has_run(run):
                process.send_command(run, word)

    def close(self) -> None:
        """End every process after its run has saved its state."""
        with self._lock:
            processes = list(self._processes)
        for process in processes:
            process.end()
        until = time.monotonic() + PATIENCE
        for process in processes:
            process.wait(until)

    def _find_idle(self) -> _Process:
        self._processes = [each for each in self._processes if each.is_alive]
        found = next((each for each in self._processes if not each.is_busy), None)
        if found is None:
            if len(self._processes) >= MAX_TRAINING:
                raise Busy(f"{MAX_TRAINING} runs are training here already: stop one first")
            try:
                found = _Process(self._lock)
            except OSError as error:
                raise Busy(f"no process can be started: {error.strerror or error}") from None
            self._processes.append(found)
        return found


class _Process:
    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._runs: dict[str, TrainingRun] = {}
        self._process = start_process("ganzoo_zoo.apps.watch.training.worker")
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

    def end(self) -> None:
        """Let a run save its state and end; without one there is nothing to wait for."""
        if not self.is_busy:
            self._process.kill()
        with contextlib.suppress(OSError):
            pipes(self._process)[0].close()

    def wait(self, until: float) -> None:
        try:
            self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()

    def _send_order(self, **order: Any) -> None:
        # If the process has ended, the reader notices and marks its runs as failed.
        stdin, _ = pipes(self._process)
        with contextlib.suppress(OSError, ValueError):
            stdin.write(json.dumps(order) + "\n")
            stdin.flush()

    def _read_news(self) -> None:
        _, stdout = pipes(self._process)
        for line in stdout:
            if not line.endswith("\n"):
                break  # the process was killed while writing
            news = json.loads(line)
            with self._lock:
                if (run := self._runs.get(news["name"])) is not None:
                    run.take_news(news)
                    if run.is_over:
                        del self._runs[run.name]
        stdout.close()
        code = self._process.wait()
        with self._lock:
            for run in self._runs.values():
                run.mark_lost(code)
