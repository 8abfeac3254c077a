"""Search for duplicate and near-duplicate images.

A difference hash (Krawetz 2013, "Kind of like that") has one bit for each of 8 x 8 points of a grey
image: whether the point is brighter than its neighbour. Images whose hashes differ in few bits are
then compared at a size of 16 x 16 pixels.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image

BITS = 64
DISTANCE = 5
"""The most bits in which the hashes of near-duplicates may differ."""
SIDE = 16
"""Side of the thumbnails that are compared, in pixels."""
TOLERANCE = 0.25
"""Largest RMS difference between the thumbnails of near-duplicates, relative to their contrast."""
BRIGHTNESS = 12.0
"""Largest difference between the mean levels (0 to 255) of near-duplicates' thumbnails."""
LEAST_CONTRAST = 4.0
"""Lower bound on the contrast of a thumbnail, in levels."""
MAX_COMPARISONS = 64
"""An image is compared with at most this many that follow it in its bucket."""

IMAGES_AT_ONCE = 10_000
"""Thumbnails per batch of comparisons."""
HASHES_AT_ONCE = 1 << 20
"""Hashes per batch of comparisons."""

_SET_BITS = np.array([number.bit_count() for number in range(1 << 16)], np.uint8)


@dataclass(frozen=True)
class Signature:
    """The difference hash and the thumbnail of an image."""

    hash: int
    small: bytes
    """Grey levels of the thumbnail, ``SIDE`` x ``SIDE``."""


def compute_signature(image: Image.Image) -> Signature:
    """Compute the difference hash and the thumbnail of an image without transparency."""
    grey = image.convert("L")
    places = np.asarray(grey.resize((9, 8), Image.Resampling.BOX))
    bits = np.packbits(places[:, 1:] > places[:, :-1])
    small = grey.resize((SIDE, SIDE), Image.Resampling.BOX)
    return Signature(int.from_bytes(bits.tobytes()), small.tobytes())


def group_duplicates(digests: np.ndarray) -> tuple[list[list[int]], np.ndarray]:
    """Group images whose pixels are equal.

    Args:
        digests: Hashes of the pixels, uint64 ``(N, numbers)``.

    Returns:
        The indices of each group in ascending order, the largest group first; and the sorted
        indices of all images with only the first of each group.
    """
    order = np.lexsort(digests.T)
    ranked = digests[order]
    begins = np.r_[True, (ranked[1:] != ranked[:-1]).any(axis=1)].nonzero()[0]
    lengths = np.diff(np.r_[begins, len(order)])
    groups = [
        order[begin : begin + length].tolist()
        for begin, length in zip(begins[lengths > 1], lengths[lengths > 1], strict=True)
    ]
    return sorted(groups, key=lambda group: (-len(group), group)), np.sort(order[begins])


def group_near_duplicates(
    hashes: np.ndarray, small: np.ndarray, places: np.ndarray | None = None
) -> list[list[int]]:
    """Group images that look alike, directly or through a chain of similar images.

    Two hashes that differ in at most ``DISTANCE`` bits agree in at least one of ``DISTANCE + 1``
    parts, so only hashes that share a part are compared.

    Args:
        hashes: Difference hash of each image, uint64 ``(N,)``.
        small: Thumbnail of each image, uint8 ``(N, SIDE * SIDE)``; may be memory-mapped.
        places: Indices of the images to compare; all if None.

    Returns:
        The indices of each group in ascending order, the largest group first.
    """
    places = np.arange(len(hashes)) if places is None else places
    pictures, hashes = _Pictures(small, places), hashes[places]
    groups = array("q", range(len(places)))
    joined: set[int] = set()
    edges = np.linspace(0, BITS, DISTANCE + 2).round().astype(int).tolist()
    parts = [(1 << high) - (1 << low) for low, high in pairwise(edges)]
    for number, part in enumerate(parts):
        for one, other in _close_pairs(hashes, part, parts[:number]):
            alike = pictures.are_alike(one, other)
            for pair in zip(one[alike].tolist(), other[alike].tolist(), strict=True):
                _join(groups, *pair)
                joined.update(pair)
    members = sorted(joined)
    found = group_equal(_find_root(groups, member) for member in members)
    return [[int(places[members[at]]) for at in group] for group in found]


