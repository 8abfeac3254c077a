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
from ganzoo.media.images import grid, picture_of, resize, to_pil
from ganzoo.progress import report
from ganzoo_zoo.data import decoding
from ganzoo_zoo.data.duplicates import duplicates, grouped, near_duplicates
from ganzoo_zoo.data.files import ImageFiles
from ganzoo_zoo.data.image_stats import Look, Looks
from ganzoo_zoo.data.index import Without
from ganzoo_zoo.data.parallel import in_order

if TYPE_CHECKING:
    from ganzoo_zoo.data.image_source import Source
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
        return _of_files(dataset, sheet)
    samples = dataset.read()
    return _of_images(samples, sheet) if samples.spec.is_image else _of_vectors(samples, sheet)


def _of_files(dataset: ImageFiles, sheet: bool) -> tuple[Survey, Tensor | None]:
    shaping = dataset.shaping
    with dataset.opened() as source, Looks() as looks:
        source.find()
        if not source.names:
            raise InputError(f"there are no images in {source.called}")
        broken = _look_at(source, looks)
        without = [place for place, _ in broken]
        kept = Without(source.names, without)
        told = [f"{source.names[place]}: {why}" for place, why in broken]
        if not kept:
            raise InputError(
                f"none of the {len(broken)} images in {source.called} can be read; "
                f"the first is {told[0]}"
            )
        called, labels = dataset.classes(source, kept)
        shape = _shape(looks, shaping)
        found = _surveyed(looks, kept, labels, called, told, shape, shaping.image_size)
        picture = _sheet_of_files(source, shaping, without, looks, labels) if sheet else None
        found.formats, found.modes = looks.kinds(0), looks.kinds(1)
    if found.shape:
        found.bytes = found.samples * math.prod(found.shape)
        found.streamed = found.bytes > memory.limit() // 4
    return found, picture


