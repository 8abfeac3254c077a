"""Which images are the same, or nearly so.

A difference hash (Krawetz 2013, "Kind of like that") says for each of 8 x 8 places of a grey image
whether it is brighter than its neighbour. Images whose hashes differ in few bits are compared by
what they look like when they are small.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image

BITS = 64
DISTANCE = 5
"""Bits in which the hashes of near-duplicates may differ."""
SIDE = 16
"""Pixels of a side of the small images that are compared."""
TOLERANCE = 0.25
"""Root mean square of the difference of small near-duplicates, as a share of their contrast."""
BRIGHTNESS = 12.0
"""Levels by which the means of small near-duplicates may differ."""
LEAST_CONTRAST = 4.0
"""Levels that count as the contrast of an image that has less."""
LOOKS = 64
"""With how many of those that follow it in a bucket an image is compared."""

AT_ONCE = 10_000
"""Small images that are compared at once."""

_SET_BITS = np.array([number.bit_count() for number in range(1 << 16)], np.uint8)


@dataclass(frozen=True)
class Gist:
    """What is kept of an image to compare it."""

    hash: int
    small: bytes
    """``SIDE`` x ``SIDE`` levels of grey."""


def gist(image: Image.Image) -> Gist:
    """Return the gist of an image without transparency."""
    grey = image.convert("L")
    places = np.asarray(grey.resize((9, 8), Image.Resampling.BOX))
    bits = np.packbits(places[:, 1:] > places[:, :-1])
    small = grey.resize((SIDE, SIDE), Image.Resampling.BOX)
    return Gist(int.from_bytes(bits.tobytes()), small.tobytes())


def near_duplicates(gists: Sequence[Gist]) -> list[list[int]]:
    """Group images that look alike, directly or through others between them.

    Two hashes that differ in ``DISTANCE`` bits at most agree in one of ``DISTANCE + 1`` parts of
    them: only those that share a part are compared.

    Returns:
        The places of each group in order, the largest group first.
    """
    hashes = np.array([each.hash for each in gists], np.uint64)
    small = np.frombuffer(b"".join(each.small for each in gists), np.uint8)
    pictures = _Pictures(small.reshape(len(gists), SIDE * SIDE))
    groups = list(range(len(gists)))
    edges = np.linspace(0, BITS, DISTANCE + 2).round().astype(int).tolist()
    parts = [(1 << high) - (1 << low) for low, high in pairwise(edges)]
    for number, part in enumerate(parts):
        for one, other in _close(hashes, part, parts[:number]):
            alike = pictures.alike(one, other)
            for pair in zip(one[alike].tolist(), other[alike].tolist(), strict=True):
                _join(groups, *pair)
    return grouped(_root(groups, place) for place in range(len(groups)))


def grouped(keys: Iterable[object]) -> list[list[int]]:
    """Return the places of each key that occurs more than once, the largest group first."""
    found: dict[object, list[int]] = {}
    for place, key in enumerate(keys):
        found.setdefault(key, []).append(place)
    return sorted((group for group in found.values() if len(group) > 1), key=len, reverse=True)


class _Pictures:
    """Small images ``(N, numbers)`` and what they are compared by."""

    def __init__(self, small: np.ndarray) -> None:
        self.small = small
        parts = np.array_split(small, len(small) // AT_ONCE + 1)
        self.means = np.concatenate([part.mean(axis=1, dtype=np.float32) for part in parts])
        contrasts = np.concatenate([part.std(axis=1, dtype=np.float32) for part in parts])
        self.contrasts = np.maximum(contrasts, LEAST_CONTRAST)

    def alike(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Tell which pairs of places look alike."""
        ratio = self.contrasts[one] / self.contrasts[other]
        alike = np.abs(self.means[one] - self.means[other]) <= BRIGHTNESS
        alike &= np.abs(ratio - 1) <= TOLERANCE  # or the difference would be larger anyway
        (left,) = np.nonzero(alike)
        for at in np.array_split(left, len(left) // AT_ONCE + 1):
            apart = self._centred(one[at]) - self._centred(other[at])
            contrast = np.minimum(self.contrasts[one[at]], self.contrasts[other[at]])
            alike[at] = np.sqrt(np.square(apart).mean(axis=1)) <= TOLERANCE * contrast
        return alike

    def _centred(self, places: np.ndarray) -> np.ndarray:
        return self.small[places] - self.means[places, None]


def _close(
    hashes: np.ndarray, part: int, before: Sequence[int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield places whose hashes share a part, none before it, and differ in few bits."""
    bucket = hashes & np.uint64(part)
    order = np.lexsort((hashes, bucket))
    hashes, bucket = hashes[order], bucket[order]
    for shift in range(1, min(LOOKS, len(order) - 1) + 1):
        (at,) = np.nonzero(bucket[shift:] == bucket[:-shift])
        if not len(at):
            return
        differ = hashes[at] ^ hashes[at + shift]
        close = _SET_BITS[differ.view(np.uint16).reshape(-1, 4)].sum(axis=1) <= DISTANCE
        for mask in before:
            close &= (differ & np.uint64(mask)) != 0
        at = at[close]
        yield order[at], order[at + shift]


def _root(groups: list[int], place: int) -> int:
    while groups[place] != place:
        groups[place] = groups[groups[place]]
        place = groups[place]
    return place


def _join(groups: list[int], one: int, other: int) -> None:
    one, other = _root(groups, one), _root(groups, other)
    groups[max(one, other)] = min(one, other)
