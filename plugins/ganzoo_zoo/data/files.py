"""Datasets of your own images: a folder, a zip, or two of these."""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from ganzoo import DataSpec, Samples
from ganzoo.component import AbsolutePath
from ganzoo.errors import InputError
from ganzoo.protocols.dataset import MOST_CLASSES, ImageSize, fingerprint
from ganzoo_zoo.data.options import Mirrored
from ganzoo_zoo.data.shaping import LARGEST_SIDE, SMALLEST_SIDE, Half, Shaping

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo_zoo.data.image_source import ImageSource, IndexedSource
    from ganzoo_zoo.data.layout import ArrangedSource
    from ganzoo_zoo.data.reading import Images
    from ganzoo_zoo.data.sources import JoinedSource

    Classes = tuple[tuple[str, ...] | None, Tensor | None]
    """The names of the classes and the class of each image; both None without classes."""


class ImageFiles(Mirrored):
    """Base of sets of image files, named with forward slashes."""

    @property
    @abstractmethod
    def shaping(self) -> Shaping:
        """How each image is cropped, resized and converted."""

    @abstractmethod
    def open_source(self) -> AbstractContextManager[ImageSource]:
        """Open the image files; they can be read within the block."""

    @abstractmethod
    def classes(self, source: ImageSource, names: Sequence[str]) -> Classes:
        """Return the names of the classes, and the class of each image, int ``(N,)``.

        Args:
            source: The source of the images.
            names: Names of the images, in the source's order.
        """

    def read(self) -> Samples:
        """Read every image; unreadable files are skipped and listed in ``skipped``."""
        with self.open_source() as source:
            images, sources = self.read_files(source)
        class_names, labels = self.classes(source, images.names)
        content = images.content if sources is None else _join_sources(images, sources)
        if class_names and source.labels_stand_apart:
            content = _join_labels(content or fingerprint(images.stored), class_names, labels)
        spec = DataSpec(
            shape=tuple(images.stored.shape[1:]),
            classes=len(class_names) if class_names else None,
            class_names=class_names,
            source=None if sources is None else tuple(sources.stored.shape[1:]),
        )
        peaks = [
            line
            for each in (images, sources)
            if each is not None
            for line in each.peaks.describe(self.shaping.white_level)
        ]
        chosen = images.common_size
        sizes = [chosen.describe()] if chosen else []
        mapped_sources = None if sources is None else sources.rows
        return Samples(
            spec,
            images.stored,
            # Large sets keep their labels in the smallest type, to save memory.
            labels if labels is None or images.rows else labels.long(),
            images.skipped,
            images.names,
            flip=self.flip,
            streamed=images.rows is not None or mapped_sources is not None,
            content=content,
            mapped_array=images.rows,
            notes=tuple(dict.fromkeys((*source.notes, *sizes, *peaks))),
            split=source.split,
            sources=None if sources is None else sources.stored,
            mapped_sources=mapped_sources,
            chosen_options={
                **source.chosen_options,
                **({"image_size": list(chosen.image_size)} if chosen else {}),
            },
        )

    def read_files(self, source: ImageSource) -> tuple[Images, Images | None]:
        """Read the images of a source, and the source of each, if they are pairs.

        Args:
            source: What :meth:`open_source` has opened.
        """
        from ganzoo_zoo.data.reading import read_images

        return read_images(source, self.shaping), None

    def describe_shapes(self, source: ImageSource) -> tuple[str, ...]:
        """Return what ``data check`` says of the shapes of the files, a line each."""
        return ()


class OwnFiles(ImageFiles):
    """Base of sets of your own images."""

    image_size: ImageSize | None = Field(
        default=None,
        description="Resize to N x N, or to HEIGHTxWIDTH. By default the images' own size; if they "
        "differ, the largest power of two up to the median shorter side, from "
        f"{SMALLEST_SIDE} to {LARGEST_SIDE}.",
    )
    image_channels: Literal[1, 3, 4] | None = Field(
        default=None,
        description="1 grey, 3 RGB, 4 RGBA; by default 1 if every file is of a grey format, else "
        "3: a file in RGB counts as colour, whatever its pixels are.",
    )
    split: str | None = Field(
        default=None,
        description="Folder of the split to read, if the outermost folders are splits such as "
        "train and val; all reads every one, and the default is train.",
    )
    white_level: int | None = Field(
        default=None,
        ge=1,
        lt=2**32,
        description="Value of the files that becomes white, such as 4095 for 12 bits in files of "
        "16, or 1 for masks; by default the largest value of the files' format.",
    )

    def needs_download(self) -> bool:
        """Return False: the images are files on this machine."""
        return False

    @property
    def shaping(self) -> Shaping:
        """How each image is cropped, resized and converted."""
        return Shaping(self.image_size, self.image_channels, white_level=self.white_level)


