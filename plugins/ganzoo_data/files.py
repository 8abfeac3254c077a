"""A person's own images: a folder of them, or a zip."""

from __future__ import annotations

import io
import os
import warnings
import zipfile
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import Literal

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import Field
from torch import Tensor

from ganzoo import DataSpec, ImageDataset, Samples, memory
from ganzoo.errors import InputError, first_line
from ganzoo.files import regular_size
from ganzoo.images import resize
from ganzoo_data.paths import AbsolutePath

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
"""What is tried: Pillow knows others, and starts another program for one of them."""
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How members of a zip may be packed: others unpack to any size before it can be looked at."""
PIXEL_LIMIT = 64_000_000
BYTE_LIMIT = 256_000_000
GREY_MODES = {"1", "L", "LA", "I;16", "I;16B", "I;16L"}
PIL_MODES = {1: "L", 3: "RGB", 4: "RGBA"}

Read = Callable[[str], bytes]
Channels = Literal[1, 3, 4] | None
CHANNELS = Field(
    None, description="1 grey, 3 RGB, 4 RGBA; by default 1 if every image is grey, else 3."
)


class _ImageFiles(ImageDataset):
    """Base of sets of image files, named with forward slashes, in sorted order.

    Where every image lies in one of several folders, the outermost folders are the classes.
    """

    path: AbsolutePath = Field(description="Where the images are.")
    image_channels: Channels = CHANNELS

    @abstractmethod
    def opened(self) -> AbstractContextManager[tuple[list[str], Read]]:
        """Open the set: the names of all files in it, and a function that reads one."""

    def read(self) -> Samples:
        """Read every image; what cannot be read is skipped and named in ``skipped``."""
        with self.opened() as (files, read):
            names = sorted(name for name in files if _is_image(name))
            if not names:
                raise InputError(f"there are no images in {self.path}")
            images, kept, skipped = self._decoded(names, read)
        if not images:
            raise InputError(
                f"none of the {len(names)} images in {self.path} can be read; "
                f"the first is {skipped[0]}"
            )
        stored = _stacked(images, self.image_channels, self.path)
        folders, labels = _classes(kept)
        spec = DataSpec(
            shape=tuple(stored.shape[1:]),
            classes=len(folders) if folders else None,
            class_names=folders,
        )
        return Samples(spec, stored, labels, tuple(skipped), tuple(kept))

    def _decoded(self, names: list[str], read: Read) -> tuple[list[Tensor], list[str], list[str]]:
        images: list[Tensor] = []
        kept: list[str] = []
        skipped: list[str] = []
        size = 0
        for name in names:
            try:
                image = _decode(read(name), self.image_channels)
            except Exception as error:  # decoders of broken files raise almost anything
                skipped.append(f"{name}: {_reason(error)}")
                continue
            if self.image_size:
                image = resize(_cropped(image, self.image_size)[None], self.image_size)[0]
            size += image.numel()
            # Each image and, once all are read, the set that they are copied to.
            memory.require(2 * size, f"the first {len(images) + 1} images of {self.path}")
            images.append(image)
            kept.append(name)
        return images, kept, skipped


class ImageFolder(_ImageFiles):
    """A folder of images, with or without class folders in it.

    Links to folders are not followed, and names that begin with a dot are passed over. With
    ``image_size`` each image is cropped around its centre to that shape and resized.
    """

    @contextmanager
    def opened(self) -> Iterator[tuple[list[str], Read]]:
        """List the folder and all below it."""
        root = Path(self.path)
        if not root.is_dir():
            raise InputError(f"there is no folder {root}")

        def refuse(error: OSError) -> None:
            raise InputError(f"the folder {error.filename} cannot be read: {error.strerror}")

        files = [
            (Path(parent) / name).relative_to(root).as_posix()
            for parent, _, names in os.walk(root, onerror=refuse, followlinks=False)
            for name in names
        ]

        def read(name: str) -> bytes:
            _check_size(regular_size(root / name))
            return (root / name).read_bytes()

        yield files, read


class ImageZip(_ImageFiles):
    """A zip of images, with or without class folders in it; nothing is unpacked to disk.

    With ``image_size`` each image is cropped around its centre to that shape and resized.
    """

    @contextmanager
    def opened(self) -> Iterator[tuple[list[str], Read]]:
        """List the archive."""
        regular_size(Path(self.path))
        try:
            archive = zipfile.ZipFile(self.path)
        except Exception as error:  # a list of members can be broken in many ways
            raise InputError(f"{self.path} is not a readable zip: {first_line(error)}") from None
        # Of two members with one name the later counts, as it would if they were unpacked.
        members = {
            info.filename: info for info in archive.infolist() if not info.filename.endswith("/")
        }

        def read(name: str) -> bytes:
            member = members[name]
            _check_size(member.file_size)
            if member.compress_type not in PACKINGS:
                raise ValueError("it is packed by another method than deflate; pack it anew")
            with archive.open(member) as file:
                # A size is asked for, as no more is then unpacked than the zip says there is.
                return file.read(member.file_size + 1)

        with archive:
            yield list(members), read


class Domains(ImageDataset):
    """Two sets of images, each a class: two folders or zips from anywhere, as unpaired domains.

    With ``image_size`` each image is cropped around its centre to that shape and resized.
    """

    a: AbsolutePath = Field(description="Folder or zip of the first class.")
    b: AbsolutePath = Field(description="Folder or zip of the second class.")
    image_channels: Channels = CHANNELS

    def read(self) -> Samples:
        """Read both; their classes are called as the two paths, without suffix."""
        both = [self._one(path) for path in (self.a, self.b)]
        channels = max(one.spec.image_channels for one in both)
        sizes = {one.spec.image_size for one in both}
        if len(sizes) > 1:
            (h1, w1), (h2, w2) = (one.spec.image_size for one in both)
            raise InputError(
                f"the images in {self.a} are {h1} x {w1} and those in {self.b} {h2} x {w2}; "
                "give one size with --image-size"
            )
        called = [Path(path).stem for path in (self.a, self.b)]
        if called[0] == called[1]:
            called = ["a", "b"]
        stored = torch.cat([one.stored.expand(-1, channels, -1, -1) for one in both])
        spec = DataSpec(shape=tuple(stored.shape[1:]), classes=2, class_names=tuple(called))
        return Samples(
            spec,
            stored,
            torch.arange(2).repeat_interleave(torch.tensor([len(one) for one in both])),
            tuple(reason for one in both for reason in one.skipped),
            tuple(
                f"{word}/{name}"
                for word, one in zip(called, both, strict=True)
                for name in one.names or ()
            ),
        )

    def _one(self, path: str) -> Samples:
        reader = ImageFolder if Path(path).is_dir() else ImageZip
        return reader(
            path=path, image_channels=self.image_channels, image_size=self.image_size
        ).read()


def _is_image(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    return not hidden and PurePosixPath(name).suffix.lower() in SUFFIXES


def _check_size(size: int) -> None:
    if size > BYTE_LIMIT:
        raise ValueError(f"{size} bytes are more than the {BYTE_LIMIT} that an image may have")


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image of a known format"  # Pillow's words hold a memory address
    return first_line(error)


def _decode(data: bytes, channels: int | None) -> Tensor:
    """Decode one image into uint8 ``(C, H, W)``; 1 or 3 channels if none are asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the size is judged here, by one limit
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            if opened.width * opened.height > PIXEL_LIMIT:
                raise ValueError(f"{opened.width} x {opened.height} pixels are too many")
            image = ImageOps.exif_transpose(opened)
            channels = channels or (1 if image.mode in GREY_MODES else 3)
            image = _converted(image, PIL_MODES[channels])
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return pixels.view(image.height, image.width, channels).permute(2, 0, 1).contiguous()


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no fixed range; use 8 or 16 bits")
    if image.mode.startswith("I;16"):
        # Pillow's own conversion cuts 16 bits off at 255; the upper byte is what a viewer shows.
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if mode != "RGBA" and (image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info):
        # Transparent pixels carry hidden colours; a person sees what lies behind them.
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert(mode)


