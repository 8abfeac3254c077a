"""Pairs of image files: each image has a source of the same name in another folder or zip."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ganzoo.errors import InputError, excerpt
from ganzoo_zoo.data import decoding
from ganzoo_zoo.data.image_source import ImageSource, IndexedSource
from ganzoo_zoo.data.index import ChosenNames, FilteredNames
from ganzoo_zoo.data.layout import ArrangedSource, common_folder
from ganzoo_zoo.data.listing import SomeNames
from ganzoo_zoo.data.reading import Images, read_images
from ganzoo_zoo.data.shaping import Shaping

LOOKED_AT = 8
"""Files whose shape is looked at, to tell whether they may be pairs."""


class PairedSource(ArrangedSource):
    """Those images of a source that have a partner in another one, by name.

    Names are compared within both folders, without their suffixes; if none is the same, then within
    the innermost folder that holds all images of each.

    Args:
        source: The source of the images.
        split: Name of the split; None for the training split, if there are splits.
        others: The source of the partners.
    """

    def __init__(self, source: IndexedSource, split: str | None, others: ArrangedSource) -> None:
        super().__init__(source, split)
        self.others = others
        self.partners = _Partners(self)
        self._unreadable: set[str] = set()

    def find_files(self, *, verified: bool = False) -> None:
        """List the files of both, and find each image's partner.

        Raises:
            InputError: one of them cannot be listed, or no image has a partner.
        """
        super().find_files(verified=verified)
        self.others.find_files(verified=verified)
        self.partners.names = ChosenNames(self.others.names, np.zeros(0, np.int64))
        if not self.names:
            return
        found = match_names(self.names, self.others.names)
        if (found < 0).all():
            raise InputError(
                f"no file in {self.others.title} has the name of an image in {self.title}, such "
                f"as {excerpt(self.names[0])}: a source is called as its image, but for the suffix"
            )
        notes = _describe_unmatched(self, found)
        for place in np.flatnonzero(found >= 0).tolist() if self._unreadable else ():
            if self.names[place] in self._unreadable:
                found[place] = -1
        skipped = np.flatnonzero(found < 0)
        if len(skipped):
            digest = hashlib.sha256(skipped.astype(np.int64).tobytes()).hexdigest()
            self._selection += f" without partners {digest}"
            self.names = FilteredNames(self.names, skipped.tolist())
        self.partners.names = ChosenNames(self.others.names, found[found >= 0])
        self.notes = (*self.notes, *self.others.notes, *notes)

    def leave_out(self, names: set[str]) -> None:
        """Leave out images that cannot be read, or whose partner cannot be, from now on."""
        self._unreadable |= names


class _Partners(ImageSource):
    """The partner of each image, in their order, once these are listed."""

    names: ChosenNames

    def __init__(self, pairs: PairedSource) -> None:
        self.pairs = pairs
        self.title = pairs.others.title

    def find_files(self, *, verified: bool = False) -> None:
        """Do nothing: they were found with the images."""

    def read(self, place: int) -> bytes:
        """Return the bytes of one file."""
        return self.pairs.others.read(self.names.locate(place))

    def total_bytes(self) -> int:
        """Return the size of all files that may be partners."""
        return self.pairs.others.total_bytes()

    def content_hash(self) -> str:
        """Hash all files that may be partners, and which of them are, in their order."""
        order = hashlib.sha256(self.names.places.tobytes()).hexdigest()
        return hashlib.sha256(f"{self.pairs.others.content_hash()} {order}".encode()).hexdigest()


def match_names(names: Sequence[str], others: Sequence[str]) -> np.ndarray:
    """Return the place of each name's partner among others, int64 ``(N,)``; -1 for none."""
    found = _match(names, others, "", "")
    if len(others) and (found < 0).all():
        found = _match(names, others, common_folder(names), common_folder(others))
    return found


def read_pairs(
    source: PairedSource, shaping: Shaping, source_shaping: Shaping
) -> tuple[Images, Images]:
    """Read all pairs of which both images can be read.

    Args:
        source: The images and their partners.
        shaping: How images are cropped, resized and converted.
        source_shaping: The same of partners.

    Returns:
        The images, with all files that cannot be read, and their partners.

    Raises:
        InputError: as for :func:`ganzoo_zoo.data.reading.read_images`.
        GanzooError: as for :func:`ganzoo_zoo.data.reading.read_images`.
    """
    images = read_images(source, shaping)
    partners = read_partners(source.partners, source_shaping, images)
    if not images.skipped and not partners.skipped:
        return images, partners
    skipped = (*images.skipped, *(f"{source.others.title}/{why}" for why in partners.skipped))
    readable, kept = set(images.names), set(partners.names)
    pairs = zip(source.names, source.partners.names, strict=True)
    source.leave_out({name for name, its in pairs if name not in readable or its not in kept})
    images = replace(read_images(source, shaping), skipped=skipped)
    return images, read_partners(source.partners, source_shaping, images)


def read_partners(source: ImageSource, shaping: Shaping, images: Images) -> Images:
    """Read the partners of images, at their size if partners or images differ in theirs.

    Args:
        source: The files of the partners.
        shaping: How partners are cropped, resized and converted.
        images: The images.
    """
    height, width = images.stored.shape[-2:]
    if images.common_size is None:
        partners = read_images(source, shaping)
        if partners.common_size is None:
            return partners
    return read_images(source, replace(shaping, image_size=(height, width)))


def look_like_pairs(source: ImageSource) -> bool:
    """Tell whether images are twice as wide as high: all of some that are looked at."""
    places = np.linspace(0, len(source.names) - 1, LOOKED_AT).astype(int)
    try:
        with decoding.silence_warnings():
            return all(_is_twice_as_wide(source.read(place)) for place in set(places.tolist()))
    except Exception:  # decoders of broken files raise almost anything
        return False


def _is_twice_as_wide(data: bytes) -> bool:
    with decoding.open_image(data) as image:
        return image.width == 2 * image.height


def _match(names: Sequence[str], others: Sequence[str], root: str, other_root: str) -> np.ndarray:
    places: dict[str, int] = {}
    for place, name in enumerate(others):
        name = name[len(other_root) :]
        if places.setdefault(_stem(name), place) != place:
            places.setdefault(name, place)  # two differ in the suffix alone
    found = np.full(len(names), -1, np.int64)
    for place, name in enumerate(names):
        name = name[len(root) :]
        found[place] = places.get(name, places.get(_stem(name), -1))
    return found


def _stem(name: str) -> str:
    """Return a name without its suffix."""
    dot = name.rfind(".")
    return name[:dot] if dot > name.rfind("/") + 1 else name


def _describe_unmatched(source: PairedSource, found: np.ndarray) -> list[str]:
    notes = []
    without = np.flatnonzero(found < 0)
    if len(without):
        names = SomeNames()
        for place in without.tolist():
            names.add(source.names[place])
        notes.append(
            f"left out {len(without):,} images without a source in {source.others.title}, such as "
            f"{names}"
        )
    spare = len(source.others.names) - len(np.unique(found[found >= 0]))
    if spare:
        notes.append(f"{spare:,} files in {source.others.title} are the source of no image")
    return notes
