"""Reading image files into one tensor: decoded, cropped and resized once, then cached."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import PIL
import torch
from torch import Tensor

from ganzoo import distributed
from ganzoo.compute import memory
from ganzoo.errors import GanzooError, InputError
from ganzoo.media.images import resize
from ganzoo.progress import report_progress
from ganzoo.protocols.dataset import fingerprint
from ganzoo.storage.cache import cache_folder, get_or_make_folder
from ganzoo.storage.mapped_array import MappedArray
from ganzoo_zoo.data import decoding
from ganzoo_zoo.data.common_size import CommonSize, find_common_size
from ganzoo_zoo.data.image_source import FEW_FILES, LISTING_VERSION, ImageSource
from ganzoo_zoo.data.index import FilteredNames
from ganzoo_zoo.data.parallel import map_in_order
from ganzoo_zoo.data.shaping import Shaping
from ganzoo_zoo.data.sources import FileChanged

KEPT_IMAGES = FEW_FILES
KEPT_BYTES = 1 << 25
"""Sets with more files or more bytes than this are cached once they are decoded."""
CHUNK_IMAGES = 256
CHUNK_BYTES = 1 << 25
"""The most images and bytes that are resized and stored at once."""
PENDING_BYTES = 1 << 28
"""The most bytes of decoded images that wait to be resized."""
IMAGES, INDEX = "images.npy", "index.json"


@dataclass(frozen=True)
class Images:
    """The images that were read."""

    stored: Tensor
    """uint8 ``(N, C, H, W)``, memory-mapped if it is too large for memory."""
    names: Sequence[str]
    """Name of each image."""
    skipped: tuple[str, ...]
    """Unreadable files, each with the reason."""
    peaks: decoding.Peaks
    """The brightest values of the images."""
    content: str | None = None
    """Fingerprint of ``stored``, if it is known."""
    rows: MappedArray | None = None
    """The file that ``stored`` is mapped from, if it is mapped."""
    common_size: CommonSize | None = None
    """The size that was chosen because the images differ in theirs and none was requested."""


Found = TypeVar("Found", Images, Images | str)
Skipped = list[tuple[int, str]]
"""Index of each unreadable file among the source's names, in order, with the reason."""


class _SizesDiffer(Exception):
    """The images differ in size, and none is requested."""


class _TooLarge(Exception):
    """The images do not fit into memory. The argument is their size in bytes."""


