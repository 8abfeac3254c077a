"""A number over the steps: as a curve, and how it looks in a line of text."""

from __future__ import annotations

from itertools import pairwise

BARS = "▁▂▃▄▅▆▇█"
MOST = 2048
"""Values that are kept; of more, the means of two after one another are."""


class Series:
    """Values in the order of their steps, thinned where they are many."""

    def __init__(self) -> None:
        self.last = 0.0
        self._steps: list[float] = []
        self._means: list[float] = []
        self._together = 1
        self._sums, self._summed = (0.0, 0.0), 0

    def add(self, step: int, value: float) -> None:
        """Take the next value."""
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
        """Return steps and values, of more than so many the means of those after one another."""
        parts = _split(len(self._means), min(most, len(self._means)))
        steps, values = (
            [sum(numbers[start:end]) / (end - start) for start, end in parts]
            for numbers in (self._steps, self._means)
        )
        return steps, values

    def sparkline(self, width: int) -> str:
        """Draw all values, from the lowest to the highest, in at most so many characters."""
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
    """Cut a length into so many parts, as even as can be."""
    return list(pairwise(length * i // count for i in range(count + 1))) if count else []
