"""Processes that share the runs of a sweep, each with its own at any time.

A process of its own keeps a run's log, threads and memory apart, and a run that takes its process
down with it costs no other. Processes are used again: each has to import torch once.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from ganzoo.runs.scores import ScoreRow
from ganzoo_zoo.apps.sweep.task import Task


@dataclass(frozen=True)
class Stepped:
    """A run is so far."""

    name: str
    step: int


@dataclass(frozen=True)
class Ended:
    """A run was judged, or it failed."""

    name: str
    seconds: float
    scores: list[ScoreRow] | None = None
    error: str | None = None


class Workers:
    """A block in which runs are done, several at once; on leaving it no process is left.

    SIGINT and SIGTERM stop every run, which saves its state, and then the block; a second one ends
    the processes at once.

    Args:
        tasks: The runs by name, in the order in which they are begun.
        count: How many at once.
        log: File for what processes say that is of no single run.
    """

    def __init__(self, tasks: Mapping[str, Task], count: int, log: Path) -> None:
        self.signum: int | None = None
        """The signal that asked to stop."""
        self._waiting = deque(tasks.items())
        self._log = log
        self._news: queue.SimpleQueue[Stepped | Ended | None] = queue.SimpleQueue()
        self._stopping = False
        self._processes: list[subprocess.Popen[str]] = []
        self._handlers: dict[int, Any] = {}
        self._threads = [
            threading.Thread(target=self._run_tasks, daemon=True)
            for _ in range(min(count, len(tasks)))
        ]

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM):
                self._handlers[signum] = signal.signal(signum, self._on_signal)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop()
        for thread in self._threads:
            thread.join()
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
        if self._log.exists() and not self._log.stat().st_size:
            self._log.unlink()

    def news(self) -> Iterator[Stepped | Ended]:
        """Yield what happens, until all runs are done or were stopped."""
        left = len(self._threads)
        while left:
            if (news := self._news.get()) is None:
                left -= 1
            else:
                yield news

    def stop(self) -> None:
        """Have every run save its state and end, and begin no other."""
        if self._stopping:
            return
        self._stopping = True
        for process in list(self._processes):
            _close_stdin(process)

    def _on_signal(self, signum: int, frame: object) -> None:
        if self.signum is None:
            self.signum = signum
            self.stop()
            return
        for process in list(self._processes):
            process.kill()

    def _run_tasks(self) -> None:
        process: subprocess.Popen[str] | None = None
        try:
            while not self._stopping and (named := self._next_task()):
                process = process or self._start_process()
                if not self._do_task(process, *named):
                    process = None
        finally:
            if process is not None:
                _wait_for_end(process)
            self._news.put(None)

    def _next_task(self) -> tuple[str, Task] | None:
        try:
            return self._waiting.popleft()
        except IndexError:
            return None

    def _start_process(self) -> subprocess.Popen[str]:
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "ganzoo_zoo.apps.sweep.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                text=True,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C is for the sweep
            )
        self._processes.append(process)
        if self._stopping:  # it came between being asked and being listed
            _close_stdin(process)
        return process

    def _do_task(self, process: subprocess.Popen[str], name: str, task: Task) -> bool:
        """Have a process do a run, and tell whether it can do another."""
        began = time.monotonic()
        for news in _send_task(process, task):
            if "step" in news:
                self._news.put(Stepped(name, news["step"]))
                continue
            rows = news.get("scores")
            scores = None if rows is None else list(map(ScoreRow.model_validate, rows))
            self._news.put(Ended(name, time.monotonic() - began, scores, news.get("failed")))
            return True
        _wait_for_end(process)
        if not self._stopping:
            seconds = time.monotonic() - began
            self._news.put(
                Ended(name, seconds, error=f"{_describe_exit(process.returncode)}; see {self._log}")
            )
        return False


def _send_task(process: subprocess.Popen[str], task: Task) -> Iterator[dict[str, Any]]:
    """Hand a task to a process, and yield what it says, until it ends."""
    stdin, stdout = _pipes(process)
    try:
        stdin.write(task.model_dump_json() + "\n")
        stdin.flush()
    except (BrokenPipeError, ValueError):  # it has ended, or was dismissed
        return
    for line in stdout:
        if line.endswith("\n"):  # else it was killed while it wrote
            yield json.loads(line)


def _close_stdin(process: subprocess.Popen[str]) -> None:
    """Have a process save the state of its run and end."""
    with contextlib.suppress(BrokenPipeError):
        _pipes(process)[0].close()


def _wait_for_end(process: subprocess.Popen[str]) -> None:
    """Wait for the end of a process."""
    _close_stdin(process)
    process.wait()
    _pipes(process)[1].close()


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def _describe_exit(code: int) -> str:
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with exit code {code}"
