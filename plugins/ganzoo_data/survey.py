"""What a training would read of a dataset, and what is doubtful about it."""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ganzoo import Dataset, Samples, memory
from ganzoo.errors import InputError
from ganzoo.images import grid, picture_of, resize, to_pil
from ganzoo.progress import report
from ganzoo_data import decoding
from ganzoo_data.duplicates import Gist, gist, grouped, near_duplicates
from ganzoo_data.files import ImageFiles
from ganzoo_data.parallel import in_order

if TYPE_CHECKING:
    from PIL import Image

    from ganzoo_data.shaping import Shaping
    from ganzoo_data.sources import Source

ROWS, COLUMNS = 8, 10
"""Images on a contact sheet; it has a row for each class where these are at most twice as many."""
TILE = 128
"""Largest side of an image on a contact sheet."""
IMBALANCE = 10
"""How many times the smallest class the largest may be before it is said."""
POINTS = 10_000
"""Vectors that are plotted."""


@dataclass(frozen=True)
class Look:
    """What is remembered of one image."""

    size: tuple[int, int]
    """Height and width."""
    kind: tuple[str, str]
    """Format of the file and mode of its pixels, as Pillow calls them."""
    channels: int
    digest: bytes
    """Hash of its pixels."""
    gist: Gist


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
    with dataset.opened() as source:
        if not source.names:
            raise InputError(f"there are no images in {source.called}")
        kept, looks, broken = _looks(source)
        if not kept:
            raise InputError(
                f"none of the {len(broken)} images in {source.called} can be read; "
                f"the first is {broken[0]}"
            )
        called, labels = dataset.classes(source, kept)
        found = _surveyed(looks, kept, labels, called)
        found.broken = [_shown(each) for each in broken]
        found.shape = _shape(looks, shaping)
        picture = _sheet_of_files(source, shaping, kept, looks, labels) if sheet else None
    found.formats = _counted(look.kind[0] for look in looks)
    found.modes = _counted(look.kind[1] for look in looks)
    if found.shape:
        found.bytes = len(looks) * math.prod(found.shape)
        found.streamed = found.bytes > memory.limit() // 4
    found.findings = _findings(found, looks, labels, kept, shaping.image_size)
    return found, picture


def _of_images(samples: Samples, sheet: bool) -> tuple[Survey, Tensor | None]:
    names = list(samples.names or map(str, range(len(samples))))

    def look(place: int) -> Look:
        image = samples.stored[place]
        return _look(to_pil(image), image, ("", ""))

    looks = []
    with closing(in_order(look, range(len(samples)))) as results:
        for one in results:
            looks.append(one)
            report("looking at images", len(looks), len(samples))
    found = _surveyed(looks, names, samples.labels, _class_names(samples))
    found.broken = [_shown(each) for each in samples.skipped]
    found.shape = samples.spec.shape
    found.bytes, found.streamed = samples.stored.nbytes, samples.streamed
    found.findings = _findings(found, looks, samples.labels, names, None)
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


def _looks(source: Source) -> tuple[list[str], list[Look], list[str]]:
    """Look at all files of a source; return the names, the looks, and what is broken."""

    def look(name: str) -> Look | str:
        try:
            with decoding.opened(source.read(name)) as opened:
                kind = (opened.format or "", opened.mode)
                pixels = decoding.pixels_of(opened, None)
            return _look(to_pil(pixels), pixels, kind)
        except Exception as error:  # decoders of broken files raise almost anything
            return decoding.reason(error)

    kept, looks, broken = [], [], []
    with decoding.silenced(), closing(in_order(look, source.names)) as results:
        for done, (name, one) in enumerate(zip(source.names, results, strict=True), 1):
            if isinstance(one, Look):
                kept.append(name)
                looks.append(one)
            else:
                broken.append(f"{name}: {one}")
            report("looking at images", done, len(source.names))
    return kept, looks, broken


def _look(image: Image.Image, pixels: Tensor, kind: tuple[str, str]) -> Look:
    shape = tuple(pixels.shape)
    digest = hashlib.sha256(repr(shape).encode())
    digest.update(pixels.numpy().tobytes())
    return Look((shape[1], shape[2]), kind, shape[0], digest.digest(), gist(image))


def _surveyed(
    looks: Sequence[Look],
    names: Sequence[str],
    labels: Tensor | None,
    called: tuple[str, ...] | None,
) -> Survey:
    """Gather what looks say together."""
    copies = grouped(look.digest for look in looks)
    first = sorted({look.digest: place for place, look in reversed([*enumerate(looks)])}.values())
    near = near_duplicates([looks[place].gist for place in first])
    sizes = sorted(Counter(look.size for look in looks).items(), key=lambda item: _by_area(item[0]))
    return Survey(
        len(looks),
        None,
        sizes={f"{height}x{width}": count for (height, width), count in sizes},
        classes=_class_counts(labels, called),
        copies=[[_shown(names[place]) for place in group] for group in copies],
        near_copies=[[_shown(names[first[at]]) for at in group] for group in near],
    )


def _findings(
    found: Survey,
    looks: Sequence[Look],
    labels: Tensor | None,
    names: Sequence[str],
    size: tuple[int, int] | None,
) -> list[str]:
    """Say what is doubtful about images."""
    said = []
    if found.broken:
        count = len(found.broken)
        said.append(f"{count:,} of {count + found.samples:,} cannot be read")
    if found.shape is None:
        said.append("the images differ in size: a training needs --image-size")
    height, width = size or (0, 0)
    if small := sum(look.size[0] < height or look.size[1] < width for look in looks):
        said.append(f"{small:,} are smaller than {height} x {width}, and are enlarged")
    numbers = [] if labels is None else labels.tolist()
    label = dict(zip(map(_shown, names), numbers, strict=False))
    for groups, what in ((found.copies, "copies"), (found.near_copies, "near-copies")):
        if groups:
            across = sum(len({label.get(name) for name in group}) > 1 for group in groups)
            said.append(_copies_in_words(groups, what, across))
    return said + _findings_of_classes(found.classes or {})


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


def _shape(looks: Sequence[Look], shaping: Shaping) -> tuple[int, ...] | None:
    """Return the shape that a training would get, if the images allow it."""
    sizes = {look.size for look in looks}
    size = shaping.image_size or (next(iter(sizes)) if len(sizes) == 1 else None)
    channels = shaping.channels or max(look.channels for look in looks)
    return None if size is None else (channels, *size)


def _sheet_of_files(
    source: Source,
    shaping: Shaping,
    names: Sequence[str],
    looks: Sequence[Look],
    labels: Tensor | None,
) -> Tensor:
    usual = Counter(look.size for look in looks).most_common(1)[0][0]
    tile = _tile(shaping.image_size or usual)
    channels = shaping.channels or max(look.channels for look in looks)

    def tiled(place: int) -> Tensor:
        with decoding.opened(source.read(names[place])) as opened:
            image = decoding.pixels_of(opened, channels)
        if shaping.crop:
            image = decoding.centre(image, (shaping.crop, shaping.crop))
        return resize(decoding.cropped(image, shaping.image_size or tile)[None], tile)[0]

    with decoding.silenced():
        return _grid([[tiled(place) for place in row] for row in _rows(labels, len(names))])


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


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(Counter(words).most_common())


def _shown(name: str) -> str:
    # A system may allow names that no text file can hold.
    return os.fsencode(name).decode("utf-8", "backslashreplace")
