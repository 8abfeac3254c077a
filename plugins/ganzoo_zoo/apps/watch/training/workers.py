"""The runs that train for the page, each in its own process, and the queue of those that wait.

Processes are reused, so each imports torch only once.
"""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import threading
import time
from collections.abc import Mapping
from typing import Any

from ganzoo.display.messages import note
from ganzoo.runs.state import TRAINING
from ganzoo_zoo.apps.shared.worker_process import pipes, start_process
from ganzoo_zoo.apps.watch.training.control_words import (
    CONTINUE,
    MAX_TRAINING,
    PAUSE,
    STOP,
    STOPPED,
)
from ganzoo_zoo.apps.watch.training.limits import lower_priority, read_memory
from ganzoo_zoo.apps.watch.training.training_run import (
    CHANGE,
    PAUSING,
    QUEUED,
    SET_ASIDE,
    STARTING,
    STATES_AFTER,
    STEPS,
    STOPPING,
    Busy,
    TrainingRun,
)

PATIENCE = 60.0
"""Seconds that a process has to save the state of its run."""
PATIENCE_WITH_PUPILS = 20.0
"""Seconds that it has if the run has reached a bound."""
PAUSE_WHILE_OTHERS_WAIT = 20.0
"""Seconds that a run may pause in a process that others wait for."""
TURN = 30.0
"""Seconds after which a pupil's run lets others go on that wait, and waits itself."""
SECONDS_BETWEEN_LOOKS = 0.25
"""Time between two looks at what the processes take and at who waits."""
MEMORY_TO_REUSE = 0.8
"""A process that has more than this share of a run's memory is replaced before it begins."""


