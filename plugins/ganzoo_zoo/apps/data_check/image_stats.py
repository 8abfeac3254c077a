"""Statistics of inspected images, kept on disk so that memory use does not grow with the set."""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile, gettempdir

import numpy as np
from PIL import Image
from torch import Tensor

from ganzoo.storage.files import name_file
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
    """Statistics of one image."""

    size: tuple[int, int]
    """Height and width."""
    kind: tuple[str, str]
    """Pillow's names for the file's format and for the mode of its pixels."""
    channels: int
    digest: bytes
    """Hash of the shape and the pixels, 16 bytes."""
    signature: Signature

    @classmethod
    def of(cls, image: Image.Image, pixels: Tensor, kind: tuple[str, str]) -> ImageStats:
        """Compute the statistics of an image.

        Args:
            image: The image, as a Pillow image.
            pixels: The same image, uint8 ``(C, H, W)``.
            kind: Format and mode of its file.
        """
        shape = tuple(pixels.shape)
        digest = hashlib.sha256(repr(shape).encode())
        digest.update(pixels.numpy().tobytes())
        return cls(
            (shape[1], shape[2]), kind, shape[0], digest.digest()[:16], compute_signature(image)
        )


class StatsTable:
    """The statistics of many images, in temporary files. A context manager."""

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

    def add(self, stats: ImageStats) -> None:
        """Add the statistics of one image."""
        kind = self._kinds.setdefault(stats.kind, len(self._kinds))
        head = (*stats.size, kind, stats.channels, stats.digest, stats.signature.hash)
        with name_file(Path(gettempdir())):
            self._heads_file.write(_HEAD.pack(*head))
            self._small_file.write(stats.signature.small)
        self._count += 1

    def finish(self) -> None:
        """Map the files into memory for reading; at least one image must have been added."""
        with name_file(Path(gettempdir())):
            self._heads_file.flush()
            self._small_file.flush()
        self.heads = np.memmap(self._heads_file, _HEADS, "r")
        """Everything but the thumbnails, one structured row per image."""
        self.small = np.memmap(self._small_file, np.uint8, "r").reshape(-1, SIDE * SIDE)

    @property
    def channels(self) -> int:
        """The largest number of channels of any image."""
        return int(self.heads["channels"].max())

    @property
    def sizes(self) -> dict[tuple[int, int], int]:
        """How often each height and width occurs, in order of first occurrence."""
        both = self.heads["height"].astype(np.int64) << 32 | self.heads["width"]
        found, first, counts = np.unique(both, return_index=True, return_counts=True)
        sizes = np.stack([found >> 32, found & 0xFFFFFFFF], axis=1)
        return {tuple(sizes[at].tolist()): int(counts[at]) for at in np.argsort(first)}

    def smaller_than(self, height: int, width: int) -> int:
        """Count the images that are smaller in height or in width."""
        return int(((self.heads["height"] < height) | (self.heads["width"] < width)).sum())

    def kinds(self, part: int) -> dict[str, int]:
        """Count the images by format (``part`` 0) or mode (``part`` 1), most frequent first."""
        counts = np.bincount(self.heads["kind"], minlength=len(self._kinds))
        found: Counter[str] = Counter()
        for kind, number in self._kinds.items():
            found[kind[part]] += int(counts[number])
        return dict(found.most_common())
