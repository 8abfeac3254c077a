"""The size of samples from images that differ in size, if none is requested."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from statistics import median_low

from ganzoo_zoo.data import decoding
from ganzoo_zoo.data.image_source import FEW_FILES, ImageSource
from ganzoo_zoo.data.parallel import map_in_order
from ganzoo_zoo.data.shaping import LARGEST_SIDE, SMALLEST_SIDE, Shaping

Size = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True)
class CommonSize:
    """The size that images of several sizes are resized to, and why."""

    side: int
    smallest: Size
    largest: Size

    @property
    def image_size(self) -> Size:
        """Height and width of every sample."""
        return self.side, self.side

    def shape(self, shaping: Shaping) -> Shaping:
        """Return how images are shaped that get this size."""
        return replace(shaping, image_size=self.image_size)

    def describe(self) -> str:
        """Return a note for the person who did not choose a size."""
        small, large = (f"{height} x {width}" for height, width in (self.smallest, self.largest))
        return (
            f"the images differ in size, such as {small} and {large}, and are resized to "
            f"{self.side} x {self.side}; choose another size with --image-size"
        )


def find_common_size(source: ImageSource, shaping: Shaping) -> CommonSize:
    """Find the largest power of two up to the median shorter side, from 32 to 64.

    The median is that of at most :data:`~ganzoo_zoo.data.image_source.FEW_FILES` files, evenly
    chosen, of which only the headers are decoded.

    Args:
        source: Image files that have been found.
        shaping: How the images are shaped, without a size.
    """
    sizes = sorted(_measure(source, shaping), key=lambda size: (size[0] * size[1], size))
    middle = median_low(map(min, sizes))
    side = min(max(1 << middle.bit_length() - 1, SMALLEST_SIDE), LARGEST_SIDE)
    return CommonSize(side, sizes[0], sizes[-1])


def _measure(source: ImageSource, shaping: Shaping) -> Iterator[Size]:
    """Yield the sizes of images as a viewer shows them, without those of unreadable files."""

    def measure(place: int) -> Size | None:
        try:
            with decoding.open_image(source.read(place), shaping.channels) as opened:
                height, width = decoding.shown_size(opened)
        except Exception:  # decoders of broken files raise almost anything
            return None
        if shaping.half:
            width //= 2
        most = shaping.crop or max(height, width)
        return min(height, most), min(width, most)

    count = len(source.names)
    chosen = min(count, FEW_FILES)
    places = (number * count // chosen for number in range(chosen))
    with decoding.silence_warnings(), closing(map_in_order(measure, places)) as found:
        yield from filter(None, found)