class TrainingProcesses:
    """The processes that train for the page, and the queue of the runs that wait for one.

    A pupil has one process at a time. The teacher's runs go first.

    Args:
        lock: Held while the state of a run changes.
        most: The most runs that train at once.
    """

    def __init__(self, lock: threading.RLock, most: int = MAX_TRAINING) -> None:
        self._lock = lock
        self._news = threading.Condition(lock)
        self._most = most
        self._processes: list[_Process] = []
        self._queue: list[TrainingRun] = []
        self._took_turns: list[TrainingRun] = []
        """Runs that wait again as soon as their state is saved."""
        self._watcher: threading.Thread | None = None
        self._closed = threading.Event()

    def prepare(self) -> None:
        """Start a process that has imported what takes long before there is a run for it."""
        with self._lock, contextlib.suppress(Busy):
            self._find_idle()

    def keep_watch(self) -> None:
        """Look at the processes and at who waits from now on, a few times a second."""
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._look_until_closed, daemon=True)
            self._watcher.start()

    def start(self, run: TrainingRun, instead: TrainingRun | None = None) -> None:
        """Start a run, or let it wait for its turn.

        Args:
            run: The run.
            instead: A run to stop in its favour, unless it is over.

        Raises:
            Busy: no process can be started.
        """
        process = self._find_process(instead)
        if instead is not None and not instead.is_over:
            self.send_command(instead, STOP)
        if process is not None and not self._queue:  # nobody else waits for this process
            process.train(run)
            return
        run.state = QUEUED
        self._enqueue(run)
        try:
            self.advance()
        except Busy:
            self._queue.remove(run)
            raise

    def send_command(self, run: TrainingRun, word: str) -> None:
        """Send a command to a run.

        Raises:
            Busy: the run does not accept the command in its state.
        """
        if word == STOP:
            run.stay_stopped()
        if run.state in STATES_AFTER[word]:
            return
        if word not in run.allowed_commands:
            raise Busy(f"cannot {word} a run that is {run.state}")
        if run.state in (QUEUED, SET_ASIDE):
            self._command_waiting(run, word)
        elif process := self._find_process(run):
            process.send_command(run, word)

    def change(self, run: TrainingRun, settings: Mapping[str, str]) -> None:
        """Change options of a run while it trains.

        Raises:
            Busy: the run does not train.
        """
        process = self._find_process(run)
        if process is None or CHANGE not in run.allowed_commands:
            raise Busy(f"cannot {CHANGE} a run that is {run.state}")
        run.refused = ""
        process.send(name=run.name, change=dict(settings))

    def ask(self, run: TrainingRun, word: str, freshness: float, patience: float) -> Any:
        """Return a run's answer to a question; None if there is none.

        The lock is released while its process makes the answer.

        Args:
            run: The run.
            word: The question.
            freshness: Seconds for which an answer is given again.
            patience: Seconds to wait for the answer.
        """
        process = self._find_process(run)
        last = run.answers.get(word)
        if process is None or run.path is None or run.state == STOPPING:
            return last
        if last is not None and time.monotonic() - last["at"] < freshness:
            return last
        if word not in run.asked:
            run.asked.add(word)
            process.send(name=run.name, word=word)
        self._news.wait_for(lambda: run.answers.get(word) is not last or run.is_over, patience)
        return run.answers.get(word)

    def find_place(self, run: TrainingRun) -> int | None:
        """Return the place of a run in the queue, from 1; None if it does not wait."""
        return self._queue.index(run) + 1 if run in self._queue else None

    @property
    def waiting(self) -> int:
        """Number of runs that wait."""
        return len(self._queue)

    @property
    def training(self) -> int:
        """Number of runs that have a process."""
        return sum(process.is_busy for process in self._processes)

    def advance(self) -> None:
        """Give free processes to the runs that wait.

        Raises:
            Busy: a process cannot be started.
        """
        self._processes = [each for each in self._processes if each.is_alive]
        while (run := self._find_next()) is not None:
            process = self._find_idle(run.limits.memory)
            if process is None:
                return
            self._queue.remove(run)
            run.state = STARTING
            process.train(run)

    def close(self) -> None:
        """End every process after its run has saved its state."""
        self._closed.set()
        with self._lock:
            self._queue.clear()
            processes = list(self._processes)
        for process in processes:
            process.end()
        until = time.monotonic() + PATIENCE
        for process in processes:
            process.wait(until)

    def look(self, seconds: float) -> None:
        """Hold runs to their limits, and let those make way that rest while others wait.

        Args:
            seconds: Time since the last look.
        """
        for process in self._processes:
            for run in process.active_runs:
                self._look_at(run, process, seconds)
        for run in [each for each in self._took_turns if each.state != STOPPING]:
            self._took_turns.remove(run)
            if run.state == SET_ASIDE:
                run.prepare_again(paused=False)
                self._enqueue(run)
        with contextlib.suppress(Busy):
            self.advance()

    def _look_at(self, run: TrainingRun, process: _Process, seconds: float) -> None:
        run.take_time(seconds, others_wait=self._holds_up(run))
        memory = process.memory if run.limits.memory < math.inf else None
        if memory is not None and memory > run.limits.memory:
            run.reason = run.limits.describe_memory()
            process.kill()
        elif run.state == STOPPING:
            if run.limits.bounds is not None and run.stopping_for > PATIENCE_WITH_PUPILS:
                run.reason = run.reason or "it did not stop, and its process was ended"
                process.kill()
        elif run.seconds > run.limits.seconds:
            run.reason = run.limits.describe_time()
            process.send_command(run, STOP)
        elif run.paused_for > PAUSE_WHILE_OTHERS_WAIT:
            run.set_aside()
            process.send_command(run, STOP)
        elif run.owner and run.state == TRAINING and run.turn > TURN and self._holds_up(run):
            run.set_aside()
            self._took_turns.append(run)
            process.send_command(run, STOP)

    def _holds_up(self, run: TrainingRun) -> bool:
        """Tell whether a run has a process that others wait for: pupils never hold up a teacher."""
        return any(run.owner or not each.owner for each in self._queue)

    def _look_until_closed(self) -> None:
        before = time.monotonic()
        while not self._closed.wait(SECONDS_BETWEEN_LOOKS):
            now = time.monotonic()
            try:
                with self._lock:
                    self.look(now - before)
            except Exception as error:  # without this thread, runs would have no limits
                note(f"looking after the runs failed: {type(error).__name__}: {error}")
            before = now

    def _command_waiting(self, run: TrainingRun, word: str) -> None:
        """Apply a command to a run that has no process."""
        if word == CONTINUE:
            run.prepare_again(paused=False)
            self._enqueue(run)
            self.advance()
            return
        if run in self._queue:
            self._queue.remove(run)
        run.state = STOPPED

    def _enqueue(self, run: TrainingRun) -> None:
        """Put a run at the end of the queue; the teacher's go before the pupils'."""
        place = len(self._queue)
        if not run.owner:
            place = sum(not each.owner for each in self._queue)
        self._queue.insert(place, run)

    def _find_next(self) -> TrainingRun | None:
        """Return the first run that waits and may begin."""
        busy = {run.owner for process in self._processes for run in process.active_runs} - {""}
        return next((run for run in self._queue if run.owner not in busy), None)

    def _find_process(self, run: TrainingRun | None) -> _Process | None:
        return next((each for each in self._processes if each.has_run(run)), None)

    def _find_idle(self, memory: float = math.inf) -> _Process | None:
        """Return a process that trains nothing; None if there may be no more.

        Args:
            memory: The most bytes that the next run may take.

        Raises:
            Busy: no process can be started.
        """
        for process in [each for each in self._processes if not each.is_busy]:
            if memory == math.inf or (process.memory or 0) < MEMORY_TO_REUSE * memory:
                return process
            process.end()
            self._processes.remove(process)
        if len(self._processes) >= self._most:
            return None
        try:
            process = _Process(self._lock, self._news, self._most)
        except OSError as error:
            raise Busy(f"no process can be started: {error.strerror or error}") from None
        self._processes.append(process)
        return process


