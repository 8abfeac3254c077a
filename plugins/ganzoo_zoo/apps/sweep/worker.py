"""The worker process of a sweep, which trains and judges one run after another.

It reads a task per line and answers with lines of JSON. When standard input ends, the run under way
saves its state. This is the only way to stop it in good order: a scheduler signals the sweep and
each of its processes, and a run that is interrupted twice ends at once.
"""

from __future__ import annotations

import _thread
import queue
import signal
import sys
from typing import Any

from ganzoo.errors import Interrupted
from ganzoo.progress import JsonChannel
from ganzoo_zoo.apps.shared.worker_process import LineReader, block_signals


class TaskQueue:
    """Tasks from standard input; at its end the task under way is interrupted."""

    def __init__(self) -> None:
        self.tasks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.busy = False
        LineReader(self._add, self._end).start()

    def _add(self, line: bytes) -> None:
        self.busy = True
        self.tasks.put(line)

    def _end(self) -> None:
        self.tasks.put(None)
        if self.busy:
            _thread.interrupt_main(signal.SIGTERM)


def main() -> int:
    """Do tasks until there are no more, and return the exit code."""
    block_signals()
    signal.signal(signal.SIGTERM, _raise_interrupt)
    channel, inbox = JsonChannel(), TaskQueue()
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
    """Do a task, and return its result: scores, why it failed, or where it was pruned."""
    import torch

    from ganzoo_zoo.apps.sweep.pruning import Pruned
    from ganzoo_zoo.apps.sweep.task import Task, describe_error, run_task

    task = Task.model_validate_json(line)
    torch.set_num_threads(task.threads)
    try:
        rows = run_task(task, lambda step: channel.tell(step=step))
    except Interrupted:
        raise
    except Pruned as pruned:
        return {"pruned_at": pruned.step}
    except Exception as error:
        return {"failed": describe_error(error)}
    return {"scores": [row.model_dump(mode="json") for row in rows]}


if __name__ == "__main__":
    sys.exit(main())
