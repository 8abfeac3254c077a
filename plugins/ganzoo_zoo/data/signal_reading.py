"""Reads signals from wav, csv and npy files into samples."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganzoo import DataSpec, Samples
from ganzoo.compute import memory
from ganzoo.errors import InputError, first_line
from ganzoo.progress import report_progress
from ganzoo.protocols.dataset import Units
from ganzoo.storage.files import regular_size
from ganzoo_zoo.data.arrays import parse_npy
from ganzoo_zoo.data.listing import HIDDEN
from ganzoo_zoo.data.table_reading import read_header, read_numbers

AUDIO, SERIES = (".wav",), (".csv", ".npy")
BYTE_LIMIT = 1 << 31
"""The most bytes of a file."""
MOST_CHANNELS = 1000


@dataclass(frozen=True)
class Recording:
    """What a file holds."""

    numbers: np.ndarray
    """``(C, T)``."""
    names: tuple[str, ...]
    """Name of each channel."""
    rate: int | None = None
    """Numbers in a second of each channel."""


Read = Callable[[Path], Recording]


def read_audio(path: str, length: int, mono: bool) -> Samples:
    """Read sound.

    Args:
        path: A folder of wav files, or one of them.
        length: Numbers in each channel of a sample.
        mono: Whether to mix all channels into one.

    Raises:
        InputError: no file can be read, or their rates or channels differ.
    """
    names, found, skipped = _read_all(path, AUDIO, lambda file: _read_wav(file, mono))
    pieces, names = _cut([each.numbers for each in found], names, length, pads=True)
    channels = found[0].names
    units = Units(
        names=channels,
        offset=(0.0,) * len(channels),
        scale=(1.0,) * len(channels),
        rate=found[0].rate,
    )
    return _build(pieces, names, skipped, units)


def read_series(path: str, length: int | None) -> Samples:
    """Read series of numbers.

    Args:
        path: A folder of csv and npy files, or one of them.
        length: Numbers in each channel of a sample; None for that of all files.

    Raises:
        InputError: no file can be read, or their channels or lengths differ.
    """
    names, found, skipped = _read_all(path, SERIES, _read_numbers)
    lengths = sorted({each.numbers.shape[-1] for each in found})
    if length is None and len(lengths) > 1:
        raise InputError(
            f"the signals in {path} have {lengths[0]:,} to {lengths[-1]:,} numbers; choose one "
            "length with --set data.length=N"
        )
    length = length or lengths[0]
    short = [
        f"{name}: it has {each.numbers.shape[-1]:,} numbers, fewer than {length:,}"
        for name, each in zip(names, found, strict=True)
        if each.numbers.shape[-1] < length
    ]
    pieces, names = _cut([each.numbers for each in found], names, length, pads=False)
    if not names:
        raise InputError(f"no signal in {path} has {length:,} numbers; the first is {short[0]}")
    stored, units = scale_channels(torch.from_numpy(np.stack(pieces)), found[0].names)
    return _build(stored.numpy(), names, (*skipped, *short), units)


def scale_channels(signals: Tensor, names: Sequence[str]) -> tuple[Tensor, Units]:
    """Shift and scale each channel to [-1, 1].

    Args:
        signals: ``(N, C, T)``.
        names: Name of each channel.

    Returns:
        float32 ``(N, C, T)``, and what undoes it.
    """
    low, high = (extreme(signals.double()) for extreme in (_lowest, _highest))
    offset, scale = (low + high) / 2, (high - low) / 2
    scale = torch.where(scale > 0, scale, 1.0)
    units = Units(names=tuple(names), offset=tuple(offset.tolist()), scale=tuple(scale.tolist()))
    scaled = (signals.double() - offset[:, None]) / scale[:, None]
    return scaled.float().clamp(-1, 1), units


def _lowest(signals: Tensor) -> Tensor:
    return signals.amin((0, 2))


def _highest(signals: Tensor) -> Tensor:
    return signals.amax((0, 2))


def _read_all(
    path: str, suffixes: tuple[str, ...], read: Read
) -> tuple[list[str], list[Recording], tuple[str, ...]]:
    """Read all files of a folder; return their names, what they hold, and which cannot be read.

    Raises:
        InputError: there are none, or none can be read, or what they hold differs.
    """
    root = Path(path)
    files = sorted(_list_files(root, suffixes)) if root.is_dir() else [root]
    if not files:
        raise InputError(f"there are no files in {path} that end in {' or '.join(suffixes)}")
    memory.require(4 * sum(map(_size, files)), f"the signals in {path}")
    names, found, skipped = [], [], []
    for number, file in enumerate(files, 1):
        name = file.relative_to(root).as_posix() if file != root else file.name
        try:
            recording = read(file)
        except Exception as error:  # decoders of broken files raise almost anything
            skipped.append(f"{name}: {first_line(error)}")
        else:
            names.append(name)
            found.append(recording)
        report_progress(f"reading {root.name}", number, len(files))
    if not found:
        raise InputError(f"none of {len(files)} files in {path} can be read; {skipped[0]}")
    _require_alike(names, found)
    return names, found, tuple(skipped)


def _list_files(root: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [each for each in folders if not each.startswith(HIDDEN)]
        for name in names:
            if name.lower().endswith(suffixes) and not name.startswith(HIDDEN):
                yield Path(folder, name)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # reading it says what is wrong
        return 0


def _require_alike(names: Sequence[str], found: Sequence[Recording]) -> None:
    first = found[0]
    for name, each in zip(names, found, strict=True):
        if each.rate != first.rate:
            raise InputError(
                f"{names[0]} has {first.rate:,} numbers a second and {name} {each.rate:,}: resample"
                " them to one rate"
            )
        if each.names != first.names:
            raise InputError(
                f"{names[0]} has the channels {', '.join(first.names)} and {name} "
                f"{', '.join(each.names)}: all files must have the same"
                + ("" if each.rate is None else ", or be mixed with --set data.mono=true")
            )


def _read_bytes(file: Path) -> bytes:
    if regular_size(file) > BYTE_LIMIT:
        raise ValueError(f"it has more than {BYTE_LIMIT:,} bytes")
    return file.read_bytes()


def _read_wav(file: Path, mono: bool) -> Recording:
    from scipy.io import wavfile

    with warnings.catch_warnings():  # of notes in the file that it does not know
        warnings.simplefilter("ignore")
        rate, levels = wavfile.read(io.BytesIO(_read_bytes(file)))
    if not levels.size:
        raise ValueError("it holds no sound")
    waves = levels.reshape(len(levels), -1).T
    if waves.dtype.kind == "f":
        numbers = np.nan_to_num(waves.astype(np.float32)).clip(-1, 1)
    elif waves.dtype == np.uint8:
        numbers = (waves.astype(np.float32) - 128) / 128
    else:
        numbers = waves.astype(np.float32) / -float(np.iinfo(waves.dtype).min)
    if mono:
        numbers = numbers.mean(0, keepdims=True)
    return Recording(numbers, _name_channels(len(numbers)), int(rate))


def _read_numbers(file: Path) -> Recording:
    if file.suffix.lower() == ".csv":
        header, delimiter = read_header(file)
        numbers = read_numbers(file, header, range(len(header)), delimiter)
        return Recording(numbers.T, tuple(header))
    numbers = parse_npy(_read_bytes(file)).astype(np.float64)
    if numbers.ndim == 1:
        numbers = numbers[None]
    if numbers.ndim not in (2, 3) or not numbers.size:
        raise ValueError(f"an array {numbers.shape} is no signal: give (C, T) or (T,)")
    if not np.isfinite(numbers).all():
        raise ValueError("some of its numbers are not finite")
    if numbers.shape[-2] > MOST_CHANNELS:
        raise ValueError(f"an array {numbers.shape} has more than {MOST_CHANNELS:,} channels")
    return Recording(numbers, _name_channels(numbers.shape[-2]))


def _name_channels(count: int) -> tuple[str, ...]:
    return tuple(f"x{number}" for number in range(count))


def _cut(
    recordings: Sequence[np.ndarray], names: Sequence[str], length: int, *, pads: bool
) -> tuple[list[np.ndarray], list[str]]:
    """Cut signals ``(C, T)`` or ``(N, C, T)`` into pieces, and name each of them.

    Args:
        recordings: The signals.
        names: Name of each.
        length: The length of a piece.
        pads: Whether a signal that is shorter ends in silence, or is left out.
    """
    pieces: list[np.ndarray] = []
    named: list[str] = []
    for numbers, name in zip(recordings, names, strict=True):
        if pads and numbers.shape[-1] < length:
            numbers = np.pad(numbers, ((0, 0), (0, length - numbers.shape[-1])))
        own = [
            signal[:, at : at + length]
            for signal in (numbers if numbers.ndim == 3 else numbers[None])
            for at in range(0, numbers.shape[-1] - length + 1, length)
        ]
        pieces += own
        named += [name] if len(own) == 1 else [f"{name}/{number}" for number in range(len(own))]
    return pieces, named


def _build(
    pieces: Sequence[np.ndarray] | np.ndarray,
    names: Sequence[str],
    skipped: tuple[str, ...],
    units: Units,
) -> Samples:
    stored = torch.from_numpy(np.stack(list(pieces)).astype(np.float32))
    classes, labels = _find_classes(names)
    spec = DataSpec(
        shape=tuple(stored.shape[1:]),
        classes=None if classes is None else len(classes),
        class_names=classes,
        units=units,
    )
    return Samples(spec, stored, labels, skipped, tuple(names))


def _find_classes(names: Sequence[str]) -> tuple[tuple[str, ...] | None, Tensor | None]:
    """Use the outermost folders as classes, if there are several and they hold every file.

    Pieces of a file are named as if it were a folder, and the names of files have a suffix.
    """
    folders = [name.partition("/")[0] for name in names]
    known = sorted(set(folders))
    if len(known) < 2 or any(each.lower().endswith(AUDIO + SERIES) for each in known):
        return None, None
    return tuple(known), torch.tensor([known.index(each) for each in folders])