def group_equal(keys: Iterable[object]) -> list[list[int]]:
    """Return the indices of each key that occurs more than once, the largest group first."""
    found: dict[object, list[int]] = {}
    for place, key in enumerate(keys):
        found.setdefault(key, []).append(place)
    return sorted((group for group in found.values() if len(group) > 1), key=len, reverse=True)


class _Pictures:
    """Thumbnails with their means and contrasts, for comparing pairs of them.

    Args:
        small: Thumbnails, uint8 ``(N, numbers)``.
        places: Indices of the thumbnails to use.
    """

    def __init__(self, small: np.ndarray, places: np.ndarray) -> None:
        self.small = small
        self.places = places
        parts = np.array_split(places, len(places) // IMAGES_AT_ONCE + 1)
        self.means = np.concatenate([small[at].mean(axis=1, dtype=np.float32) for at in parts])
        contrasts = np.concatenate([small[at].std(axis=1, dtype=np.float32) for at in parts])
        self.contrasts = np.maximum(contrasts, LEAST_CONTRAST)

    def are_alike(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return which pairs of images look alike, as booleans ``(N,)``."""
        ratio = self.contrasts[one] / self.contrasts[other]
        alike = np.abs(self.means[one] - self.means[other]) <= BRIGHTNESS
        alike &= np.abs(ratio - 1) <= TOLERANCE  # otherwise the RMS difference exceeds it anyway
        (left,) = np.nonzero(alike)
        for at in np.array_split(left, len(left) // IMAGES_AT_ONCE + 1):
            apart = self._centre(one[at]) - self._centre(other[at])
            contrast = np.minimum(self.contrasts[one[at]], self.contrasts[other[at]])
            alike[at] = np.sqrt(np.square(apart).mean(axis=1)) <= TOLERANCE * contrast
        return alike

    def _centre(self, at: np.ndarray) -> np.ndarray:
        return self.small[self.places[at]] - self.means[at, None]


def _close_pairs(
    hashes: np.ndarray, part: int, before: Sequence[int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs of close hashes that share one part but none of the earlier ones.

    Args:
        hashes: uint64 ``(N,)``.
        part: Bit mask of the shared part.
        before: Bit masks of the parts whose pairs were yielded already.

    Yields:
        The indices of the first and of the second hash of each pair.
    """
    bucket = hashes & np.uint64(part)
    order = np.lexsort((hashes, bucket))
    hashes, bucket = hashes[order], bucket[order]
    for shift in range(1, min(MAX_COMPARISONS, len(order) - 1) + 1):
        found = False
        for begin in range(0, len(order) - shift, HASHES_AT_ONCE):
            end = min(begin + HASHES_AT_ONCE, len(order) - shift)
            (at,) = np.nonzero(bucket[begin + shift : end + shift] == bucket[begin:end])
            found = found or len(at) > 0
            at += begin
            differ = hashes[at] ^ hashes[at + shift]
            close = _SET_BITS[differ.view(np.uint16).reshape(-1, 4)].sum(axis=1) <= DISTANCE
            for mask in before:
                close &= (differ & np.uint64(mask)) != 0
            at = at[close]
            yield order[at], order[at + shift]
        if not found:
            return


def _find_root(groups: array[int], place: int) -> int:
    while groups[place] != place:
        groups[place] = groups[groups[place]]
        place = groups[place]
    return place


def _join(groups: array[int], one: int, other: int) -> None:
    one, other = _find_root(groups, one), _find_root(groups, other)
    groups[max(one, other)] = min(one, other)