class _ByFolders(OwnFiles):
    """Base of sets with one path, read in sorted order.

    Classes are those of a table of labels, if there is one. Otherwise, if every image lies in one
    of several folders, the outermost folders are the classes. A folder around all is passed over.
    """

    path: AbsolutePath = Field(description="Where the images are.")
    pairs: Literal["left-to-right", "right-to-left"] | None = Field(
        default=None,
        description="Whether each file holds two images side by side: the one that is the source, "
        "and the one that is made from it.",
    )
    sources: AbsolutePath | None = Field(
        default=None,
        description="Folder or zip with the source of each image, under the same name but for the "
        "suffix; images without one are left out.",
    )
    source_channels: Literal[1, 3, 4] | None = Field(
        default=None,
        description="Channels of sources, as image_channels; by default as their files are.",
    )

    @model_validator(mode="after")
    def _check_sources(self) -> _ByFolders:
        if self.pairs is not None and self.sources is not None:
            raise ValueError(
                "sources are half of each file or files of their own: choose pairs or sources"
            )
        return self

    @property
    def shaping(self) -> Shaping:
        """How each image is cropped, resized and converted."""
        half: dict[str | None, Half] = {"left-to-right": "right", "right-to-left": "left"}
        return replace(super().shaping, half=half.get(self.pairs))

    @property
    def source_shaping(self) -> Shaping:
        """How each source is cropped, resized and converted."""
        half: dict[str | None, Half] = {"left-to-right": "left", "right-to-left": "right"}
        return replace(self.shaping, channels=self.source_channels, half=half.get(self.pairs))

    @abstractmethod
    def open_files(self) -> AbstractContextManager[IndexedSource]:
        """Open all image files, whatever their split."""

    @contextmanager
    def open_source(self) -> Iterator[ArrangedSource]:
        """Open the image files of the split."""
        from ganzoo_zoo.data.layout import ArrangedSource

        with self.open_files() as source:
            if self.sources is None:
                yield ArrangedSource(source, self.split)
                return
            from ganzoo_zoo.data.pairs import PairedSource
            from ganzoo_zoo.data.sources import open_path

            with open_path(self.sources) as opened:
                others = ArrangedSource(opened, self.split, labelled=False)
                yield PairedSource(source, self.split, others)

    def read_files(self, source: ImageSource) -> tuple[Images, Images | None]:
        """Read the images of a source, and the source of each, if they are pairs."""
        from ganzoo_zoo.data.pairs import PairedSource, read_pairs, read_partners
        from ganzoo_zoo.data.reading import read_images

        if isinstance(source, PairedSource):
            return read_pairs(source, self.shaping, self.source_shaping)
        if self.pairs is None:
            return super().read_files(source)
        images = read_images(source, self.shaping)
        return images, read_partners(source, self.source_shaping, images)

    def describe_shapes(self, source: ImageSource) -> tuple[str, ...]:
        """Say that files look like pairs, if their images are cropped as if they were none."""
        from ganzoo_zoo.data.pairs import look_like_pairs

        size = self.image_size
        if self.pairs or self.sources or size is None or size[1] == 2 * size[0]:
            return ()
        if not look_like_pairs(source):
            return ()
        return (
            "the images are twice as wide as high, and are cropped; if each is a pair, add --set "
            "data.pairs=left-to-right",
        )

    def classes(self, source: ImageSource, names: Sequence[str]) -> Classes:
        """Use the labels of a table, or else the outermost folders of the images.

        Raises:
            InputError: there are too many folders.
        """
        import torch

        from ganzoo_zoo.data.layout import ArrangedSource

        assert isinstance(source, ArrangedSource)  # from open_source
        if source.labels is None:
            return _folder_classes(source, names)
        if not source.labels.classes:
            return None, None
        numbers = source.labels.numbers
        return source.labels.classes, torch.tensor([numbers[name] for name in names])


