"""The survey behind ``ganzoo data check``: what training would read, and possible problems."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ganzoo import Dataset, Samples
from ganzoo.compute import memory
from ganzoo.errors import InputError
from ganzoo.media.images import grid, render_samples, resize, to_pil
from ganzoo.progress import report_progress
from ganzoo_zoo.apps.data_check.duplicates import (
    group_duplicates,
    group_equal,
    group_near_duplicates,
)
from ganzoo_zoo.apps.data_check.image_stats import ImageStats, StatsTable
from ganzoo_zoo.data import decoding
from ganzoo_zoo.data.common_size import find_common_size
from ganzoo_zoo.data.files import ImageFiles
from ganzoo_zoo.data.index import FilteredNames
from ganzoo_zoo.data.parallel import map_in_order

if TYPE_CHECKING:
    from ganzoo_zoo.data.image_source import ImageSource
    from ganzoo_zoo.data.shaping import Shaping

ROWS, COLUMNS = 8, 10
"""Size of a contact sheet. With at most ``2 * ROWS`` classes, each class has a row instead."""
TILE = 128
"""Largest side of an image on a contact sheet, in pixels."""
IMBALANCE = 10
"""Ratio of the largest class to the smallest above which imbalance is reported."""
POINTS = 10_000
"""The most vectors that are plotted in a sheet."""


@dataclass
class Survey:
    """What training would read of a dataset. All names are printable."""

    samples: int
    """Number of readable samples."""
    shape: tuple[int, ...]
    """Shape of a sample in training."""
    bytes: int = 0
    """Size of all samples together."""
    streamed: bool = False
    """Whether the samples exceed memory and are read from disk."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Number of images by ``HEIGHTxWIDTH``, in order of area."""
    formats: dict[str, int] = field(default_factory=dict)
    """Number of files by format."""
    modes: dict[str, int] = field(default_factory=dict)
    """Number of files by pixel mode."""
    classes: dict[str, int] | None = None
    """Number of samples by class."""
    broken: list[str] = field(default_factory=list)
    """Unreadable files, each with the reason."""
    copies: list[list[str]] = field(default_factory=list)
    """Groups of images with equal pixels."""
    near_copies: list[list[str]] = field(default_factory=list)
    """Groups of images that look alike but are not equal."""
    findings: list[str] = field(default_factory=list)
    """Possible problems, each in one line."""

    def as_json(self) -> dict[str, Any]:
        """Return the survey as plain values."""
        return asdict(self)


def survey(dataset: Dataset, sheet: bool = False) -> tuple[Survey, Tensor | None]:
    """Survey all samples of a dataset.

    Args:
        dataset: The dataset, with the options that training would use.
        sheet: Whether to draw a contact sheet.

    Returns:
        The survey, and the contact sheet as uint8 ``(C, H, W)`` if one was requested.

    Raises:
        InputError: nothing can be read.
    """
    if isinstance(dataset, ImageFiles):
        return _survey_files(dataset, sheet)
    samples = dataset.read()
    return (
        _survey_images(samples, sheet) if samples.spec.is_image else _survey_vectors(samples, sheet)
    )


def _survey_files(dataset: ImageFiles, sheet: bool) -> tuple[Survey, Tensor | None]:
    shaping = dataset.shaping
    with dataset.open_source() as source, StatsTable() as stats:
        source.find_files()
        if not source.names:
            raise InputError("; ".join([f"there are no images in {source.title}", *source.notes]))
        failures, peaks = _inspect_files(source, shaping, stats)
        skipped = [place for place, _ in failures]
        names = FilteredNames(source.names, skipped)
        broken = [f"{source.names[place]}: {why}" for place, why in failures]
        if not names:
            raise InputError(
                f"none of the {len(broken)} images in {source.title} can be read; "
                f"the first is {broken[0]}"
            )
        class_names, labels = dataset.classes(source, names)
        notes = list(source.notes)
        if shaping.image_size is None and len(stats.sizes) > 1:
            size = find_common_size(source, shaping)
            shaping = size.shape(shaping)
            notes.append(size.describe())
        shape = _training_shape(stats, shaping)
        found = _summarise(stats, names, labels, class_names, broken, shape, shaping.image_size)
        picture = _draw_sheet(source, shaping, skipped, stats, labels) if sheet else None
        found.formats, found.modes = stats.kinds(0), stats.kinds(1)
        found.findings += [*notes, *dataset.describe_shapes(source)]
        found.findings += [*peaks.describe(shaping.white_level)]
    found.bytes = found.samples * math.prod(shape)
    found.streamed = found.bytes > memory.limit() // 4
    return found, picture


