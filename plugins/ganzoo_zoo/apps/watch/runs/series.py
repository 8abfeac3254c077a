"""A series of values over steps, as a curve and as a sparkline."""

from __future__ import annotations

from itertools import pairwise

BARS = "▁▂▃▄▅▆▇█"
MOST = 2048
"""The most stored values; beyond it, pairs of neighbours are averaged."""


class Series:
    """Values in order of their steps, averaged over neighbours if there are many."""

    def __init__(self) -> None:
        self.last = 0.0
        self._steps: list[float] = []
        self._means: list[float] = []
        self._together = 1
        self._sums, self._summed = (0.0, 0.0), 0

    def add(self, step: int, value: float) -> None:
        """Append a value."""
        self.last = value
        self._sums, self._summed = (self._sums[0] + step, self._sums[1] + value), self._summed + 1
        if self._summed < self._together:
            return
        self._steps.append(self._sums[0] / self._summed)
        self._means.append(self._sums[1] / self._summed)
        self._sums, self._summed = (0.0, 0.0), 0
        if len(self._means) > MOST:
            self._steps, self._means = _halve(self._steps), _halve(self._means)
            self._together *= 2

    def curve(self, most: int) -> tuple[list[float], list[float]]:
        """Return at most ``most`` steps and values, averaged over neighbours."""
        parts = _split(len(self._means), min(most, len(self._means)))
        steps, values = (
            [sum(numbers[start:end]) / (end - start) for start, end in parts]
            for numbers in (self._steps, self._means)
        )
        return steps, values

    def sparkline(self, width: int) -> str:
        """Return the values as a sparkline of at most ``width`` characters."""
        means = self.curve(width)[1]
        if len(means) < 2:
            return ""
        low, high = min(means), max(means)
        scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
        return "".join(BARS[round((mean - low) * scale)] for mean in means)


def _halve(numbers: list[float]) -> list[float]:
    pairs = zip(numbers[::2], numbers[1::2], strict=False)
    return [(one + other) / 2 for one, other in pairs]


def _split(length: int, count: int) -> list[tuple[int, int]]:
    """Split a length into ``count`` parts of nearly equal size."""
    return list(pairwise(length * i // count for i in range(count + 1))) if count else []
