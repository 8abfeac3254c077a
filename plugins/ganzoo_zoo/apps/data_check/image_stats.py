"""What is remembered of images that were looked at: columns of numbers, which lie on the disk."""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from dataclasses import dataclass
from tempfile import TemporaryFile

import numpy as np
from PIL import Image
from torch import Tensor

from ganzoo_zoo.apps.data_check.duplicates import SIDE, Signature, compute_signature

_HEAD = struct.Struct("<3LB16sQ")
_HEADS = np.dtype(
    [
        ("height", "<u4"),
        ("width", "<u4"),
        ("kind", "<u4"),
        ("channels", "u1"),
        ("digest", "<u8", 2),
        ("hash", "<u8"),
    ]
)


@dataclass(frozen=True)
class ImageStats:
    """What is remembered of one image."""

    size: tuple[int, int]
    """Height and width."""
    kind: tuple[str, str]
    """Format of the file and mode of its pixels, as Pillow calls them."""
    channels: int
    digest: bytes
    """Hash of its pixels, 16 bytes."""
    signature: Signature

    @classmethod
    def of(cls, image: Image.Image, pixels: Tensor, kind: tuple[str, str]) -> ImageStats:
        """Look at an image.

        Args:
            image: As Pillow has it.
            pixels: The same, uint8 ``(C, H, W)``.
            kind: Format and mode of its file.
        """
        shape = tuple(pixels.shape)
        digest = hashlib.sha256(repr(shape).encode())
        digest.update(pixels.numpy().tobytes())
        return cls(
            (shape[1], shape[2]), kind, shape[0], digest.digest()[:16], compute_signature(image)
        )


class StatsTable:
    """Looks at many images, within a block."""

    def __init__(self) -> None:
        self._count = 0
        self._kinds: dict[tuple[str, str], int] = {}

    def __enter__(self) -> StatsTable:
        self._heads_file, self._small_file = TemporaryFile(), TemporaryFile()
        return self

    def __exit__(self, *failure: object) -> None:
        self._heads_file.close()
        self._small_file.close()

    def __len__(self) -> int:
        return self._count

    def add(self, look: ImageStats) -> None:
        """Remember one more."""
        kind = self._kinds.setdefault(look.kind, len(self._kinds))
        head = (*look.size, kind, look.channels, look.digest, look.signature.hash)
        self._heads_file.write(_HEAD.pack(*head))
        self._small_file.write(look.signature.small)
        self._count += 1

    def finish(self) -> None:
        """Look back at all of them, of which there must be some."""
        self._heads_file.flush()
        self._small_file.flush()
        self.heads = np.memmap(self._heads_file, _HEADS, "r")
        """What is remembered of each but for its small picture."""
        self.small = np.memmap(self._small_file, np.uint8, "r").reshape(-1, SIDE * SIDE)

    @property
    def channels(self) -> int:
        """The most that an image has."""
        return int(self.heads["channels"].max())

    @property
    def sizes(self) -> dict[tuple[int, int], int]:
        """How often each height and width comes, in the order in which they come first."""
        both = self.heads["height"].astype(np.int64) << 32 | self.heads["width"]
        found, first, counts = np.unique(both, return_index=True, return_counts=True)
        sizes = np.stack([found >> 32, found & 0xFFFFFFFF], axis=1)
        return {tuple(sizes[at].tolist()): int(counts[at]) for at in np.argsort(first)}

    def smaller_than(self, height: int, width: int) -> int:
        """Count the images that are lower or narrower."""
        return int(((self.heads["height"] < height) | (self.heads["width"] < width)).sum())

    def kinds(self, part: int) -> dict[str, int]:
        """Return how often each format comes, the usual ones first; each mode if ``part`` is 1."""
        counts = np.bincount(self.heads["kind"], minlength=len(self._kinds))
        found: Counter[str] = Counter()
        for kind, number in self._kinds.items():
            found[kind[part]] += int(counts[number])
        return dict(found.most_common())
