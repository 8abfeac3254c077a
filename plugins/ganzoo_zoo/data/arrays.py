"""Arrays in files: images of any number of channels from TIFF and npy, and other numbers of npy."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np

from ganzoo.errors import first_line
from ganzoo.requirement import install_command

NPY = b"\x93NUMPY"
TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""What files of each format begin with."""
MOST_CHANNELS = 255
MOST_NUMBERS = 1 << 28
"""The most channels of an image, and the most numbers."""
NUMBERS = "buif"
"""Kinds of numbers, as numpy calls them."""


@dataclass(frozen=True)
class ArrayImage:
    """An image as an array of numbers, beside those that Pillow opens."""

    pixels: np.ndarray
    """``(C, H, W)``, of any type of numbers."""
    format: str
    """Name of the file's format."""

    @property
    def mode(self) -> str:
        """Channels and type, such as ``13 x uint16``."""
        return f"{len(self.pixels)} x {self.pixels.dtype}"

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.pixels.shape[1]

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.pixels.shape[2]

    @property
    def largest(self) -> int:
        """The largest value of its format; 0 if that tells of no white."""
        kind = self.pixels.dtype
        return {"b": 1, "u": int(np.iinfo(kind).max) if kind.kind == "u" else 0}.get(kind.kind, 0)

    @property
    def brightest(self) -> int:
        """The largest value of its pixels."""
        return max(0, round(float(np.nan_to_num(self.pixels.astype(np.float64)).max())))

    def spread(self, channels: int | None, white_level: int | None) -> np.ndarray:
        """Return the pixels as uint8 ``(C, H, W)``, from 0 to a level that becomes white.

        Args:
            channels: The number that there must be; a grey image has any.
            white_level: The level; if None, the largest of the format, which must have 8 or 16
                bits.

        Raises:
            ValueError: the channels are others, or the level is not known.
        """
        pixels = self.pixels
        if channels not in (None, len(pixels)) and len(pixels) > 1:
            raise ValueError(f"it has {len(pixels)} channels, not {channels}")
        if white_level is None:
            if self.largest not in (1, 255, 65535):
                raise ValueError(
                    f"pixels of {pixels.dtype} have no fixed range; give it with "
                    "--set data.white_level=N, or use 8 or 16 bits"
                )
            if self.largest == 65535:  # as for other images: their upper byte
                spread = (pixels >> 8).astype(np.uint8)
            else:
                spread = pixels.astype(np.uint8) * (255 if self.largest == 1 else 1)
        else:
            values = np.nan_to_num(pixels.astype(np.float64)).clip(0, white_level)
            spread = (values * (255 / white_level)).round().astype(np.uint8)
        return np.repeat(spread, channels or 1, 0) if len(pixels) == 1 else spread


def open_array(data: bytes, channels: int | None) -> ArrayImage:
    """Read the bytes of a TIFF or an npy file.

    Args:
        data: The bytes.
        channels: The channels that are wanted, which tell the axis of channels if it is not known.

    Raises:
        ValueError: it is no such file, or no image. Decoders raise other errors too.
    """
    if data.startswith(NPY):
        return ArrayImage(_channels_first(parse_npy(data), channels), "NPY")
    if data[:4] in TIFFS:
        return ArrayImage(_read_tiff(data), "TIFF")
    raise ValueError(f"only TIFF and npy files have {channels} channels")


def parse_npy(data: bytes) -> np.ndarray:
    """Read the bytes of an npy file, without pickles, into a read-only array of numbers.

    Raises:
        ValueError: it is no such file, or holds no numbers.
    """
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, is_fortran, kind = np.lib.format.read_array_header_1_0(file)
    else:
        shape, is_fortran, kind = np.lib.format.read_array_header_2_0(file)
    if kind.kind not in NUMBERS:
        raise ValueError(f"it holds {kind}, not numbers")
    if math.prod(shape) * kind.itemsize != len(data) - file.tell():
        raise ValueError("its size is not that of the array that it declares")
    array = np.frombuffer(data, kind, offset=file.tell())
    return array.reshape(shape, order="F" if is_fortran else "C")


def _read_tiff(data: bytes) -> np.ndarray:
    try:
        import tifffile
    except ImportError:
        raise ValueError(
            f"a TIFF of such channels needs a package: {install_command('tiff')}"
        ) from None
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        series = file.series[0]
        if math.prod(series.shape) > MOST_NUMBERS:
            raise ValueError(f"{series.shape} are too many numbers")
        try:
            pixels = series.asarray()
        except Exception as error:  # a compression that needs another package, among others
            raise ValueError(first_line(error)) from None
        axes = [name for name, side in zip(series.axes, series.shape, strict=True) if side > 1]
    pixels = np.squeeze(pixels)
    others = [place for place, name in enumerate(axes) if name not in "YX"]
    if len(axes) - len(others) != 2 or len(others) > 1:
        raise ValueError(f"its axes are {series.axes}: keep height, width and channels alone")
    return _check(np.moveaxis(pixels, others[0], 0) if others else pixels[None])


def _channels_first(pixels: np.ndarray, channels: int | None) -> np.ndarray:
    """Return an image as ``(C, H, W)``: of the first and the last axis, channels are fewer."""
    if pixels.ndim == 2:
        pixels = pixels[None]
    if pixels.ndim != 3 or not pixels.size:
        raise ValueError(f"{pixels.shape} is no image: give (C, H, W), (H, W, C) or (H, W)")
    first, _, last = pixels.shape
    is_last = last == channels if channels in (first, last) and first != last else last < first
    return _check(pixels.transpose(2, 0, 1) if is_last else pixels)


def _check(pixels: np.ndarray) -> np.ndarray:
    if len(pixels) > MOST_CHANNELS or pixels.size > MOST_NUMBERS:
        raise ValueError(f"{' x '.join(map(str, pixels.shape))} are too many numbers or channels")
    if pixels.dtype.kind not in NUMBERS:
        raise ValueError(f"it holds {pixels.dtype}, not numbers")
    return pixels
