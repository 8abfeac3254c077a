"""Clocks for the host and for devices that compute asynchronously."""

from __future__ import annotations

import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


class Clock(ABC):
    """Takes time marks without waiting, and returns the spans between them later."""

    name: str

    @abstractmethod
    def mark(self) -> Any:
        """Mark this point of the work, without waiting for it."""

    @abstractmethod
    def spans(self, marks: Sequence[Any]) -> list[float]:
        """Return the seconds between each mark and the next."""

    @abstractmethod
    def now(self) -> float:
        """Wait until all work so far is done, and return the time in seconds."""


class HostClock(Clock):
    """The clock of a CPU, where operations are synchronous."""

    name = "host"

    def mark(self) -> float:
        """Return the time in seconds."""
        return time.perf_counter()

    def spans(self, marks: Sequence[float]) -> list[float]:
        """Return the seconds between each mark and the next."""
        return [after - before for before, after in itertools.pairwise(marks)]

    def now(self) -> float:
        """Return the time in seconds."""
        return time.perf_counter()


class DeviceClock(Clock):
    """A clock of events in a device's queue.

    The host runs ahead of the device, so its own clock would only time launches.

    Args:
        module: ``torch.cuda``, or another module with its ``Event`` and ``synchronize``.
    """

    name = "events"

    def __init__(self, module: Any) -> None:
        self.module = module

    def mark(self) -> Any:
        """Return an event after all work so far."""
        event = self.module.Event(enable_timing=True)
        event.record()
        return event

    def spans(self, marks: Sequence[Any]) -> list[float]:
        """Wait for all events, and return the seconds between each event and the next."""
        self.module.synchronize()
        return [before.elapsed_time(after) / 1000 for before, after in itertools.pairwise(marks)]

    def now(self) -> float:
        """Wait until the device is idle, and return the host's time in seconds."""
        self.module.synchronize()
        return time.perf_counter()


def use_device(device: torch.device) -> AbstractContextManager[object]:
    """Make a GPU the current device within the block; do nothing for other devices."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def clock_for(device: torch.device) -> Clock:
    """Return the clock of a device."""
    if device.type == "cpu":
        return HostClock()
    return DeviceClock({"cuda": torch.cuda, "mps": torch.mps}[device.type])
