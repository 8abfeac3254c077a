"""A pool of processes that share the runs of a sweep.

A separate process isolates the log, the threads and the memory of a run, and a run that crashes its
process does not affect the others. Processes are reused, so each imports torch only once.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ganzoo.runs.scores import ScoreRow
from ganzoo.signals import answer_stop_signals
from ganzoo_zoo.apps.shared.worker_process import describe_exit, pipes, start_process
from ganzoo_zoo.apps.sweep.task import Task


@dataclass(frozen=True)
class Stepped:
    """A run has reached a step."""

    name: str
    step: int


@dataclass(frozen=True)
class Ended:
    """A run was judged, or it failed."""

    name: str
    seconds: float
    """How long it took."""
    scores: list[ScoreRow] | None = None
    error: str | None = None
    pruned_at: int | None = None
    """The step at which it was ended early."""


class Workers:
    """Worker processes that do runs in parallel. A context manager: no process outlives the block.

    SIGINT, SIGTERM and SIGHUP stop every run, which saves its state, and then the block. A second
    signal kills the processes at once.

    Args:
        tasks: The runs by name, in the order in which they start.
        count: Number of processes.
        log: File for the output of processes that belongs to no single run.
        may_grow: Whether tasks may be added until :meth:`no_more` is called.
    """

    def __init__(
        self, tasks: Mapping[str, Task], count: int, log: Path, *, may_grow: bool = False
    ) -> None:
        self.signum: int | None = None
        """The signal that stopped the runs, if any."""
        self._waiting: queue.SimpleQueue[tuple[str, Task] | None] = queue.SimpleQueue()
        self._log = log
        self._news: queue.SimpleQueue[Stepped | Ended | None] = queue.SimpleQueue()
        self._stopping = False
        self._processes: list[subprocess.Popen[str]] = []
        self._signals = answer_stop_signals(self._stop_by_signal, self._kill)
        self._threads = [
            threading.Thread(target=self._run_tasks, daemon=True)
            for _ in range(count if may_grow else min(count, len(tasks)))
        ]
        for named in tasks.items():
            self.add(*named)
        if not may_grow:
            self.no_more()

    def __enter__(self) -> Self:
        self._signals.__enter__()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop()
        for thread in self._threads:
            thread.join()
        self._signals.__exit__(None, None, None)
        if self._log.exists() and not self._log.stat().st_size:
            self._log.unlink()

    def news(self) -> Iterator[Stepped | Ended]:
        """Yield news of the runs until all of them are done or were stopped."""
        left = len(self._threads)
        while left:
            if (news := self._news.get()) is None:
                left -= 1
            else:
                yield news

    def add(self, name: str, task: Task) -> None:
        """Add a run."""
        self._waiting.put((name, task))

    def no_more(self) -> None:
        """Let processes end once no run waits."""
        for _ in self._threads:
            self._waiting.put(None)

    def stop(self) -> None:
        """Stop every run after it has saved its state, and start no other."""
        if self._stopping:
            return
        self._stopping = True
        self.no_more()
        for process in list(self._processes):
            _close_stdin(process)

    def _stop_by_signal(self, signum: int) -> None:
        self.signum = signum
        self.stop()

    def _kill(self, signum: int) -> None:
        for process in list(self._processes):
            process.kill()

    def _run_tasks(self) -> None:
        process: subprocess.Popen[str] | None = None
        try:
            while (named := self._waiting.get()) and not self._stopping:
                try:
                    process = process or self._start_process()
                except OSError as error:  # no memory, no handles, or no room for the log
                    why = f"its process could not be started: {error}"
                    self._news.put(Ended(named[0], 0.0, error=why))
                    continue
                if not self._do_task(process, *named):
                    process = None
        finally:
            if process is not None:
                _wait_for_end(process)
            self._news.put(None)

    def _start_process(self) -> subprocess.Popen[str]:
        with self._log.open("ab") as log:
            process = start_process("ganzoo_zoo.apps.sweep.worker", log)
        self._processes.append(process)
        if self._stopping:  # stop() did not see it yet
            _close_stdin(process)
        return process

    def _do_task(self, process: subprocess.Popen[str], name: str, task: Task) -> bool:
        """Give a run to a process; return whether the process can do another one."""
        began = time.monotonic()
        for news in _send_task(process, task):
            if "step" in news:
                self._news.put(Stepped(name, news["step"]))
                continue
            rows = news.get("scores")
            scores = None if rows is None else list(map(ScoreRow.model_validate, rows))
            seconds = time.monotonic() - began
            self._news.put(Ended(name, seconds, scores, news.get("failed"), news.get("pruned_at")))
            return True
        _wait_for_end(process)
        if not self._stopping:
            seconds = time.monotonic() - began
            self._news.put(
                Ended(name, seconds, error=f"{describe_exit(process.returncode)}; see {self._log}")
            )
        return False


def _send_task(process: subprocess.Popen[str], task: Task) -> Iterator[dict[str, Any]]:
    """Send a task to a process, and yield its news until it ends."""
    stdin, stdout = pipes(process)
    try:
        stdin.write(task.model_dump_json() + "\n")
        stdin.flush()
    except (BrokenPipeError, ValueError):  # the process has ended, or its input is closed
        return
    for line in stdout:
        if line.endswith("\n"):  # otherwise the process was killed while writing
            yield json.loads(line)


def _close_stdin(process: subprocess.Popen[str]) -> None:
    """Close the input of a process, which then saves the state of its run and ends."""
    with contextlib.suppress(BrokenPipeError):
        pipes(process)[0].close()


def _wait_for_end(process: subprocess.Popen[str]) -> None:
    _close_stdin(process)
    process.wait()
    pipes(process)[1].close()
