"""Signs of life: who still lives, who has failed, and which process of a machine says so."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from ganzoo.ranks.failures import LOST_STORE, Failure

if TYPE_CHECKING:
    from torch.distributed import Store

    from ganzoo.ranks import Ranks

BEAT = 1.0
"""Seconds between two signs of life."""
SILENCE = 15.0
"""Seconds without one after which a process is taken for dead."""
BROKEN_SILENCE = 4.0
"""The same where a connection broke."""
LEAVE = 5.0
"""Seconds that a process has to end by itself once another has failed."""


class Watch(threading.Thread):
    """Gives signs of life, looks for those of the next process, and for failures.

    A process that does not end by itself once another has failed, as it waits for it on a device,
    is ended from here.
    """

    def __init__(self, team: Ranks, store: Store) -> None:
        super().__init__(daemon=True, name="ganzoo-ranks")
        self.failure: Failure | None = None
        self._team = team
        self._store = store
        self._rank = team.rank
        self._world = team.world
        self._ended = threading.Event()
        self._beats = 0
        self._heard: dict[int, tuple[bytes, float]] = {}

    def run(self) -> None:
        """Look around until the process leaves."""
        following = (self._rank + 1) % self._world
        while self.failure is None:
            try:
                self._look([following], SILENCE)
            except RuntimeError:
                self.failure = LOST_STORE
            if self._ended.wait(BEAT):
                return
        if not self._ended.wait(LEAVE):
            self._end_process()

    def _look(self, ranks: Iterable[int], silence: float) -> None:
        self._beats += 1
        self._store.set(f"beat/{self._rank}", str(self._beats))
        for rank in ranks:
            if self._silent_for(rank) > silence:
                self.tell(Failure(rank, "ended without a word (killed, or its machine is lost)"))
        if self._store.check(["failed"]):
            self.failure = Failure(**json.loads(self._store.get("failed")))

    def _silent_for(self, rank: int) -> float:
        now = time.monotonic()
        if self._store.check([f"left/{rank}"]) or not self._store.check([f"beat/{rank}"]):
            return 0.0  # it has nothing to do any more, or is not there yet
        beat = self._store.get(f"beat/{rank}")
        before, since = self._heard.get(rank, (None, now))
        if beat != before:
            self._heard[rank] = beat, now
            return 0.0
        return now - since

    def tell(self, failure: Failure) -> None:
        """Tell the others of a failure, unless they know of an earlier one."""
        with suppress(RuntimeError):
            self._store.compare_set("failed", "", json.dumps(failure.as_json()))

    def known(self) -> Failure | None:
        """Find out who failed: by what the others say, or by who has fallen silent."""
        until = time.monotonic() + BROKEN_SILENCE + 2 * BEAT
        while self.failure is None and time.monotonic() < until:
            try:
                self._look(set(range(self._world)) - {self._rank}, BROKEN_SILENCE)
            except RuntimeError:
                self.failure = LOST_STORE
            if self.failure is None:
                time.sleep(0.1)
        return self.failure

    def speaks(self) -> bool:
        """Tell whether this process is the one of its machine that says what happened."""
        try:
            claimed = self._store.compare_set(_said_here(), "", str(self._rank))
        except RuntimeError:
            return True
        return int(claimed) == self._rank

    def wait_for_speaker(self) -> None:
        """Let the first process speak, if it is about to."""
        until = time.monotonic() + 1.5 * BEAT
        with suppress(RuntimeError):
            while time.monotonic() < until and not self._store.check([_said_here()]):
                time.sleep(0.05)

    def leave(self, patience: float) -> None:
        """Say that this process has nothing left to do; the first one waits for the others.

        Args:
            patience: Seconds that it waits at most.
        """
        with suppress(RuntimeError):
            self._store.set(f"left/{self._rank}", "")
            if self._team.first:  # which may be the one that keeps the store
                everyone = [f"left/{rank}" for rank in range(self._world)]
                until = time.monotonic() + patience
                while not self._store.check(everyone) and self.failure is None:
                    if time.monotonic() > until:
                        break
                    time.sleep(0.02)
        self.stop()

    def stop(self) -> None:
        """Look no longer."""
        self._ended.set()
        self.join(2 * BEAT)

    def leave_soon(self, backend: str | None) -> None:
        """Look no longer; where a GPU may be waiting for another, end the process if it stays."""
        self.stop()
        if backend == "nccl":
            timer = threading.Timer(2 * LEAVE, os._exit, [1])
            timer.daemon = True
            timer.start()

    def _end_process(self) -> None:
        if self.speaks():
            print(f"Error: {self.failure.in_words(self._team.advice)}", file=sys.stderr, flush=True)
        os._exit(self.failure.exit_code)


def _said_here() -> str:
    return f"said/{os.environ.get('GROUP_RANK') or os.uname().nodename}"