def _survey_images(samples: Samples, sheet: bool) -> tuple[Survey, Tensor | None]:
    def inspect(place: int) -> ImageStats:
        image = samples.stored[place]
        return ImageStats.of(to_pil(image), image, ("", ""))

    size = samples.spec.image_size
    assert size is not None  # these samples are images
    with StatsTable() as stats:
        with closing(map_in_order(inspect, range(len(samples)))) as results:
            for one in results:
                stats.add(one)
                report_progress("inspecting images", len(stats), len(samples))
        stats.finish()
        found = _summarise(
            stats,
            samples.names,
            samples.labels,
            _class_names(samples),
            samples.skipped,
            samples.spec.shape,
            None,
        )
    found.bytes, found.streamed = samples.stored.nbytes, samples.streamed
    if not sheet:
        return found, None
    rows = _choose_rows(samples.labels, len(samples))
    tile = _tile_size(size)
    return found, _lay_out([[resize(samples.stored[[i]], tile)[0] for i in row] for row in rows])


def _survey_vectors(samples: Samples, sheet: bool) -> tuple[Survey, Tensor | None]:
    found = Survey(len(samples), samples.spec.shape, samples.stored.nbytes)
    found.classes = _count_classes(samples.labels, _class_names(samples))
    digests = [hashlib.sha256(row.numpy().tobytes()).digest() for row in samples.stored]
    found.copies = [[str(place) for place in group] for group in group_equal(digests)]
    if found.copies:
        found.findings = [_describe_copies(found.copies, "copies", 0)]
    shown = ROWS * COLUMNS if samples.spec.is_signal else POINTS
    return found, render_samples(samples.stored[:shown], samples.spec.modes) if sheet else None


def _inspect_files(
    source: ImageSource, shaping: Shaping, stats: StatsTable
) -> tuple[list[tuple[int, str]], decoding.Peaks]:
    """Add all readable files of a source to a table.

    Returns:
        The index of each broken file, with the reason, and the brightest values of the others.
    """

    def inspect(place: int) -> tuple[ImageStats, tuple[int, int]] | str:
        try:
            with decoding.open_image(source.read(place), shaping.channels) as opened:
                kind = (opened.format or "", opened.mode)
                pixels = decoding.decode_pixels(opened, None, shaping.white_level)
                pixels = decoding.take_half(pixels, shaping.half)
                peak = decoding.measure_peak(opened)
            return ImageStats.of(to_pil(pixels), pixels, kind), peak
        except Exception as error:  # decoders of broken files raise almost anything
            return decoding.describe_error(error)

    broken: list[tuple[int, str]] = []
    peaks = decoding.Peaks()
    count = len(source.names)
    with decoding.silence_warnings(), closing(map_in_order(inspect, range(count))) as results:
        for place, one in enumerate(results):
            if isinstance(one, str):
                broken.append((place, one))
            else:
                stats.add(one[0])
                peaks.add(one[1])
            report_progress("inspecting images", place + 1, count)
    if len(stats):
        stats.finish()
    return broken, peaks


def _summarise(
    stats: StatsTable,
    names: Sequence[str] | None,
    labels: Tensor | None,
    class_names: tuple[str, ...] | None,
    broken: Sequence[str],
    shape: tuple[int, ...],
    size: tuple[int, int] | None,
) -> Survey:
    """Build a survey from the statistics of images.

    Args:
        stats: Statistics of the readable images.
        names: Name of each image; if None, images are named by their index.
        labels: Class of each image, int ``(N,)``, if there are classes.
        class_names: Names of the classes.
        broken: Unreadable files, each with the reason.
        shape: Shape of a sample in training.
        size: Height and width that images are resized to; None if they keep theirs.
    """
    copies, first = group_duplicates(stats.heads["digest"])
    near = group_near_duplicates(stats.heads["hash"], stats.small, first)

    def name_all(group: list[int]) -> list[str]:
        return [_printable_name(names[place]) if names else str(place) for place in group]

    found = Survey(
        len(stats),
        shape,
        sizes={
            f"{height}x{width}": count
            for (height, width), count in sorted(
                stats.sizes.items(), key=lambda item: _area_key(item[0])
            )
        },
        classes=_count_classes(labels, class_names),
        broken=[_printable_name(each) for each in broken],
        copies=list(map(name_all, copies)),
        near_copies=list(map(name_all, near)),
    )
    found.findings = _findings(found, stats, size)
    for groups, names_of_groups, what in (
        (copies, found.copies, "copies"),
        (near, found.near_copies, "near-copies"),
    ):
        if groups:
            across = 0 if labels is None else sum(len(labels[g].unique()) > 1 for g in groups)
            found.findings.append(_describe_copies(names_of_groups, what, across))
    found.findings += _findings_of_classes(found.classes or {})
    return found


