"""Clocks: the host's, and that of a device which works behind the host's back."""

from __future__ import annotations

import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


class Clock(ABC):
    """Takes marks of time, and says later what lies between them."""

    name: str

    @abstractmethod
    def mark(self) -> Any:
        """Mark this moment of the work, without waiting for it."""

    @abstractmethod
    def spans(self, marks: Sequence[Any]) -> list[float]:
        """Return the seconds between each mark and the next."""

    @abstractmethod
    def now(self) -> float:
        """Return the time in seconds once all work so far is done."""


class HostClock(Clock):
    """The clock of a CPU, where an operation is done when its function returns."""

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
    """Events in a device's queue of work, which take their time when it comes to them.

    The host, which is ahead of the device, would time no more than how it hands over the work.

    Args:
        module: ``torch.cuda``, or another module with its ``Event`` and ``synchronize``.
    """

    name = "events"

    def __init__(self, module: Any) -> None:
        self.module = module

    def mark(self) -> Any:
        """Return an event that stands behind all work so far."""
        event = self.module.Event(enable_timing=True)
        event.record()
        return event

    def spans(self, marks: Sequence[Any]) -> list[float]:
        """Return the seconds between each event and the next, once all have come."""
        self.module.synchronize()
        return [before.elapsed_time(after) / 1000 for before, after in itertools.pairwise(marks)]

    def now(self) -> float:
        """Return the host's time once the device has nothing left to do."""
        self.module.synchronize()
        return time.perf_counter()


def use_device(device: torch.device) -> AbstractContextManager[object]:
    """Have events be of this GPU while the block lasts, if the device is one."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def clock_for(device: torch.device) -> Clock:
    """Return the clock of a device."""
    if device.type == "cpu":
        return HostClock()
    return DeviceClock({"cuda": torch.cuda, "mps": torch.mps}[device.type])
