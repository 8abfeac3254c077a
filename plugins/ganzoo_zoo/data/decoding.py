"""Image decoding: from the bytes of a file to the pixels that a viewer would show."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError, features
from torch import Tensor

from ganzoo.errors import first_line
from ganzoo_zoo.data import arrays
from ganzoo_zoo.data.arrays import ArrayImage
from ganzoo_zoo.data.shaping import Half

READS_AVIF = "avif" in features.modules and features.check("avif")
"""Whether the installed Pillow reads AVIF; versions before 11.3 do not know it."""
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", *(["AVIF"] if READS_AVIF else []))
"""Accepted formats. Pillow knows others, and runs an external program for one of them."""
PIXEL_LIMIT = 64_000_000
"""The most pixels of an image."""
WHITE, DEEP_WHITE = 2**8 - 1, 2**16 - 1
"""The largest values of images of 8 and of 16 bits."""
UNBOUNDED_MODES = ("I", "F")
"""Modes of 32 bits, whose files do not tell what is white."""
GREY_MODES = {"1", "L", "LA", "I", "F", "I;16", "I;16B", "I;16L"}
PIL_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
TURNED = (5, 6, 7, 8)
"""Values of the EXIF orientation that exchange height and width."""
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
DECODER_VERSION = 1
"""Version of decoding, cropping and resizing; increase it when any of them changes pixels."""


@contextmanager
def silence_warnings() -> Iterator[None]:
    """Silence Pillow's warnings in all threads; :data:`PIXEL_LIMIT` is checked instead.

    It also logs that a TIFF has too many channels, which is then read by another package.
    """
    logger = logging.getLogger("PIL.TiffImagePlugin")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def open_image(data: bytes, channels: int | None = None) -> Iterator[Image.Image | ArrayImage]:
    """Open an image without decoding its pixels; call it within :func:`silence_warnings`.

    What Pillow does not know of, npy files and TIFF files of many channels, are read as arrays.

    Args:
        data: The bytes of the file.
        channels: The number of channels that are wanted; None for the file's own.

    Raises:
        ValueError: the image has too many pixels. Pillow raises almost any other error.
    """
    if _is_array(data, channels):
        yield arrays.open_array(data, channels)
        return
    brand = data[8:12] if data[4:8] == b"ftyp" else b""
    if not READS_AVIF and brand in (b"avif", b"avis"):
        raise ValueError("this Pillow does not read AVIF: update it with 'pip install -U pillow'")
    if brand in HEIC_BRANDS and b"avif" not in data[:64]:
        raise ValueError("it is HEIC, whatever its name: convert it to JPEG or PNG")
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.width * image.height > PIXEL_LIMIT:
            raise ValueError(f"{image.width} x {image.height} pixels are too many")
        yield image


def _is_array(data: bytes, channels: int | None) -> bool:
    if data.startswith(arrays.NPY) or channels not in (None, *PIL_MODES):
        return True
    if data[:4] not in arrays.TIFFS:
        return False
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS):
            return False
    except UnidentifiedImageError:
        return True


def shown_size(image: Image.Image | ArrayImage) -> tuple[int, int]:
    """Return the height and width of an opened image as viewers show it, by its header alone."""
    if isinstance(image, ArrayImage):
        return image.height, image.width
    if image.getexif().get(ExifTags.Base.Orientation) in TURNED:
        return image.width, image.height
    return image.height, image.width


def decode_pixels(
    image: Image.Image | ArrayImage, channels: int | None, white_level: int | None = None
) -> Tensor:
    """Decode an opened image into uint8 ``(C, H, W)``.

    Args:
        image: The opened image.
        channels: How many; if None, 1 for a grey image and 3 for a colour image, and those of an
            array.
        white_level: Value that becomes 255; None means the largest of the image's format.
    """
    if isinstance(image, ArrayImage):
        return torch.tensor(image.spread(channels, white_level))
    image = ImageOps.exif_transpose(image)
    channels = channels or (1 if _is_grey(image) else 3)
    image = _convert(image, PIL_MODES[channels], white_level)
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return pixels.view(image.height, image.width, channels).permute(2, 0, 1).contiguous()


class Peaks:
    """The brightest value among images of each format.

    Args:
        found: By the largest value of a format, 0 if it has none, the brightest value of images.
    """

    def __init__(self, found: Iterable[tuple[int, int]] = ()) -> None:
        self.found = dict(found)

    def add(self, image: tuple[int, int]) -> None:
        """Add an image, by what :func:`measure_peak` returned."""
        largest, brightest = image
        self.found[largest] = max(brightest, self.found.get(largest, 0))

    def describe(self, white_level: int | None) -> list[str]:
        """Describe a range that is hardly used, or exceeded, in a line for each format."""
        lines = []
        for largest, brightest in sorted(self.found.items()):
            white = white_level or largest
            value = f"the brightest value of all {largest.bit_length() or 32}-bit images is"
            if brightest > white:
                lines.append(
                    f"{value} {brightest:,}: what exceeds data.white_level={white} becomes white"
                )
            elif not brightest:
                lines.append(f"{value} 0: they are black")
            elif 2 * brightest < white:
                likely = 2 ** brightest.bit_length() - 1
                lines.append(
                    f"{value} {brightest:,} of {white:,}, so training would see dark images; if "
                    f"{likely:,} is their white, add --set data.white_level={likely}"
                )
        return lines


def measure_peak(image: Image.Image | ArrayImage) -> tuple[int, int]:
    """Measure the brightest value of an image; transparency does not count.

    Returns:
        The largest value of the image's format, 0 if it has none, and the brightest value.
    """
    if isinstance(image, ArrayImage):
        return image.largest, image.brightest
    if _is_deep(image):
        largest = 0 if image.mode in UNBOUNDED_MODES else DEEP_WHITE
        image = image if image.mode == "F" else image.convert("I")
        return largest, max(0, round(np.nan_to_num(np.asarray(image)).max()))
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    extrema: Any = image.getextrema()
    if len(image.getbands()) == 1:
        extrema = (extrema,)
    return WHITE, max(
        int(most) for band, (_, most) in zip(image.getbands(), extrema, strict=True) if band != "A"
    )


def describe_error(error: Exception) -> str:
    """Describe in one line why an image cannot be read."""
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image of a known format"  # Pillow's message has a memory address
    return first_line(error)


def take_half(image: Tensor, half: Half | None) -> Tensor:
    """Return a half of ``(C, H, W)``, or the whole if it is None; an odd column is in neither.

    Raises:
        ValueError: the image is a single pixel wide.
    """
    if half is None:
        return image
    columns = image.shape[2] // 2
    if not columns:
        raise ValueError("it is 1 pixel wide, and has no halves")
    return image[:, :, :columns] if half == "left" else image[:, :, -columns:]


def crop_to_shape(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Crop ``(C, H, W)`` around its centre to the aspect ratio of ``size`` (height, width)."""
    height, width = image.shape[1:]
    scale = min(height / size[0], width / size[1])
    return crop_centre(image, (max(1, round(size[0] * scale)), max(1, round(size[1] * scale))))