def _of_images(samples: Samples, sheet: bool) -> tuple[Survey, Tensor | None]:
    def look(place: int) -> Look:
        image = samples.stored[place]
        return Look.at(to_pil(image), image, ("", ""))

    with Looks() as looks:
        with closing(in_order(look, range(len(samples)))) as results:
            for one in results:
                looks.add(one)
                report("looking at images", len(looks), len(samples))
        looks.done()
        found = _surveyed(
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
    rows = _rows(samples.labels, len(samples))
    tile = _tile(samples.spec.image_size)
    return found, _grid([[resize(samples.stored[[i]], tile)[0] for i in row] for row in rows])


def _of_vectors(samples: Samples, sheet: bool) -> tuple[Survey, Tensor | None]:
    found = Survey(len(samples), samples.spec.shape, samples.stored.nbytes)
    found.classes = _class_counts(samples.labels, _class_names(samples))
    digests = [hashlib.sha256(row.numpy().tobytes()).digest() for row in samples.stored]
    found.copies = [[str(place) for place in group] for group in grouped(digests)]
    if found.copies:
        found.findings = [_copies_in_words(found.copies, "copies", 0)]
    return found, picture_of(samples.stored[:POINTS], samples.spec.modes) if sheet else None


def _look_at(source: Source, looks: Looks) -> list[tuple[int, str]]:
    """Look at all files of a source; return the places of what is broken, with the reasons."""

    def look(place: int) -> Look | str:
        try:
            with decoding.opened(source.read(place)) as opened:
                kind = (opened.format or "", opened.mode)
                pixels = decoding.pixels_of(opened, None)
            return Look.at(to_pil(pixels), pixels, kind)
        except Exception as error:  # decoders of broken files raise almost anything
            return decoding.reason(error)

    broken: list[tuple[int, str]] = []
    count = len(source.names)
    with decoding.silenced(), closing(in_order(look, range(count))) as results:
        for place, one in enumerate(results):
            if isinstance(one, Look):
                looks.add(one)
            else:
                broken.append((place, one))
            report("looking at images", place + 1, count)
    if len(looks):
        looks.done()
    return broken


def _surveyed(
    looks: Looks,
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
    copies, first = duplicates(looks.heads["digest"])
    near = near_duplicates(looks.heads["hash"], looks.small, first)

    def named(group: list[int]) -> list[str]:
        return [_shown(names[place]) if names else str(place) for place in group]

    found = Survey(
        len(looks),
        shape,
        sizes={
            f"{height}x{width}": count
            for (height, width), count in sorted(
                looks.sizes.items(), key=lambda item: _by_area(item[0])
            )
        },
        classes=_class_counts(labels, called),
        broken=[_shown(each) for each in broken],
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
            found.findings.append(_copies_in_words(names_of_groups, what, across))
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


def _copies_in_words(groups: list[list[str]], what: str, across: int) -> str:
    spare = sum(len(group) - 1 for group in groups)
    text = f"{what} of others: {spare:,}, such as {' and '.join(groups[0][:2])}"
    return f"{text}; groups that lie in several classes: {across:,}" if across else text


def _class_names(samples: Samples) -> tuple[str, ...] | None:
    spec = samples.spec
    return spec.class_names or (tuple(map(str, range(spec.classes))) if spec.classes else None)


def _class_counts(labels: Tensor | None, called: tuple[str, ...] | None) -> dict[str, int] | None:
    if labels is None or called is None:
        return None
    counts = torch.bincount(labels.cpu(), minlength=len(called)).tolist()
    return dict(zip(called, counts, strict=True))


def _shape(looks: Looks, shaping: Shaping) -> tuple[int, ...] | None:
    """Return the shape that a training would get, if the images allow it."""
    sizes = looks.sizes
    size = shaping.image_size or (next(iter(sizes)) if len(sizes) == 1 else None)
    channels = shaping.channels or looks.channels
    return None if size is None else (channels, *size)


def _sheet_of_files(
    source: Source,
    shaping: Shaping,
    without: Sequence[int],
    looks: Looks,
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
    tile = _tile(shaping.image_size or max(sizes, key=lambda size: sizes[size]))
    channels = shaping.channels or looks.channels
    places = np.delete(np.arange(len(source.names)), without)

    def tiled(number: int) -> Tensor:
        with decoding.opened(source.read(int(places[number]))) as opened:
            image = decoding.pixels_of(opened, channels)
        if shaping.crop:
            image = decoding.centre(image, (shaping.crop, shaping.crop))
        return resize(decoding.cropped(image, shaping.image_size or tile)[None], tile)[0]

    with decoding.silenced():
        return _grid([[tiled(number) for number in row] for row in _rows(labels, len(places))])


def _tile(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, TILE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _rows(labels: Tensor | None, count: int) -> list[list[int]]:
    """Choose images for a sheet: a row for each class, or rows spread over all."""
    places = torch.arange(count)
    if labels is not None:
        classes = labels.unique()
        if len(classes) <= 2 * ROWS:
            return [_spread(places[labels == label], COLUMNS) for label in classes]
        places = places[labels.argsort(stable=True)]
    chosen = _spread(places, ROWS * COLUMNS)
    return [chosen[at : at + COLUMNS] for at in range(0, len(chosen), COLUMNS)]


def _spread(places: Tensor, most: int) -> list[int]:
    if len(places) <= most:
        return places.tolist()
    return places[(torch.arange(most) * len(places)) // most].tolist()


def _grid(rows: list[list[Tensor]]) -> Tensor:
    blank = torch.full_like(rows[0][0], 255)
    columns = max(map(len, rows))
    filled = [row + [blank] * (columns - len(row)) for row in rows]
    return grid(torch.stack([image for row in filled for image in row]), columns)


def _by_area(size: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    return math.prod(size), size


def _shown(name: str) -> str:
    # A system may allow names that no text file can hold.
    return os.fsencode(name).decode("utf-8", "backslashreplace")
