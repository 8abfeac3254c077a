"""What a training would read of a dataset, and what is doubtful about it."""

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
from ganzoo_zoo.data.files import ImageFiles
from ganzoo_zoo.data.index import FilteredNames
from ganzoo_zoo.data.parallel import map_in_order

if TYPE_CHECKING:
    from ganzoo_zoo.data.image_source import ImageSource
    from ganzoo_zoo.data.shaping import Shaping

ROWS, COLUMNS = 8, 10
"""Images on a contact sheet; it has a row for each class where these are at most twice as many."""
TILE = 128
"""Largest side of an image on a contact sheet."""
IMBALANCE = 10
"""How many times the smallest class the largest may be before it is said."""
POINTS = 10_000
"""Vectors that are plotted."""


@dataclass
class Survey:
    """What would be read; names are printable."""

    samples: int
    """How many can be read."""
    shape: tuple[int, ...] | None
    """Of each, as a training gets it; None where the images differ in size."""
    bytes: int | None = None
    """What all of them take."""
    streamed: bool = False
    """Whether they are too many for memory and are read from the disk."""
    sizes: dict[str, int] = field(default_factory=dict)
    """How often each ``HEIGHTxWIDTH`` occurs, by number of pixels."""
    formats: dict[str, int] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    classes: dict[str, int] | None = None
    """How many there are of each class."""
    broken: list[str] = field(default_factory=list)
    """What cannot be read, each with the reason."""
    copies: list[list[str]] = field(default_factory=list)
    """Groups of images whose pixels are equal."""
    near_copies: list[list[str]] = field(default_factory=list)
    """Groups of images that look alike and are not equal."""
    findings: list[str] = field(default_factory=list)
    """What is doubtful, each in a line."""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def survey(dataset: Dataset, sheet: bool = False) -> tuple[Survey, Tensor | None]:
    """Look at all samples of a dataset.

    Args:
        dataset: With the options that a training would have.
        sheet: Whether a contact sheet is wanted.

    Returns:
        What was found, and a uint8 picture ``(C, H, W)`` with images of all classes.

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
    with dataset.open_source() as source, StatsTable() as looks:
        source.find_files()
        if not source.names:
            raise InputError(f"there are no images in {source.title}")
        broken = _inspect_files(source, looks)
        without = [place for place, _ in broken]
        kept = FilteredNames(source.names, without)
        told = [f"{source.names[place]}: {why}" for place, why in broken]
        if not kept:
            raise InputError(
                f"none of the {len(broken)} images in {source.title} can be read; "
                f"the first is {told[0]}"
            )
        called, labels = dataset.classes(source, kept)
        shape = _training_shape(looks, shaping)
        found = _summarise(looks, kept, labels, called, told, shape, shaping.image_size)
        picture = _draw_sheet(source, shaping, without, looks, labels) if sheet else None
        found.formats, found.modes = looks.kinds(0), looks.kinds(1)
    if found.shape:
        found.bytes = found.samples * math.prod(found.shape)
        found.streamed = found.bytes > memory.limit() // 4
    return found, picture


def _survey_images(samples: Samples, sheet: bool) -> tuple[Survey, Tensor | None]:
    def look(place: int) -> ImageStats:
        image = samples.stored[place]
        return ImageStats.of(to_pil(image), image, ("", ""))

    with StatsTable() as looks:
        with closing(map_in_order(look, range(len(samples)))) as results:
            for one in results:
                looks.add(one)
                report_progress("looking at images", len(looks), len(samples))
        looks.finish()
        found = _summarise(
            looks,
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
    tile = _tile_size(samples.spec.image_size)
    return found, _lay_out([[resize(samples.stored[[i]], tile)[0] for i in row] for row in rows])


def _survey_vectors(samples: Samples, sheet: bool) -> tuple[Survey, Tensor | None]:
    found = Survey(len(samples), samples.spec.shape, samples.stored.nbytes)
    found.classes = _count_classes(samples.labels, _class_names(samples))
    digests = [hashlib.sha256(row.numpy().tobytes()).digest() for row in samples.stored]
    found.copies = [[str(place) for place in group] for group in group_equal(digests)]
    if found.copies:
        found.findings = [_describe_copies(found.copies, "copies", 0)]
    return found, render_samples(samples.stored[:POINTS], samples.spec.modes) if sheet else None


def _inspect_files(source: ImageSource, looks: StatsTable) -> list[tuple[int, str]]:
    """Look at all files of a source; return the places of what is broken, with the reasons."""

    def look(place: int) -> ImageStats | str:
        try:
            with decoding.open_image(source.read(place)) as opened:
                kind = (opened.format or "", opened.mode)
                pixels = decoding.decode_pixels(opened, None)
            return ImageStats.of(to_pil(pixels), pixels, kind)
        except Exception as error:  # decoders of broken files raise almost anything
            return decoding.describe_error(error)

    broken: list[tuple[int, str]] = []
    count = len(source.names)
    with decoding.silence_warnings(), closing(map_in_order(look, range(count))) as results:
        for place, one in enumerate(results):
            if isinstance(one, ImageStats):
                looks.add(one)
            else:
                broken.append((place, one))
            report_progress("looking at images", place + 1, count)
    if len(looks):
        looks.finish()
    return broken


def _summarise(
    looks: StatsTable,
    names: Sequence[str] | None,
    labels: Tensor | None,
    called: tuple[str, ...] | None,
    broken: Sequence[str],
    shape: tuple[int, ...] | None,
    size: tuple[int, int] | None,
) -> Survey:
    """Gather what looks say together.

    Args:
        looks: At the images.
        names: Of each; their numbers where there are none.
        labels: The class of each, if they have any.
        called: The names of the classes.
        broken: What cannot be read.
        shape: What a training would get, if it could.
        size: Height and width that a training would ask for.
    """
    copies, first = group_duplicates(looks.heads["digest"])
    near = group_near_duplicates(looks.heads["hash"], looks.small, first)

    def named(group: list[int]) -> list[str]:
        return [_printable_name(names[place]) if names else str(place) for place in group]

    found = Survey(
        len(looks),
        shape,
        sizes={
            f"{height}x{width}": count
            for (height, width), count in sorted(
                looks.sizes.items(), key=lambda item: _area_key(item[0])
            )
        },
        classes=_count_classes(labels, called),
        broken=[_printable_name(each) for each in broken],
        copies=list(map(named, copies)),
        near_copies=list(map(named, near)),
    )
    found.findings = _findings(found, looks.smaller_than(*size) if size else 0, size)
    for groups, names_of_groups, what in (
        (copies, found.copies, "copies"),
        (near, found.near_copies, "near-copies"),
    ):
        if groups:
            across = 0 if labels is None else sum(len(labels[g].unique()) > 1 for g in groups)
            found.findings.append(_describe_copies(names_of_groups, what, across))
    found.findings += _findings_of_classes(found.classes or {})
    return found


def _findings(found: Survey, small: int, size: tuple[int, int] | None) -> list[str]:
    """Say what is doubtful about images, each by itself."""
    said = []
    if found.broken:
        count = len(found.broken)
        said.append(f"{count:,} of {count + found.samples:,} cannot be read")
    if found.shape is None:
        said.append("the images differ in size: a training needs --image-size")
    if small:
        height, width = size
        said.append(f"{small:,} are smaller than {height} x {width}, and are enlarged")
    return said


def _findings_of_classes(classes: dict[str, int]) -> list[str]:
    said = []
    counts = [count for count in classes.values() if count]
    if counts and max(counts) > IMBALANCE * min(counts):
        said.append(f"the largest class has {max(counts):,}, the smallest {min(counts):,}")
    if len(counts) < len(classes):
        said.append(f"{len(classes) - len(counts):,} of {len(classes):,} classes are empty")
    return said


def _describe_copies(groups: list[list[str]], what: str, across: int) -> str:
    spare = sum(len(group) - 1 for group in groups)
    text = f"{what} of others: {spare:,}, such as {' and '.join(groups[0][:2])}"
    return f"{text}; groups that lie in several classes: {across:,}" if across else text


def _class_names(samples: Samples) -> tuple[str, ...] | None:
    spec = samples.spec
    return spec.class_names or (tuple(map(str, range(spec.classes))) if spec.classes else None)


def _count_classes(labels: Tensor | None, called: tuple[str, ...] | None) -> dict[str, int] | None:
    if labels is None or called is None:
        return None
    counts = torch.bincount(labels.cpu(), minlength=len(called)).tolist()
    return dict(zip(called, counts, strict=True))


def _training_shape(looks: StatsTable, shaping: Shaping) -> tuple[int, ...] | None:
    """Return the shape that a training would get, if the images allow it."""
    sizes = looks.sizes
    size = shaping.image_size or (next(iter(sizes)) if len(sizes) == 1 else None)
    channels = shaping.channels or looks.channels
    return None if size is None else (channels, *size)


def _draw_sheet(
    source: ImageSource,
    shaping: Shaping,
    without: Sequence[int],
    looks: StatsTable,
    labels: Tensor | None,
) -> Tensor:
    """Lay out images of all classes.

    Args:
        source: Where they are from.
        shaping: What a training would make of them.
        without: Places of those that cannot be read.
        looks: At the others.
        labels: The class of each, if they have any.
    """
    sizes = looks.sizes
    tile = _tile_size(shaping.image_size or max(sizes, key=lambda size: sizes[size]))
    channels = shaping.channels or looks.channels
    places = np.delete(np.arange(len(source.names)), without)

    def tiled(number: int) -> Tensor:
        with decoding.open_image(source.read(int(places[number]))) as opened:
            image = decoding.decode_pixels(opened, channels)
        if shaping.crop:
            image = decoding.crop_centre(image, (shaping.crop, shaping.crop))
        return resize(decoding.crop_to_shape(image, shaping.image_size or tile)[None], tile)[0]

    with decoding.silence_warnings():
        return _lay_out(
            [[tiled(number) for number in row] for row in _choose_rows(labels, len(places))]
        )


def _tile_size(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, TILE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _choose_rows(labels: Tensor | None, count: int) -> list[list[int]]:
    """Choose images for a sheet: a row for each class, or rows spread over all."""
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
    # A system may allow names that no text file can hold.
    return os.fsencode(name).decode("utf-8", "backslashreplace")