def read_images(source: ImageSource, shaping: Shaping) -> Images:
    """Read all images of a source, from the cache if they were read before.

    Sets larger than a quarter of the memory stay on disk, in the cache. If several processes run on
    a machine, each has a share of the memory, and one of them fills the cache for the others.
    Images that differ in size get a common one, unless a size is requested.

    Raises:
        InputError: there are no images, or none can be read.
        GanzooError: the images fit neither into memory nor into the cache, or a file changed.
    """
    with distributed.current().local_process_first() as led:
        source.find_files(verified=led)
        if not source.names:
            raise InputError("; ".join([f"there are no images in {source.title}", *source.notes]))
        few = len(source.names) <= KEPT_IMAGES and source.total_bytes() <= KEPT_BYTES
        if not few:
            found = _read_at_one_size(_try_cache, source, shaping)
    into_memory = partial(_read_at_one_size, _read_into_memory, source, shaping)
    if few:
        try:
            return into_memory(most=_memory_share() // 4)
        except _TooLarge:
            found = _read_at_one_size(_try_cache, source, shaping)
    if isinstance(found, Images):
        return found
    try:
        return into_memory(most=_memory_share() // 2)
    except _TooLarge as large:
        raise GanzooError(
            f"the images in {source.title} take {large.args[0] / memory.GIB:,.1f} GiB, which is "
            f"too much for the memory, and cannot be kept in {cache_folder()} ({found}); set "
            "GANZOO_CACHE to a folder with more room, or give a smaller --image-size"
        ) from None


def _read_at_one_size(
    read: Callable[..., Found], source: ImageSource, shaping: Shaping, **options: Any
) -> Found:
    """Read images, and again at a common size if they turn out to differ in theirs."""
    try:
        return read(source, shaping, **options)
    except _SizesDiffer:
        size = find_common_size(source, shaping)
    found = read(source, size.shape(shaping), **options)
    return replace(found, common_size=size) if isinstance(found, Images) else found


def _memory_share() -> int:
    """Return this process's share of the machine's memory, in bytes."""
    return memory.limit() // distributed.local_world()


def _read_into_memory(source: ImageSource, shaping: Shaping, most: int) -> Images:
    store = _Memory(most)
    skipped, peaks = _decode_all(source, shaping, store)
    names = tuple(_drop_skipped(source.names, skipped))
    about = _describe_skipped(source.names, skipped), peaks
    return Images(store.stored[: len(names)], names, *about)


def _try_cache(source: ImageSource, shaping: Shaping) -> Images | str:
    """Return the images by way of the cache, or the reason why it cannot hold them."""
    try:
        return _read_through_cache(source, shaping)
    except OSError as error:  # the cache may be full or read-only
        return error.strerror or str(error)


def cache_key(content: str, shaping: Shaping) -> dict[str, Any]:
    """Return the cache key of decoded images.

    Args:
        content: Hash of the names and the bytes of the files.
        shaping: How the images are cropped, resized and converted.
    """
    half = {} if shaping.half is None else {"half": shaping.half}
    return {
        "content": content,
        "listing": LISTING_VERSION,
        "image_size": shaping.image_size and list(shaping.image_size),
        "channels": shaping.channels,
        "crop": shaping.crop,
        "white_level": shaping.white_level,
        **half,
        "decoder": [decoding.DECODER_VERSION, PIL.__version__, torch.__version__],
    }


def _read_through_cache(source: ImageSource, shaping: Shaping) -> Images:
    key = cache_key(source.content_hash(), shaping)

    def make(folder: Path) -> None:
        with _File(folder / IMAGES) as store:
            skipped, peaks = _decode_all(source, shaping, store)
        about = {
            "skipped": skipped,
            "peaks": list(peaks.found.items()),
            "content": fingerprint(MappedArray(folder / IMAGES)),
        }
        (folder / INDEX).write_text(json.dumps(about), encoding="ascii")

    folder = get_or_make_folder("images", key, make)
    try:
        return _open_entry(folder, source.names)
    except (OSError, EOFError, ValueError, KeyError, TypeError):  # damaged
        shutil.rmtree(folder)
        return _open_entry(get_or_make_folder("images", key, make), source.names)


def _open_entry(folder: Path, names: Sequence[str]) -> Images:
    """Open a cache entry.

    Raises:
        ValueError: the entry is damaged. Reading it may raise other errors too.
    """
    about = json.loads((folder / INDEX).read_text(encoding="ascii"))
    skipped = [(place, why) for place, why in about["skipped"]]
    kept = _drop_skipped(names, skipped)
    if (folder / IMAGES).stat().st_size > _memory_share() // 4:
        # A set that stays on disk is too large to be read only for verification.
        rows = MappedArray(folder / IMAGES)
        stored, content = rows.tensor, about["content"]
    else:
        rows, stored = None, torch.from_numpy(np.load(folder / IMAGES))
        content = fingerprint(stored)
    if len(stored) != len(kept) or content != about["content"]:
        raise ValueError(f"{folder} is damaged")
    peaks = decoding.Peaks((largest, brightest) for largest, brightest in about["peaks"])
    return Images(stored, kept, _describe_skipped(names, skipped), peaks, content, rows)


def _drop_skipped(names: Sequence[str], skipped: Skipped) -> Sequence[str]:
    return FilteredNames(names, [place for place, _ in skipped]) if skipped else names


def _describe_skipped(names: Sequence[str], skipped: Skipped) -> tuple[str, ...]:
    return tuple(f"{names[place]}: {why}" for place, why in skipped)


class _Store(ABC):
    """Collects images, one chunk after another."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = ()
        """``(C, H, W)``; empty before the first image."""
        self.most = 0
        """The most images that there can be in the end."""
        self.filled = 0

    def add(self, images: Tensor, most: int) -> None:
        """Add images ``(n, C, H, W)``; if earlier images had fewer channels, theirs are repeated.

        Args:
            images: uint8 images of the same height and width as the earlier ones.
            most: The most images that there can be in the end.
        """
        channels = images.shape[1]
        if not self.shape:
            self.shape, self.most = tuple(images.shape[1:]), most
            self._begin()
        elif channels > self.shape[0]:
            before, self.shape = self.shape[0], tuple(images.shape[1:])
            self._widen(before)
        self._write(images.expand(-1, self.shape[0], -1, -1))
        self.filled += len(images)

    @property
    def bytes(self) -> int:
        """Size of all images, if no further one is skipped."""
        return self.most * math.prod(self.shape)

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _widen(self, before: int) -> None: ...

    @abstractmethod
    def _write(self, images: Tensor) -> None: ...


class _Memory(_Store):
    """Collects images in memory.

    Args:
        room: The most bytes to use.

    Raises:
        _TooLarge: the images need more.
    """

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def _begin(self) -> None:
        if self.bytes > self.room:
            raise _TooLarge(self.bytes)
        self.stored = torch.empty((self.most, *self.shape), dtype=torch.uint8)

    def _widen(self, before: int) -> None:
        filled = self.stored[: self.filled]
        self._begin()
        self.stored[: self.filled] = filled

    def _write(self, images: Tensor) -> None:
        self.stored[self.filled : self.filled + len(images)] = images


class _File(_Store):
    """Collects images in a ``.npy`` file, which is complete at the end of the block.

    The file is written sequentially: writing to a mapped file kills the process on a full disk.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.file: Any = None

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *failure: object) -> None:
        if self.file is None:
            return
        with self.file:
            if not any(failure):
                self.file.seek(0)
                self._write_header(self.filled)

    def _begin(self) -> None:
        if self.bytes > shutil.disk_usage(self.path.parent).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self.file = self.path.open("wb")
        self._write_header(self.most)

    def _widen(self, before: int) -> None:
        self.file.close()
        narrow = self.path.with_name("narrow.npy")
        self.path.rename(narrow)
        self._begin()
        shape = (before, *self.shape[1:])
        with narrow.open("rb") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            while rows := file.read(CHUNK_IMAGES * math.prod(shape)):
                part = torch.frombuffer(bytearray(rows), dtype=torch.uint8).view(-1, *shape)
                self._write(part.expand(-1, self.shape[0], -1, -1))
        narrow.unlink()

    def _write(self, images: Tensor) -> None:
        self.file.write(images.contiguous().numpy().data)

    def _write_header(self, count: int) -> None:
        # numpy pads the header for more digits, so its length does not depend on the count.
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, *self.shape)}
        np.lib.format.write_array_header_1_0(self.file, header)


