"""Samples as files of numbers, in the data's own units: npy, csv and wav."""

from __future__ import annotations

import csv
import io
import wave
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ganzoo.media.images import VISIBLE
from ganzoo.storage.files import atomic_path, write_text

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.protocols.dataset import DataSpec

MOST_LEVEL = 2**15 - 1
"""The largest level of 16-bit audio."""
LEVEL_BYTES = 2
"""Bytes of a number in a wav file."""


def find_single_suffix(spec: DataSpec) -> str:
    """Return the suffix of a file with a single sample; empty for vectors, which are rows.

    Images that viewers know are ``.png``, and others ``.npy``. Signals are ``.wav`` if their rate
    is known, and ``.csv`` if not.
    """
    if spec.is_image:
        return ".png" if spec.image_channels in VISIBLE else ".npy"
    if spec.is_signal:
        return ".wav" if spec.units is not None and spec.units.rate else ".csv"
    return ""


def write_numbers(stored: Tensor, path: Path, spec: DataSpec) -> None:
    """Write samples to a ``.npy`` file, or to a ``.csv`` with a row for each vector.

    Args:
        stored: Samples as they are stored ``(N, *spec.shape)``: images stay uint8.
        path: The file.
        spec: What they are.
    """
    own = spec.in_units(stored)
    if path.suffix.lower() == ".npy":
        _write_npy(own, path)
    else:
        write_text(path, _to_csv(own, spec))


def write_single(sample: Tensor, path: Path, spec: DataSpec) -> None:
    """Write one image to a ``.npy``, or one signal to a ``.wav`` or a ``.csv``.

    A csv has a column for each channel and a row for each time.

    Args:
        sample: The sample as it is stored, of the shape ``spec.shape``.
        path: The file.
        spec: What it is.
    """
    own = spec.in_units(sample[None])[0]
    if path.suffix.lower() == ".npy":
        _write_npy(own, path)
    elif spec.units is not None and spec.units.rate:
        _write_wav(own, path, spec.units.rate)
    else:
        write_text(path, _to_csv(own.T, spec))


def _write_npy(numbers: Tensor, path: Path) -> None:
    with atomic_path(path) as beside, beside.open("wb") as file:
        np.save(file, numbers.numpy())


def _write_wav(signal: Tensor, path: Path, rate: int) -> None:
    levels = (signal.clamp(-1, 1) * MOST_LEVEL).round().T.contiguous().numpy().astype("<i2")
    with atomic_path(path) as beside, wave.open(str(beside), "wb") as file:
        file.setnchannels(len(signal))
        file.setsampwidth(LEVEL_BYTES)
        file.setframerate(rate)
        file.writeframes(levels.tobytes())


def _to_csv(rows: Tensor, spec: DataSpec) -> str:
    """Return rows of numbers under the names of their columns; ``x0`` and so on without names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if spec.units is None:
        writer.writerow(f"x{i}" for i in range(rows.shape[1]))
        writer.writerows([repr(number) for number in row] for row in rows.tolist())
    else:
        writer.writerow(spec.units.names)
        # Samples have single precision, and more digits would say nothing.
        writer.writerows([f"{number:.9g}" for number in row] for row in rows.tolist())
    return text.getvalue()
