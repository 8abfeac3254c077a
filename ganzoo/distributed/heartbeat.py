"""Signs of life: who still lives, who has failed, and which process of a machine says so."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from ganzoo.distributed.failures import LOST_STORE, Failure
from ganzoo.distributed.rendezvous import machine_name
from ganzoo.errors import InputError

if TYPE_CHECKING:
    from torch.distributed import Store

    from ganzoo.distributed import Processes

BEAT = 1.0
"""Seconds between two signs of life."""
SILENCE = 15.0
"""Seconds without one after which a process is taken for dead, or the store for lost."""
BROKEN_SILENCE = 4.0
"""The same where a connection broke."""
EXIT_GRACE = 5.0
"""Seconds that a process has to end by itself once another has failed."""
TIMEOUT_VARIABLE = "GANZOO_RANKS_TIMEOUT"
"""Environment variable that sets the timeout of exchanges, in seconds."""
TIMEOUT = 600.0
"""What it is by default."""
LONGEST_TIMEOUT = 1e7


def exchange_timeout() -> float:
    """Return for how many seconds a process that lives may keep others waiting in an exchange.

    Raises:
        InputError: what the variable holds is no such number.
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
            f"{TIMEOUT_VARIABLE} must be a number of seconds, {LONGEST_TIMEOUT:,.0f} at most, not '{text}'"
        )
    return seconds


class Heartbeat:
    """Gives signs of life, looks for those of the next process, and for failures.

    A process that does not end by itself once another has failed, as it waits for it on a device,
    is ended from here.

    Args:
        team: The processes.
        store: By which they tell each other.
        begun: Returns how many exchanges this process has come to.
        timeout: See :func:`exchange_timeout`.
    """

    def __init__(
        self, team: Processes, store: Store, begun: Callable[[], int], timeout: float = TIMEOUT
    ) -> None:
        self.failure: Failure | None = None
        self._team = team
        self._store = store
        self._calls = begun
        self._timeout = timeout
        self._rank = team.rank
        self._world = team.world
        self._ended = threading.Event()
        self._checks = 0
        self._seen: dict[str, tuple[object, float]] = {}
        # In two threads, as a store whose machine is frozen never answers the one that asks.
        self._threads = [
            threading.Thread(target=work, daemon=True, name="ganzoo-ranks")
            for work in (self._beat, self._guard)
        ]

    def start(self) -> None:
        """Begin, until the process leaves."""
        for thread in self._threads:
            thread.start()

    def _beat(self) -> None:
        following = (self._rank + 1) % self._world
        while self.failure is None:
            try:
                self._check_peers([following], SILENCE)
            except RuntimeError:
                self.failure = LOST_STORE
            if self._ended.wait(BEAT):
                return

    def _guard(self) -> None:
        """See to it that this process ends once another has failed, or cannot be asked."""
        before, still = -1, 0
        while self.failure is None:
            if self._ended.wait(BEAT):
                return
            # By beats and not by a clock, which goes on while a whole machine sleeps.
            still = still + 1 if self._checks == before else 0
            before = self._checks
            if still * BEAT > SILENCE:
                self.failure = LOST_STORE
        # Asked at once: the process that keeps the store may be gone by then.
        speaks = self._claim_in_turn()
        if not self._ended.wait(EXIT_GRACE):
            self._end_process(speaks)

    def _check_peers(self, ranks: Iterable[int], silence: float) -> None:
        self._checks += 1
        self._store.set(f"beat/{self._rank}", f"{self._checks} {self._calls()}")
        for rank in ranks:
            if flaw := self._find_flaw(rank, silence):
                self.announce(Failure(rank, flaw))
        if self._store.check(["failed"]):
            self.failure = Failure(**json.loads(self._store.get("failed")))

    def _find_flaw(self, rank: int, silence: float) -> str | None:
        if self._store.check([f"left/{rank}"]) or not self._store.check([f"beat/{rank}"]):
            return None  # it has nothing to do any more, or is not there yet
        beat = self._store.get(f"beat/{rank}")
        if self._unchanged_for(f"beat/{rank}", beat) > silence:
            return "ended without a word (killed, or its machine is lost)"
        begun = int(beat.split()[1])
        missed = begun if begun < self._calls() else None
        if self._unchanged_for(f"missed/{rank}", missed) > self._timeout and missed is not None:
            return (
                f"hangs: it lives, and the others have waited for it for {self._timeout:g} seconds "
                f"({TIMEOUT_VARIABLE})"
            )
        return None

    def _unchanged_for(self, name: str, value: object) -> float:
        """Return for how many seconds something has been seen as it is."""
        now = time.monotonic()
        before, since = self._seen.get(name, (None, now))
        if value != before:
            self._seen[name] = value, now
            return 0.0
        return now - since

    def announce(self, failure: Failure) -> None:
        """Tell the others of a failure, unless they know of an earlier one."""
        with suppress(RuntimeError):
            self._store.compare_set("failed", "", json.dumps(failure.as_json()))

    def find_failure(self) -> Failure | None:
        """Find out who failed: by what the others say, or by who has fallen silent."""
        until = time.monotonic() + BROKEN_SILENCE + 2 * BEAT
        while self.failure is None and time.monotonic() < until:
            try:
                self._check_peers(set(range(self._world)) - {self._rank}, BROKEN_SILENCE)
            except RuntimeError:
                self.failure = LOST_STORE
            if self.failure is None:
                time.sleep(0.1)
        return self.failure

    def claim_speaker(self) -> bool:
        """Tell whether this process is the one of its machine that says what happened."""
        if self.failure is LOST_STORE:
            return True  # there is nobody to ask
        try:
            claimed = self._store.compare_set(_speaker_key(), "", str(self._rank))
        except RuntimeError:
            return True
        return int(claimed) == self._rank

    def _claim_in_turn(self) -> bool:
        if not self._team.is_first and self.failure is not LOST_STORE:
            self.wait_for_speaker()
        return self.claim_speaker()

    def wait_for_speaker(self) -> None:
        """Let the first process speak, if it is about to."""
        until = time.monotonic() + 1.5 * BEAT
        with suppress(RuntimeError):
            while time.monotonic() < until and not self._store.check([_speaker_key()]):
                time.sleep(0.05)

    def leave(self, patience: float) -> None:
        """Say that this process has nothing left to do; the first one waits for the others.

        Args:
            patience: Seconds that it waits at most.
        """
        with suppress(RuntimeError):
            self._store.set(f"left/{self._rank}", "")
            if self._team.is_first:  # which may be the one that keeps the store
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
        for thread in self._threads:
            thread.join(2 * BEAT)

    def leave_or_exit(self, backend: str | None) -> None:
        """Look no longer; where a GPU may be waiting for another, end the process if it stays."""
        self.stop()
        if backend == "nccl":
            timer = threading.Timer(2 * EXIT_GRACE, os._exit, [1])
            timer.daemon = True
            timer.start()

    def _end_process(self, speaks: bool) -> None:
        if speaks:
            print(f"Error: {self.failure.describe(self._team.advice)}", file=sys.stderr, flush=True)
        os._exit(self.failure.exit_code)


def _speaker_key() -> str:
    return f"said/{machine_name()}"
