"""A person's own images: a folder of them, a zip, or two of these."""

from __future__ import annotations

import os
from abc import abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ganzoo import DataSpec, Samples
from ganzoo.errors import InputError
from ganzoo_data import sources
from ganzoo_data.options import AbsolutePath, Mirrored
from ganzoo_data.shaping import Shaping
from ganzoo_data.sources import Joined, Source

if TYPE_CHECKING:
    from torch import Tensor

    Classes = tuple[tuple[str, ...] | None, Tensor | None]
    """The names of the classes and the class of each image, where there are classes."""


class ImageFiles(Mirrored):
    """Base of sets of image files, named with forward slashes."""

    @property
    @abstractmethod
    def shaping(self) -> Shaping:
        """What becomes of each image."""

    @abstractmethod
    def opened(self) -> AbstractContextManager[Source]:
        """Open the files, for as long as they are read."""

    @abstractmethod
    def classes(self, source: Source, names: list[str]) -> Classes:
        """Return the names of the classes, and the class of each of some images of a source."""

    def read(self) -> Samples:
        """Read every image; what cannot be read is skipped and named in ``skipped``."""
        from ganzoo_data.reading import read_images

        with self.opened() as source:
            images = read_images(source, self.shaping)
        called, labels = self.classes(source, images.kept)
        spec = DataSpec(
            shape=tuple(images.stored.shape[1:]),
            classes=len(called) if called else None,
            class_names=called,
        )
        return Samples(
            spec,
            images.stored,
            labels,
            tuple(images.skipped),
            tuple(images.kept),
            flip=self.flip,
            streamed=images.streamed,
            content=images.content,
        )


class _OwnFiles(ImageFiles):
    """Base of sets of a person's own images."""

    image_channels: Literal[1, 3, 4] | None = Field(
        None,
        description="1 grey, 3 RGB, 4 RGBA; by default 1 if every file is of a grey format, else "
        "3: a file in RGB counts as colour, whatever its pixels are.",
    )

    @property
    def shaping(self) -> Shaping:
        """What becomes of each image."""
        return Shaping(self.image_size, self.image_channels)


class _ByFolders(_OwnFiles):
    """Base of sets that one path leads to, in sorted order.

    Where every image lies in one of several folders, the outermost folders are the classes.
    """

    path: AbsolutePath = Field(description="Where the images are.")

    def classes(self, source: Source, names: list[str]) -> Classes:
        """Take the outermost folders for the classes, if there are several and all lie in one."""
        import torch

        parts = [PurePosixPath(name).parts for name in names]
        folders = sorted({part[0] for part in parts})
        if len(folders) < 2 or any(len(part) == 1 for part in parts):
            return None, None
        numbers = {folder: i for i, folder in enumerate(folders)}
        # A system may allow names that no text file can hold.
        called = [os.fsencode(folder).decode("utf-8", "backslashreplace") for folder in folders]
        return tuple(called), torch.tensor([numbers[part[0]] for part in parts])


class ImageFolder(_ByFolders):
    """A folder of images, with or without class folders in it.

    Links to folders are not followed, and names that begin with a dot are passed over. With
    ``image_size`` each image is cropped around its centre to that shape and resized.
    """

    def opened(self) -> AbstractContextManager[Source]:
        """List the folder and all below it."""
        return sources.folder(self.path)


class ImageZip(_ByFolders):
    """A zip of images, with or without class folders in it; nothing is unpacked to disk.

    With ``image_size`` each image is cropped around its centre to that shape and resized.
    """

    def opened(self) -> AbstractContextManager[Source]:
        """List the archive."""
        return sources.zipped(self.path)


class Domains(_OwnFiles):
    """Two sets of images, each a class: two folders or zips from anywhere, as unpaired domains.

    With ``image_size`` each image is cropped around its centre to that shape and resized.
    """

    a: AbsolutePath = Field(description="Folder or zip of the first class.")
    b: AbsolutePath = Field(description="Folder or zip of the second class.")

    @property
    def words(self) -> tuple[str, str]:
        """What the two classes are called: as the paths, without suffix."""
        a, b = Path(self.a).stem, Path(self.b).stem
        return ("a", "b") if a == b else (a, b)

    def opened(self) -> AbstractContextManager[Joined]:
        """List both."""
        return sources.joined(dict(zip(self.words, (self.a, self.b), strict=True)))

    def classes(self, source: Source, names: list[str]) -> Classes:
        """Tell the two apart by what stands first in a name.

        Raises:
            InputError: of one of them no image can be read.
        """
        import torch

        labels = [self.words.index(name.partition("/")[0]) for name in names]
        for number, path in enumerate((self.a, self.b)):
            if number not in labels:
                raise InputError(f"none of the images in {path} can be read")
        return self.words, torch.tensor(labels)