def _findings(found: Survey, stats: StatsTable, size: tuple[int, int] | None) -> list[str]:
    """List possible problems of single images: unreadable, too small."""
    lines = []
    if found.broken:
        count = len(found.broken)
        lines.append(f"{count:,} of {count + found.samples:,} cannot be read")
    if size and (small := stats.smaller_than(*size)):
        lines.append(f"{small:,} are smaller than {size[0]} x {size[1]}, and are enlarged")
    return lines


def _findings_of_classes(classes: dict[str, int]) -> list[str]:
    lines = []
    counts = [count for count in classes.values() if count]
    if counts and max(counts) > IMBALANCE * min(counts):
        lines.append(f"the largest class has {max(counts):,}, the smallest {min(counts):,}")
    if len(counts) < len(classes):
        lines.append(f"{len(classes) - len(counts):,} of {len(classes):,} classes are empty")
    return lines


def _describe_copies(groups: list[list[str]], what: str, across: int) -> str:
    spare = sum(len(group) - 1 for group in groups)
    text = f"{what} of others: {spare:,}, such as {' and '.join(groups[0][:2])}"
    return f"{text}; groups that lie in several classes: {across:,}" if across else text


def _class_names(samples: Samples) -> tuple[str, ...] | None:
    spec = samples.spec
    return spec.class_names or (tuple(map(str, range(spec.classes))) if spec.classes else None)


def _count_classes(
    labels: Tensor | None, class_names: tuple[str, ...] | None
) -> dict[str, int] | None:
    if labels is None or class_names is None:
        return None
    counts = torch.bincount(labels.cpu(), minlength=len(class_names)).tolist()
    return dict(zip(class_names, counts, strict=True))


def _training_shape(stats: StatsTable, shaping: Shaping) -> tuple[int, ...]:
    """Return the shape of a sample in training."""
    size = shaping.image_size or next(iter(stats.sizes))
    return (shaping.channels or stats.channels, *size)


def _draw_sheet(
    source: ImageSource,
    shaping: Shaping,
    skipped: Sequence[int],
    stats: StatsTable,
    labels: Tensor | None,
) -> Tensor:
    """Draw a contact sheet with images of all classes.

    Args:
        source: The image files.
        shaping: How training would crop and resize them.
        skipped: Indices of the unreadable files.
        stats: Statistics of the others.
        labels: Class of each of the others, int ``(N,)``, if there are classes.
    """
    tile = _tile_size(shaping.image_size or next(iter(stats.sizes)))
    channels = shaping.channels or stats.channels
    places = np.delete(np.arange(len(source.names)), skipped)

    def make_tile(number: int) -> Tensor:
        with decoding.open_image(source.read(int(places[number])), channels) as opened:
            image = decoding.decode_pixels(opened, channels, shaping.white_level)
        image = decoding.take_half(image, shaping.half)
        if shaping.crop:
            image = decoding.crop_centre(image, (shaping.crop, shaping.crop))
        return resize(decoding.crop_to_shape(image, shaping.image_size or tile)[None], tile)[0]

    with decoding.silence_warnings():
        return _lay_out(
            [[make_tile(number) for number in row] for row in _choose_rows(labels, len(places))]
        )


def _tile_size(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, TILE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _choose_rows(labels: Tensor | None, count: int) -> list[list[int]]:
    """Choose the images of a sheet by index: one row per class, or rows spread over all classes."""
    places = torch.arange(count)
    if labels is not None:
        classes = labels.unique()
        if len(classes) <= 2 * ROWS:
            return [_choose_evenly(places[labels == label], COLUMNS) for label in classes]
        places = places[labels.argsort(stable=True)]
    chosen = _choose_evenly(places, ROWS * COLUMNS)
    return [chosen[at : at + COLUMNS] for at in range(0, len(chosen), COLUMNS)]


def _choose_evenly(places: Tensor, most: int) -> list[int]:
    if len(places) <= most:
        return places.tolist()
    return places[(torch.arange(most) * len(places)) // most].tolist()


def _lay_out(rows: list[list[Tensor]]) -> Tensor:
    blank = torch.full_like(rows[0][0], 255)
    columns = max(map(len, rows))
    filled = [row + [blank] * (columns - len(row)) for row in rows]
    return grid(torch.stack([image for row in filled for image in row]), columns)


def _area_key(size: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    return math.prod(size), size


def _printable_name(name: str) -> str:
    # File systems allow names that are not valid UTF-8.
    return os.fsencode(name).decode("utf-8", "backslashreplace")