class _Process:
    def __init__(self, lock: threading.RLock, news: threading.Condition, share: int) -> None:
        self._lock = lock
        self._news = news
        self._share = share
        self._runs: dict[str, TrainingRun] = {}
        self._process = start_process("ganzoo_zoo.apps.watch.training.worker")
        lower_priority(self._process.pid)
        self._reader = threading.Thread(target=self._read_news, daemon=True)
        self._reader.start()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def active_runs(self) -> list[TrainingRun]:
        return list(self._runs.values())

    @property
    def is_busy(self) -> bool:
        return bool(self._runs)

    @property
    def memory(self) -> int | None:
        return read_memory(self._process.pid)

    def has_run(self, run: TrainingRun | None) -> bool:
        return run is not None and self._runs.get(run.name) is run

    def train(self, run: TrainingRun) -> None:
        self._runs[run.name] = run
        order: dict[str, Any] = {"name": run.name, "paused": run.paused, "share": self._share}
        if run.path is not None:
            order["resume"] = str(run.path)
        else:
            order["config"] = run.config.model_dump(mode="json")
            order |= {"out": run.out and str(run.out), "init": run.init}
        self.send(**order, bounds=run.limits.bounds and dict(run.limits.bounds))

    def send_command(self, run: TrainingRun, word: str) -> None:
        run.paused = word == PAUSE or word in STEPS
        self.send(name=run.name, word=word)
        if word == STOP:
            run.state = STOPPING
        elif run.state != STARTING:
            run.state = TRAINING if word == CONTINUE else PAUSING

    def send(self, **order: Any) -> None:
        # If the process has ended, the reader notices and marks its runs as failed.
        stdin, _ = pipes(self._process)
        with contextlib.suppress(OSError, ValueError):
            stdin.write(json.dumps(order) + "\n")
            stdin.flush()

    def kill(self) -> None:
        """End the process at once; its runs are lost."""
        self._process.kill()

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

    def _read_news(self) -> None:
        stdin, stdout = pipes(self._process)
        for line in stdout:
            if not line.endswith("\n"):
                break  # the process was killed while writing
            news = json.loads(line)
            with self._lock:
                if (run := self._runs.get(news["name"])) is not None:
                    run.take_news(news)
                    if "ended" in news:
                        del self._runs[run.name]
                    self._news.notify_all()
        stdout.close()
        code = self._process.wait()
        with contextlib.suppress(OSError):  # what it was to read last is lost with it
            stdin.close()
        with self._lock:
            for run in self._runs.values():
                run.mark_lost(code)
            self._runs.clear()
            self._news.notify_all()