def crop_centre(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Crop ``(C, H, W)`` around its centre to at most ``size`` (height, width)."""
    height, width = image.shape[1:]
    rows, columns = min(size[0], height), min(size[1], width)
    top, left = (height - rows) // 2, (width - columns) // 2
    return image[:, top : top + rows, left : left + columns]


def _is_grey(image: Image.Image) -> bool:
    """Tell whether an image is grey: by its mode, or by the colours in use if it has a palette."""
    if image.mode not in ("P", "PA"):
        return image.mode in GREY_MODES
    used = image.getchannel(0).histogram()
    colours = zip(*[iter(image.getpalette("RGB") or [])] * 3, strict=True)
    return all(len(set(colour)) == 1 for colour, count in zip(colours, used, strict=False) if count)


def _is_deep(image: Image.Image) -> bool:
    return image.mode in UNBOUNDED_MODES or image.mode.startswith("I;16")


def _convert(image: Image.Image, mode: str, white_level: int | None) -> Image.Image:
    if image.mode in UNBOUNDED_MODES and white_level is None:
        raise ValueError(
            f"pixels of mode {image.mode} have no fixed range; give it with "
            "--set data.white_level=N, or use 8 or 16 bits"
        )
    if white_level is not None:
        image = _spread(image, white_level)
    elif image.mode.startswith("I;16"):
        # Pillow would clip 16-bit values at 255; viewers show the upper byte.
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if mode != "RGBA" and _has_transparency(image):
        # Transparent pixels have hidden colours; viewers show the background, here white.
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert(mode)


def _has_transparency(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info


def _spread(image: Image.Image, white_level: int) -> Image.Image:
    """Spread the values from 0 to ``white_level`` over 8 bits, and cut off the others."""
    if _is_deep(image):
        values = np.asarray(image if image.mode == "F" else image.convert("I"), np.float64)
        values = np.nan_to_num(values).clip(0, white_level) * (WHITE / white_level)
        return Image.fromarray(values.round().astype(np.uint8))
    if _has_transparency(image):
        image = image.convert("RGBA")
    elif image.mode != "L":
        image = image.convert("L" if image.mode == "1" else "RGB")
    levels = [min(WHITE, round(value * WHITE / white_level)) for value in range(WHITE + 1)]
    same = list(range(WHITE + 1))
    return image.point(
        [at for band in image.getbands() for at in (same if band == "A" else levels)]
    )
