"""Heartbeats: which processes live, which one has failed, and who reports it.

Neither torch nor torchrun does this. A collective that breaks does not say whose process is gone,
and one that waits on a GPU cannot be interrupted; torchrun acts when a process exits, and never
notices one that hangs.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from ganzoo.distributed.environment import machine_name
from ganzoo.distributed.failures import LOST_STORE, Failure
from ganzoo.errors import InputError

if TYPE_CHECKING:
    from torch.distributed import Store

    from ganzoo.distributed.processes import Processes

BEAT = 1.0
"""Seconds between two heartbeats."""
SILENCE = 15.0
"""Seconds without one after which a process counts as dead, or the store as lost."""
BROKEN_SILENCE = 4.0
"""The same once a connection broke."""
EXIT_GRACE = 5.0
"""Seconds that a process has to end by itself once another has failed."""
TIMEOUT_VARIABLE = "GANZOO_RANKS_TIMEOUT"
"""Environment variable that sets the timeout of exchanges, in seconds."""
TIMEOUT = 600.0
"""Timeout of exchanges by default, in seconds."""
LONGEST_TIMEOUT = 1e7


def exchange_timeout() -> float:
    """Return for how many seconds a living process may keep others waiting in an exchange.

    Raises:
        InputError: the environment variable does not hold such a number.
    """
    text = os.environ.get(TIMEOUT_VARIABLE)
    if not text:
        return TIMEOUT
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_TIMEOUT:
        raise InputError(
            f"{TIMEOUT_VARIABLE} must be a number of seconds up to {LONGEST_TIMEOUT:,.0f}, "
            f"not '{text}'"
        )
    return seconds


class Heartbeat:
    """Sends heartbeats, and looks for those of the next process and for failures.

    Once another process has failed, this one is ended from here if it does not end by itself,
    because it waits for the other one on a device.

    Args:
        team: The processes.
        store: The store through which they tell each other.
        count_calls: Returns how many exchanges this process has come to.
        timeout: See :func:`exchange_timeout`.
    """

    def __init__(
        self,
        team: Processes,
        store: Store,
        count_calls: Callable[[], int],
        timeout: float = TIMEOUT,
    ) -> None:
        self.failure: Failure | None = None
        self._team = team
        self._store = store
        self._count_calls = count_calls
        self._timeout = timeout
        self._stopped = threading.Event()
        self._beats = 0
        self._seen: dict[str, tuple[object, float]] = {}
        # In two threads: a store on a frozen machine never answers the thread that asks it.
        self._threads = [
            threading.Thread(target=work, daemon=True, name="ganzoo-heartbeat")
            for work in (self._beat, self._guard)
        ]

    def start(self) -> None:
        """Start the threads, which run until the process leaves."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the threads."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(2 * BEAT)

    def announce(self, failure: Failure) -> None:
        """Tell the others of a failure, unless they know of an earlier one."""
        with suppress(RuntimeError):
            self._store.compare_set("failed", "", json.dumps(asdict(failure)))

    def find_failure(self) -> Failure | None:
        """Find out who failed: from what the others announce, or from who has fallen silent."""
        others = set(range(self._team.world)) - {self._team.rank}

        def is_known() -> bool:
            if self.failure is None:
                self._check_peers(others, BROKEN_SILENCE)
            return self.failure is not None

        _wait_until(is_known, BROKEN_SILENCE + 2 * BEAT)
        return self.failure

    def claim_speaker(self) -> bool:
        """Tell whether this process is the one of its machine that reports the failure.

        The first process reports it if it asks within a beat or so of the others.
        """
        if self.failure is LOST_STORE:
            return True  # there is nobody to ask
        key = f"said/{machine_name()}"
        try:
            if not self._team.is_first:
                _wait_until(lambda: self._store.check([key]), 1.5 * BEAT)
            return int(self._store.compare_set(key, "", str(self._team.rank))) == self._team.rank
        except RuntimeError:
            return True

    def leave(self, patience: float) -> None:
        """Tell the others that this process has finished, and stop.

        The first process, which may keep the store, waits for the others.

        Args:
            patience: Seconds that it waits at most.
        """
        everyone = [f"left/{rank}" for rank in range(self._team.world)]
        with suppress(RuntimeError):
            self._store.set(everyone[self._team.rank], "")
            if self._team.is_first:
                _wait_until(lambda: self._store.check(everyone) or bool(self.failure), patience)
        self.stop()

    def _beat(self) -> None:
        following = (self._team.rank + 1) % self._team.world
        while self.failure is None:
            self._check_peers([following], SILENCE)
            if self._stopped.wait(BEAT):
                return

    def _guard(self) -> None:
        """End this process once another has failed, or the store no longer answers."""
        before, still = -1, 0
        while self.failure is None:
            if self._stopped.wait(BEAT):
                return
            # Counted in beats: a clock would go on while the whole machine sleeps.
            still = still + 1 if self._beats == before else 0
            before = self._beats
            if still * BEAT > SILENCE:
                self.failure = LOST_STORE
        # Asked now, as the process that keeps the store may be gone after the grace.
        speaks = self.claim_speaker()
        if self._stopped.wait(EXIT_GRACE):
            return
        if speaks:
            print(f"Error: {self.failure.describe(self._team.advice)}", file=sys.stderr, flush=True)
        os._exit(self.failure.exit_code)

    def _check_peers(self, ranks: Iterable[int], silence: float) -> None:
        """Send a heartbeat, look for those of others, and take note of a failure."""
        self._beats += 1
        try:
            self._store.set(f"beat/{self._team.rank}", f"{self._beats} {self._count_calls()}")
            for rank in ranks:
                if flaw := self._find_flaw(rank, silence):
                    self.announce(Failure(rank, flaw))
            if self._store.check(["failed"]):
                self.failure = Failure(**json.loads(self._store.get("failed")))
        except RuntimeError:
            self.failure = LOST_STORE

    def _find_flaw(self, rank: int, silence: float) -> str | None:
        if self._store.check([f"left/{rank}"]) or not self._store.check([f"beat/{rank}"]):
            return None  # it has finished, or has not begun
        beat = self._store.get(f"beat/{rank}")
        if self._unchanged_for(f"beat/{rank}", beat) > silence:
            return "ended without a word (killed, or its machine is lost)"
        calls = int(beat.split()[1])
        missed = calls if calls < self._count_calls() else None
        if self._unchanged_for(f"missed/{rank}", missed) > self._timeout and missed is not None:
            return (
                f"hangs: it lives, and the others have waited for it for {self._timeout:g} seconds "
                f"({TIMEOUT_VARIABLE})"
            )
        return None

    def _unchanged_for(self, name: str, value: object) -> float:
        """Return for how many seconds a value has been the same."""
        now = time.monotonic()
        before, since = self._seen.get(name, (None, now))
        if value != before:
            self._seen[name] = value, now
            return 0.0
        return now - since


def _wait_until(is_done: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not is_done() and time.monotonic() < until:
        time.sleep(0.02)
