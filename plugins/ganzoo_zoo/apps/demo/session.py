"""What can be asked of a model, within bounds that hold whatever a page lets through."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ganzoo.compute.devices import resolve_device
from ganzoo.errors import GanzooError, InputError
from ganzoo.evaluation.nearest import NeighbourSearch, read_training_samples
from ganzoo.media.images import provenance, resize, save_png, to_png
from ganzoo.models.sample_files import render_model_samples, write_walk
from ganzoo.progress import send_progress_to
from ganzoo.registry import DATASET
from ganzoo.resolve import choose_data

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.evaluation.nearest import Neighbour
    from ganzoo.models.model import Model
    from ganzoo.progress import Listener
    from ganzoo.protocols.dataset import Samples

LARGEST_SEED = 2**53 - 1
"""What a browser can write as a whole number."""
MOST_IMAGES = 64
MOST_POINTS = 4096
NUMBERS = 1 << 24
"""Numbers of the samples that are drawn at once; of large ones there are fewer."""
MOST_SEEDS = 8
"""Of a walk."""
MOST_FRAMES = 100
"""From one seed of a walk to the next."""
WALK_NUMBERS = 1 << 28
"""Numbers of all samples of a walk."""
TRUNCATIONS = (0.1, 3.0)
"""The least and the largest that can be asked for."""
FAKES = 4
"""Samples that stand beside their nearest training images."""
NEAREST = 4
"""Training images beside each of them."""
SIDE = 96
"""Pixels of the longer side of an image among its nearest ones, at most."""
MOVIES = ("webp", "gif", "mp4")


@dataclass(frozen=True)
class MediaFile:
    """A picture or a movie that was written, and what it shows."""

    file: Path
    about: str
    """In words, for who does not see it."""
    singles: list[tuple[Path, str]] = field(default_factory=list)
    """Each image of the picture as a file of its own, with what it is."""


@dataclass(frozen=True)
class Tile:
    """A small image among nearest ones."""

    png: bytes
    about: str
    caption: str


@dataclass(frozen=True)
class Comparison:
    """Samples beside their nearest training images."""

    rows: list[list[Tile]]
    """Each a sample, and then the training images that are nearest to it, the nearest first."""
    searched: int
    total: int
    """Training images, of which so many were searched."""


class Session:
    """A model that is held in memory, and what is drawn from it.

    One thread at a time may ask.

    Args:
        model: The model.
        folder: Where files are put; those of an answer stay until the next but one is asked for.
        device: Where to compute.

    Raises:
        InputError: there is no such device here.
    """

    def __init__(self, model: Model, folder: Path, device: str = "auto") -> None:
        self.device = device
        self.model = model.to(resolve_device(device))
        self.spec = model.config.spec
        self.folder = folder
        self.ending = threading.Event()
        """Once it is set, long work ends soon, by an error."""
        self._answers: list[Path] = []
        self._count = 0
        self._search: NeighbourSearch | None = None

    # What the model can.

    @property
    def can_translate(self) -> bool:
        """Whether it makes images from images, and not from seeds."""
        return self.model.architecture.takes_images

    @property
    def can_truncate(self) -> bool:
        """Whether variety can be traded for quality."""
        try:
            self.model.with_truncation(TRUNCATIONS[1])
        except GanzooError:
            return False
        return True

    @property
    def can_walk(self) -> bool:
        """Whether there is a way from seed to seed."""
        try:
            self.model.inputs.walk(1, (0, 1), 1)
        except GanzooError:
            return False
        return True

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that can be asked for; none if a sample's cannot be chosen."""
        if not self.model.conditional:
            return ()
        return self.spec.class_names or tuple(map(str, range(self.spec.classes or 0)))

    @property
    def max_samples(self) -> int:
        """Samples that can be drawn at once."""
        most = MOST_IMAGES if self.spec.is_image else MOST_POINTS
        return max(1, min(most, NUMBERS // self.spec.size))

    # What is asked of it.

    def sample(
        self,
        seed: object,
        count: object,
        label: int | None = None,
        truncation: object = None,
        listener: Listener | None = None,
    ) -> MediaFile:
        """Draw samples as one picture, which ``ganzoo sample`` draws alike, and as single images.

        Args:
            seed: 0 to :data:`LARGEST_SEED`.
            count: 1 to :attr:`max_samples`.
            label: Class of all of them; every class in turn if None.
            truncation: As for :meth:`ganzoo.Model.sample`, within :data:`TRUNCATIONS`.
            listener: Is told how far it is.

        Raises:
            InputError: something is out of bounds, or the model cannot do it.
        """
        seed = check_whole(seed, "seed", 0, LARGEST_SEED)
        count = check_whole(count, "number of samples", 1, self.max_samples)
        truncation, label = self._check_truncation(truncation), self._check_label(label)
        with self._answer_folder(listener) as place:
            inputs = self.model.inputs.draw(count, seed, label)
            stored = self.model.with_truncation(truncation).generate(inputs, stored=True)
            texts = provenance(self.model.title, seed, truncation)
            file = place / f"samples-{seed}.png"
            save_png(render_model_samples(self.model, stored, label), file, texts)
            how = self._describe_options(label, truncation)
            about = f"{self._describe_count(count)}, seed {seed}{how}"
            return MediaFile(
                file, about, self._save_singles(place, stored, inputs.labels, seed, texts)
            )

    def walk(
        self,
        seeds: str,
        frames: object,
        count: object,
        loop: bool = False,
        format: str = MOVIES[0],
        label: int | None = None,
        truncation: object = None,
        listener: Listener | None = None,
    ) -> MediaFile:
        """Draw a movie that goes from the samples of one seed to those of the next.

        Args:
            seeds: Two or more, with commas between them.
            frames: From one seed to the next, 1 to :data:`MOST_FRAMES`.
            count: Samples in each frame.
            loop: Whether it ends where it began.
            format: One of :data:`MOVIES`.
            label: As for :meth:`sample`.
            truncation: As for :meth:`sample`.
            listener: Is told how far it is.

        Raises:
            InputError: as for :meth:`sample`; or what writes such a movie is not installed.
        """
        stops = _parse_seeds(seeds)
        frames = check_whole(frames, "number of frames", 1, MOST_FRAMES)
        count = check_whole(count, "number of samples", 1, self.max_samples)
        truncation, label = self._check_truncation(truncation), self._check_label(label)
        if format not in MOVIES:
            raise InputError(f"a movie is one of {', '.join(MOVIES)}")
        total = frames * len(stops)
        if total * count * self.spec.size > WALK_NUMBERS:
            raise InputError(
                f"{total} frames of {count} samples are too many here: ask for fewer seeds, "
                "frames or samples"
            )
        with self._answer_folder(listener) as place:
            file = place / f"walk-{'-'.join(map(str, stops))}.{format}"
            write_walk(
                self.model,
                file,
                stops,
                frames,
                count,
                loop=bool(loop),
                label=None if label is None else self.classes[label],
                truncation=truncation,
                device=self.device,
            )
        way = " to ".join(map(str, [*stops, stops[0]] if loop else stops))
        how = self._describe_options(label, truncation)
        return MediaFile(file, f"Walk of {self._describe_count(count)} from seed {way}{how}")

    def translate(self, source: str | None, label: int | None) -> MediaFile:
        """Translate an image to a class.

        Args:
            source: Its file.
            label: The class.

        Raises:
            InputError: there is no image or no class, or the file cannot be read.
        """
        with self._answer_folder(None) as place:
            stored, label = self._translate_file(place, source, label)
            file = place / "translated.png"
            save_png(
                render_model_samples(self.model, stored, label),
                file,
                provenance(self.model.title, 0),
            )
            return MediaFile(file, f"The image, translated to {self.classes[label]}")

    def nearest(
        self,
        seed: object,
        label: int | None = None,
        truncation: object = None,
        source: str | None = None,
        listener: Listener | None = None,
    ) -> Comparison:
        """Find the training images that are nearest to the first samples of a seed.

        The data are read when this is first asked.

        Args:
            seed: As for :meth:`sample`.
            label: As for :meth:`sample`.
            truncation: As for :meth:`sample`.
            source: An image that is translated, in place of a seed.
            listener: Is told how far it is.

        Raises:
            InputError: as for :meth:`sample`; or samples are points, or the data have changed.
            ganzoo.errors.GanzooError: the data cannot be read.
        """
        if not self.spec.is_image:
            raise InputError("these samples are points, and no images")
        with self._answer_folder(listener) as place:
            if self.can_translate:
                stored, label = self._translate_file(place, source, label)
                labels, seed = torch.tensor([label]), 0
            else:
                seed = check_whole(seed, "seed", 0, LARGEST_SEED)
                truncation, label = self._check_truncation(truncation), self._check_label(label)
                inputs = self.model.inputs.draw(FAKES, seed, label)
                labels = inputs.labels
                stored = self.model.with_truncation(truncation).generate(inputs, stored=True)
            search = self._load_search()
            texts = provenance(self.model.title, seed, truncation)
            near = search.nearest(stored, NEAREST)
            rows = []
            for i, (image, found) in enumerate(zip(stored, near, strict=True)):
                name = "" if labels is None else self.classes[int(labels[i])]
                about = f"Generated image {i + 1}" + (f", class {name}" if name else "")
                own = Tile(_small_png(image, texts), about, name)
                rows.append([own, *(_neighbour_tile(search.samples, one) for one in found)])
            return Comparison(rows, len(search.candidates), len(search.samples))

    # Its parts.

    def _check_label(self, label: int | None) -> int | None:
        if label is None:
            return None
        return check_whole(label, "class", 0, len(self.classes) - 1) if self.classes else None

    def _check_truncation(self, truncation: object) -> float | None:
        if truncation is None:
            return None
        low, high = TRUNCATIONS
        if not isinstance(truncation, (int, float)) or not low <= truncation <= high:
            raise InputError(f"truncation is a number from {low} to {high}")
        return float(truncation)

    def _describe_count(self, count: int) -> str:
        kind = "image" if self.spec.is_image else "point"
        return f"{count:,} generated {kind}" + ("" if count == 1 else "s")

    def _describe_options(self, label: int | None, truncation: float | None) -> str:
        asked = "" if label is None else f", class {self.classes[label]}"
        return asked + ("" if truncation is None else f", truncation {truncation:g}")

    def _save_singles(
        self,
        place: Path,
        stored: Tensor,
        labels: Tensor | None,
        seed: int,
        texts: dict[str, str],
    ) -> list[tuple[Path, str]]:
        if not self.spec.is_image:
            return []
        found = []
        for i, image in enumerate(stored):
            file = place / f"seed{seed}-{i:05d}.png"
            save_png(image, file, {**texts, "ganzoo:index": str(i)})
            named = f", class {self.classes[int(labels[i])]}" if labels is not None else ""
            found.append((file, f"Generated image {i + 1}{named}"))
        return found

    def _translate_file(
        self, place: Path, source: str | None, label: int | None
    ) -> tuple[Tensor, int]:
        if source is None:
            raise InputError("choose an image first")
        label = check_whole(label, "class", 0, len(self.classes) - 1)
        # Read as any folder of images: it may be as broken as those of a set.
        alone = place / "source"
        alone.mkdir()
        shutil.copyfile(source, alone / f"image{Path(source).suffix.lower()}")
        try:
            images = choose_data(str(alone), {}, like=self.spec).build(DATASET).read()
        except InputError as error:
            reason = str(error).rpartition(": ")[2]  # without where it lies here
            raise InputError(f"the image cannot be read: {reason}") from None
        inputs = self.model.inputs.from_images(images.batch(torch.arange(1)), label)
        return self.model.generate(inputs, stored=True), label

    def _load_search(self) -> NeighbourSearch:
        if self._search is None:
            self._search = NeighbourSearch(read_training_samples(self.model.config))
        return self._search

    @contextmanager
    def _answer_folder(self, listener: Listener | None) -> Iterator[Path]:
        """Give a new folder for the files of an answer, and be told how far the work is."""
        # The page copies the files of an answer before the next one is asked for.
        while len(self._answers) > 1:
            shutil.rmtree(self._answers.pop(0), ignore_errors=True)
        self._count += 1
        place = self.folder / str(self._count)
        place.mkdir(parents=True)
        self._answers.append(place)

        def listen(what: str, done: int, total: int) -> None:
            if self.ending.is_set():
                raise GanzooError("the demo ends")
            if listener is not None:
                listener(what, done, total)

        with send_progress_to(listen):
            yield place


def _neighbour_tile(samples: Samples, one: Neighbour) -> Tile:
    image = samples.stored[one.index]
    names = samples.spec.class_names or tuple(map(str, range(samples.spec.classes or 0)))
    about = f"Training image {one.index}"
    about += f", class {names[int(samples.labels[one.index])]}" if names else ""
    about += ", mirrored" if one.mirrored else ""
    shown = image.flip(-1) if one.mirrored else image
    return Tile(_small_png(shown, {}), about, f"{one.distance:.1f}")


def _small_png(image: Tensor, texts: dict[str, str]) -> bytes:
    if (longer := max(image.shape[1:])) > SIDE:
        size = tuple(max(1, round(side * SIDE / longer)) for side in image.shape[1:])
        image = resize(image[None], size)[0]
    return to_png(image, texts)


def check_whole(value: Any, what: str, low: int, high: int) -> int:
    """Return a whole number within its bounds.

    Raises:
        InputError: it is none, or out of them.
    """
    fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not fits or value != value or not low <= value <= high or value != int(value):
        raise InputError(f"{what}: a whole number from {low} to {high:,}")
    return int(value)


def _parse_seeds(text: object) -> list[int]:
    words = [word for word in re.split(r"[\s,;]+", text) if word] if isinstance(text, str) else []
    fit = all(word.isascii() and word.isdecimal() and len(word) < 17 for word in words)
    if not fit or not 2 <= len(words) <= MOST_SEEDS:
        raise InputError(f"seeds: two to {MOST_SEEDS} whole numbers, as 0, 1, 5")
    return [check_whole(int(word), "seed", 0, LARGEST_SEED) for word in words]
