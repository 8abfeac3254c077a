"""Image decoding: from the bytes of a file to the pixels that a viewer would show."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ganzoo.errors import first_line

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
"""Accepted formats. Pillow knows others, and runs an external program for one of them."""
PIXEL_LIMIT = 64_000_000
"""The most pixels of an image."""
GREY_MODES = {"1", "L", "LA", "I;16", "I;16B", "I;16L"}
PIL_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
DECODER_VERSION = 1
"""Version of decoding, cropping and resizing; increase it when any of them changes pixels."""


@contextmanager
def silence_warnings() -> Iterator[None]:
    """Silence Pillow's warnings in all threads; :data:`PIXEL_LIMIT` is checked instead."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def open_image(data: bytes) -> Iterator[Image.Image]:
    """Open an image without decoding its pixels; call it within :func:`silence_warnings`.

    Raises:
        ValueError: the image has too many pixels. Pillow raises almost any other error.
    """
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.width * image.height > PIXEL_LIMIT:
            raise ValueError(f"{image.width} x {image.height} pixels are too many")
        yield image


def decode_pixels(image: Image.Image, channels: int | None) -> Tensor:
    """Decode an opened image into uint8 ``(C, H, W)``.

    Args:
        image: The opened image.
        channels: 1, 3 or 4; if None, 1 for a grey image and 3 for a colour image.
    """
    image = ImageOps.exif_transpose(image)
    channels = channels or (1 if _is_grey(image) else 3)
    image = _convert(image, PIL_MODES[channels])
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return pixels.view(image.height, image.width, channels).permute(2, 0, 1).contiguous()


def describe_error(error: Exception) -> str:
    """Describe in one line why an image cannot be read."""
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image of a known format"  # Pillow's message has a memory address
    return first_line(error)


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


def _convert(image: Image.Image, mode: str) -> Image.Image:
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no fixed range; use 8 or 16 bits")
    if image.mode.startswith("I;16"):
        # Pillow would clip 16-bit values at 255; viewers show the upper byte.
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if mode != "RGBA" and (image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info):
        # Transparent pixels have hidden colours; viewers show the background, here white.
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert(mode)