def _cropped(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut the largest part of the wanted shape out of the centre."""
    height, width = image.shape[1:]
    scale = min(height / size[0], width / size[1])
    rows, columns = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    top, left = (height - rows) // 2, (width - columns) // 2
    return image[:, top : top + rows, left : left + columns]


def _stacked(images: list[Tensor], channels: int | None, path: str) -> Tensor:
    sizes = {tuple(image.shape[1:]) for image in images}
    if len(sizes) > 1:
        (h1, w1), (h2, w2) = sorted(sizes)[0], sorted(sizes)[-1]
        raise InputError(
            f"the images in {path} differ in size, from {h1} x {w1} to {h2} x {w2}; "
            "give one with --image-size"
        )
    wanted = channels or max(image.shape[0] for image in images)
    return torch.stack([image.expand(wanted, -1, -1) for image in images])


def _classes(names: list[str]) -> tuple[tuple[str, ...] | None, Tensor | None]:
    """Return the names of the classes and each image's class, where folders tell them."""
    parts = [PurePosixPath(name).parts for name in names]
    folders = sorted({part[0] for part in parts})
    if len(folders) < 2 or any(len(part) == 1 for part in parts):
        return None, None
    numbers = {folder: i for i, folder in enumerate(folders)}
    # A system may allow names that no text file can hold.
    called = [os.fsencode(folder).decode("utf-8", "backslashreplace") for folder in folders]
    return tuple(called), torch.tensor([numbers[part[0]] for part in parts])
