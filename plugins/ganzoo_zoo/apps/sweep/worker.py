"""A process that does one run after another: tasks on standard input, news on standard output.

Both are lines of JSON. When standard input ends, the sweep has, well or not, or asks to stop: a run
that is under way saves its state. That is the one way to stop it in good order. A scheduler sends
its signals to the sweep and to each of its processes, and a run that is told twice ends at once.
"""

from __future__ import annotations

import _thread
import queue
import signal
import sys
import threading
from typing import Any

from ganzoo.errors import Interrupted
from ganzoo.progress import JsonChannel


class TaskReader(threading.Thread):
    """Reads tasks, and notices when there will be no more."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.tasks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.busy = False

    def run(self) -> None:
        """Hand on each line; at the end stop what is under way."""
        # Without a buffer, whose lock this thread would hold when Python ends.
        with open(0, "rb", buffering=0, closefd=False) as lines:
            for line in lines:
                self.busy = True
                self.tasks.put(line)
        self.tasks.put(None)
        if self.busy:
            _thread.interrupt_main(signal.SIGTERM)  # as if it had come


def main() -> int:
    """Do tasks until there are no more; return the exit code."""
    if hasattr(signal, "pthread_sigmask"):  # Windows has none
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    signal.signal(signal.SIGTERM, _raise_interrupt)
    channel, inbox = JsonChannel(), TaskReader()
    inbox.start()
    try:
        while (line := inbox.tasks.get()) is not None:
            news = _do_task(line, channel)
            inbox.busy = False
            channel.tell(**news)
    except (Interrupted, KeyboardInterrupt):
        return 128 + signal.SIGTERM
    return 0


def _raise_interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt(signum)


def _do_task(line: bytes, channel: JsonChannel) -> dict[str, Any]:
    """Do a task, and return how it ended."""
    import torch

    from ganzoo_zoo.apps.sweep.task import Task, describe_error, run_task

    task = Task.model_validate_json(line)
    torch.set_num_threads(task.threads)
    try:
        rows = run_task(task, lambda step: channel.tell(step=step))
    except Interrupted:
        raise
    except Exception as error:
        return {"failed": describe_error(error)}
    return {"scores": [row.model_dump(mode="json") for row in rows]}


if __name__ == "__main__":
    sys.exit(main())