def _decode_all(
    source: ImageSource, shaping: Shaping, store: _Store
) -> tuple[Skipped, decoding.Peaks]:
    """Put all readable images into a store; return the skipped files, and the brightest values.

    Raises:
        _SizesDiffer: they differ in size, and ``shaping`` has none.
    """
    skipped: Skipped = []
    peaks = decoding.Peaks()
    sizes: set[tuple[int, ...]] = set()
    done, count = 0, len(source.names)
    with decoding.silence_warnings(), closing(_decode_chunks(source, shaping, peaks)) as chunks:
        for chunk in chunks:
            skipped += [(done + i, why) for i, why in enumerate(chunk) if isinstance(why, str)]
            done += len(chunk)
            found = [image for image in chunk if isinstance(image, Tensor)]
            images = _resize_all(found, shaping.image_size)
            sizes |= {tuple(image.shape[1:]) for image in images}
            if len(sizes) > 1:
                raise _SizesDiffer
            if images:
                channels = _count_channels(images, store)
                stacked = torch.stack([image.expand(channels, -1, -1) for image in images])
                store.add(stacked, count - len(skipped))
            report_progress(f"reading {Path(source.title).name}", done, count)
    if len(skipped) == count:
        raise InputError(
            f"none of the {count} images in {source.title} can be read; the first is "
            f"{_describe_skipped(source.names, skipped[:1])[0]}"
        )
    return skipped, peaks


def _count_channels(images: list[Tensor], store: _Store) -> int:
    """Return the number of channels that grey images get beside others.

    Raises:
        InputError: those of the others differ.
    """
    found = {image.shape[0] for image in images} | set(store.shape[:1])
    if len(others := found - {1}) > 1:
        listed = " and ".join(map(str, sorted(others)))
        raise InputError(
            f"the images have {listed} channels; choose one with --set data.image_channels=N"
        )
    return max(found)


def _decode_chunks(
    source: ImageSource, shaping: Shaping, peaks: decoding.Peaks
) -> Generator[list[Tensor | str], None, None]:
    """Yield chunks of images in order; a string stands for an unreadable one, with the reason.

    The brightest value of each image is added to ``peaks``.
    """
    largest = 1

    def decode(place: int) -> tuple[Tensor, tuple[int, int]] | str:
        try:
            with decoding.open_image(source.read(place), shaping.channels) as opened:
                image = decoding.decode_pixels(opened, shaping.channels, shaping.white_level)
                image = decoding.take_half(image, shaping.half)
                peak = decoding.measure_peak(opened)
        except FileChanged:
            raise
        except Exception as error:  # decoders of broken files raise almost anything
            return decoding.describe_error(error)
        if shaping.crop:
            image = decoding.crop_centre(image, (shaping.crop, shaping.crop))
        if shaping.image_size:
            image = decoding.crop_to_shape(image, shaping.image_size)
        return image, peak

    chunk: list[Tensor | str] = []
    size = 0
    results = map_in_order(decode, range(len(source.names)), room=lambda: PENDING_BYTES // largest)
    for result in results:
        if isinstance(result, str):
            chunk.append(result)
        else:
            image, peak = result
            chunk.append(image)
            peaks.add(peak)
            # A crop is a view, which keeps the whole image in memory.
            weight = image.untyped_storage().nbytes()
            largest, size = max(largest, weight), size + weight
        if len(chunk) >= CHUNK_IMAGES or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _resize_all(images: list[Tensor], size: tuple[int, int] | None) -> list[Tensor]:
    """Resize images of several sizes, those of the same shape in one batch."""
    if size is None:
        return images
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for i, image in enumerate(images):
        by_shape.setdefault(tuple(image.shape), []).append(i)
    resized = list(images)
    for places in by_shape.values():
        group = resize(torch.stack([images[i] for i in places]), size)
        for i, image in zip(places, group, strict=True):
            resized[i] = image
    return resized
