"""Distances between features, in float64 and a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ganzoo.progress import report_progress

BLOCK = 5_000_000
"""Distances that are held at once: 40 MB, and three times that while they are sorted."""
PART = 2048
"""Samples whose features are held as float64 at once."""


def distance_blocks(rows: Tensor, columns: Tensor, what: str) -> Iterator[tuple[slice, Tensor]]:
    """Yield Euclidean distances from blocks of rows to all columns.

    Args:
        rows: Features ``(N, d)``.
        columns: Features ``(M, d)``.
        what: Name of the work, for the progress display.

    Yields:
        The rows, and their distances ``(n, M)``, float64, in memory that the next block reuses.
    """
    size = min(PART, max(1, BLOCK // len(columns)), len(rows))
    room = torch.empty(size, len(columns), dtype=torch.float64)
    for start in range(0, len(rows), size):
        some = rows[start : start + size].double()
        block = room[: len(some)]
        for first in range(0, len(columns), PART):
            part = columns[first : first + PART].double()
            block[:, first : first + len(part)] = torch.cdist(some, part)
        yield slice(start, start + len(some)), block
        report_progress(what, start + len(some), len(rows))


def neighbour_distances(reals: Tensor, k: int) -> Tensor:
    """Return each real's distance to its ``k``-th nearest other real, ``(N,)`` float64."""
    found = []
    for rows, block in distance_blocks(reals, reals, "distances among reals"):
        itself = torch.arange(rows.start, rows.stop)
        block[itself - rows.start, itself] = float("inf")
        found.append(block.kthvalue(k, dim=1).values)
    return torch.cat(found)
