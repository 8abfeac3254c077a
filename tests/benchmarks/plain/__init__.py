"""Plain loops in the manner of the well-known scripts, written from the papers.

Networks of torch's own layers, losses as the papers write them, and a loop as scripts have it: one
pass of the generator for each update, a discriminator that learns in vain in the generator's turn,
torch's default Adam, memory as it comes, and each loss read as it is made. Nothing here is made of
anything that is measured beside it.
"""

from __future__ import annotations


def halvings(size: int) -> int:
    """Return how often a side is halved to 4."""
    return (size // 4).bit_length() - 1
