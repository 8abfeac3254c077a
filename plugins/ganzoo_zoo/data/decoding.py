"""From the bytes of a file to pixels, as a viewer shows them."""

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
"""What is tried: Pillow knows others, and starts another program for one of them."""
PIXEL_LIMIT = 64_000_000
GREY_MODES = {"1", "L", "LA", "I;16", "I;16B", "I;16L"}
PIL_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
DECODER_VERSION = 1
"""Number of how images are decoded, cropped and resized: one more when their pixels change."""


@contextmanager
def silence_warnings() -> Iterator[None]:
    """Keep Pillow's warnings back, for all threads: the size is judged here, by one limit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def open_image(data: bytes) -> Iterator[Image.Image]:
    """Open an image without decoding its pixels, within :func:`silence_warnings`.

    Raises:
        ValueError: it has too many pixels; Pillow raises almost anything else.
    """
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.width * image.height > PIXEL_LIMIT:
            raise ValueError(f"{image.width} x {image.height} pixels are too many")
        yield image


def decode_pixels(image: Image.Image, channels: int | None) -> Tensor:
    """Decode an opened image into uint8 ``(C, H, W)``; 1 or 3 channels if none are asked for."""
    image = ImageOps.exif_transpose(image)
    channels = channels or (1 if _is_grey(image) else 3)
    image = _convert(image, PIL_MODES[channels])
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return pixels.view(image.height, image.width, channels).permute(2, 0, 1).contiguous()


def describe_error(error: Exception) -> str:
    """Say why an image cannot be read."""
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image of a known format"  # Pillow's words hold a memory address
    return first_line(error)


def crop_to_shape(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut the largest part of the shape of ``size`` out of the centre of ``(C, H, W)``."""
    height, width = image.shape[1:]
    scale = min(height / size[0], width / size[1])
    return crop_centre(image, (max(1, round(size[0] * scale)), max(1, round(size[1] * scale))))


def crop_centre(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut ``size`` out of the centre of ``(C, H, W)``, or what there is of it."""
    height, width = image.shape[1:]
    rows, columns = min(size[0], height), min(size[1], width)
    top, left = (height - rows) // 2, (width - columns) // 2
    return image[:, top : top + rows, left : left + columns]


def _is_grey(image: Image.Image) -> bool:
    """Tell grey from colour by the file's format; of a palette the colours in use are looked at."""
    if image.mode not in ("P", "PA"):
        return image.mode in GREY_MODES
    used = image.getchannel(0).histogram()
    colours = zip(*[iter(image.getpalette("RGB") or [])] * 3, strict=True)
    return all(len(set(colour)) == 1 for colour, count in zip(colours, used, strict=False) if count)


def _convert(image: Image.Image, mode: str) -> Image.Image:
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
