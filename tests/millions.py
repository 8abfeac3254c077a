"""A made set of millions of images, as a first pass over a zip leaves it in the cache.

There are no such images: what the index says of them was never in a zip, and theirs is a file of
holes, but for those that are asked for. What reads it is what reads any set.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ganzoo.storage.cache import get_or_make_folder
from ganzoo_zoo.data import image_source, index, reading, sources
from ganzoo_zoo.data.listing import LeftOut

CLASSES = 100
AT_ONCE = 1_000_000
WIDTH = len("00/00000000.png")


def label_of(place: int, count: int) -> int:
    """Return the class of one of so many images."""
    return place * CLASSES // count


def level_of(place: int) -> int:
    """Return what the pixels of an image are that is there."""
    return place % 251


def name_of(place: int, count: int) -> str:
    """Return the name of one of so many images."""
    return f"{label_of(place, count):02d}/{place:08d}.png"


def make(path: Path, count: int, shape: tuple[int, ...], places: Iterable[int]) -> None:
    """Have a zip be known as one of so many images.

    Args:
        path: Where it is put.
        count: How many, at most 100 million.
        shape: ``(C, H, W)`` of each.
        places: Which of them are there, each of one level.
    """
    path.write_bytes(b"not looked into")
    with sources.open_zip(str(path)) as zipped:
        key, facts = zipped._key(), {"state": zipped._compute_state(), "content": path.name}
    facts["left_out"] = LeftOut().to_facts()

    def make_index(folder: Path) -> None:
        _write_names(folder, count)
        with (folder / index.ROWS).open("wb") as rows:
            rows.truncate(count * sources.ZipSource.kind.itemsize)
        index.write_facts(folder, {**facts, "settled": True})

    def make_images(folder: Path) -> None:
        size = math.prod(shape)
        with (folder / reading.IMAGES).open("wb") as images:
            header = {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}
            np.lib.format.write_array_header_1_0(images, header)
            begin = images.tell()
            images.truncate(begin + count * size)
            for place in places:
                images.seek(begin + place * size)
                images.write(bytes([level_of(place)]) * size)
        about = {"skipped": [], "peaks": [], "content": f"the images of {path.name}"}
        (folder / reading.INDEX).write_text(json.dumps(about))

    get_or_make_folder(image_source.KIND, key, make_index)
    images_key = reading.cache_key(facts["content"], reading.Shaping(None, None))
    get_or_make_folder("images", images_key, make_images)


def _write_names(folder: Path, count: int) -> None:
    with (folder / index.TEXT).open("wb") as text, (folder / index.ENDS).open("wb") as ends:
        for begin in range(0, count, AT_ONCE):
            places = np.arange(begin, min(begin + AT_ONCE, count))
            letters = np.empty((len(places), WIDTH), np.uint8)
            letters[:] = np.frombuffer(b"--/--------.png", np.uint8)
            letters[:, :2] = _in_digits(places * CLASSES // count, 2)
            letters[:, 3:11] = _in_digits(places, 8)
            text.write(letters.data)
            ends.write(((places + 1) * WIDTH).astype("<i8").data)


def _in_digits(numbers: np.ndarray, count: int) -> np.ndarray:
    digits = numbers[:, None] // 10 ** np.arange(count - 1, -1, -1) % 10
    return (digits + ord("0")).astype(np.uint8)