class ImageFolder(_ByFolders):
    """A folder of images, with or without class folders in it.

    Links to folders are not followed, and names that begin with a dot are ignored. With
    ``image_size`` each image is cropped around its centre to that shape and resized.
    """

    def open_files(self) -> AbstractContextManager[IndexedSource]:
        """Open the folder and its subfolders."""
        from ganzoo_zoo.data import sources

        return sources.open_folder(self.path)


class ImageZip(_ByFolders):
    """A zip of images, with or without class folders in it; nothing is unpacked to disk.

    With ``image_size`` each image is cropped around its centre to that shape and resized.
    """

    def open_files(self) -> AbstractContextManager[IndexedSource]:
        """Open the archive."""
        from ganzoo_zoo.data import sources

        return sources.open_zip(self.path)


class Domains(OwnFiles):
    """Two sets of images, each a class: two folders or zips from anywhere, as unpaired domains.

    With ``image_size`` each image is cropped around its centre to that shape and resized.
    """

    a: AbsolutePath = Field(description="Folder or zip of the first class.")
    b: AbsolutePath = Field(description="Folder or zip of the second class.")

    @property
    def class_names(self) -> tuple[str, str]:
        """Names of the two classes: the last parts of the paths, without suffix."""
        a, b = Path(self.a).stem, Path(self.b).stem
        return ("a", "b") if a == b else (a, b)

    def open_source(self) -> AbstractContextManager[JoinedSource]:
        """Open both sets."""
        from ganzoo_zoo.data import sources

        paths = dict(zip(self.class_names, (self.a, self.b), strict=True))
        return sources.open_joined(paths, self.split)

    def classes(self, source: ImageSource, names: Sequence[str]) -> Classes:
        """Return the class of each image by the first part of its name.

        Raises:
            InputError: no image of one class can be read.
        """
        first = bisect_left(
            names, 1, key=lambda name: self.class_names.index(name.partition("/")[0])
        )
        counts = first, len(names) - first
        for count, path in zip(counts, (self.a, self.b), strict=True):
            if not count:
                raise InputError(f"none of the images in {path} can be read")
        return self.class_names, repeat_labels(list(enumerate(counts)))


def _folder_classes(source: ArrangedSource, names: Sequence[str]) -> Classes:
    """Use the outermost folders as classes, if there are several and they hold every image."""
    from ganzoo_zoo.data.layout import outermost_folders

    runs: list[tuple[str, int]] = []
    for block in source.blocks_of(names):
        for folder, count in outermost_folders(names, block):
            if folder is None:
                return None, None
            if runs and runs[-1][0] == folder:
                count += runs.pop()[1]
            runs.append((folder, count))
            if len(runs) > MOST_CLASSES:
                raise InputError(f"{source.title} has more than {MOST_CLASSES:,} class folders")
    folders = sorted({folder for folder, _ in runs})
    if len(folders) < 2:
        return None, None
    numbers = {folder: i for i, folder in enumerate(folders)}
    # File systems allow names that are not valid UTF-8.
    printable = [os.fsencode(name).decode("utf-8", "backslashreplace") for name in folders]
    labels = repeat_labels([(numbers[folder], count) for folder, count in runs])
    return tuple(printable), labels


def _join_sources(images: Images, sources: Images) -> str:
    """Return the fingerprint of images with their sources, as that of samples is."""
    found, their = (
        each.content or fingerprint(each.rows or each.stored) for each in (images, sources)
    )
    return hashlib.sha256(f"{found} from {their}".encode()).hexdigest()


def _join_labels(content: str, class_names: tuple[str, ...], labels: Tensor | None) -> str:
    """Return a fingerprint of images and of labels that do not follow from the images' names."""
    assert labels is not None  # there are classes
    digest = hashlib.sha256(repr((content, class_names)).encode())
    digest.update(labels.long().numpy().tobytes())
    return digest.hexdigest()


def repeat_labels(runs: Sequence[tuple[int, int]]) -> Tensor:
    """Expand run lengths to labels, in the smallest integer type that fits.

    Args:
        runs: Pairs of a label and its number of repetitions, in order.

    Returns:
        Labels ``(N,)`` as uint8, int16 or int32.
    """
    import numpy as np
    import torch

    labels, counts = np.array(runs).T
    fit = (kind for kind in (np.uint8, np.int16) if labels.max() <= np.iinfo(kind).max)
    # torch.repeat_interleave would make N int64 indices first.
    return torch.from_numpy(np.repeat(labels.astype(next(fit, np.int32)), counts))
