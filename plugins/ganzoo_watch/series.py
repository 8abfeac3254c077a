"""A number over the steps, and how it looks in a line of text."""

from __future__ import annotations

from itertools import pairwise

BARS = "▁▂▃▄▅▆▇█"
MOST = 2048
"""Values that are kept; of more, the means of two after one another are."""


class Series:
    """Values in the order of their steps, thinned where they are many."""

    def __init__(self) -> None:
        self.last = 0.0
        self._means: list[float] = []
        self._together = 1
        self._sum, self._summed = 0.0, 0

    def add(self, value: float) -> None:
        """Take the next value."""
        self.last = value
        self._sum, self._summed = self._sum + value, self._summed + 1
        if self._summed < self._together:
            return
        self._means.append(self._sum / self._summed)
        self._sum, self._summed = 0.0, 0
        if len(self._means) > MOST:
            pairs = zip(self._means[::2], self._means[1::2], strict=False)
            self._means = [(one + other) / 2 for one, other in pairs]
            self._together *= 2

    def sparkline(self, width: int) -> str:
        """Draw all values, from the lowest to the highest, in at most so many characters."""
        count = min(width, len(self._means))
        if count < 2:
            return ""
        edges = [len(self._means) * i // count for i in range(count + 1)]
        parts = [self._means[start:end] for start, end in pairwise(edges)]
        means = [sum(part) / len(part) for part in parts]
        low, high = min(means), max(means)
        scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
        return "".join(BARS[round((mean - low) * scale)] for mean in means)
