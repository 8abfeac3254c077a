"""Drawing from a model on request, with bounds that do not depend on the page."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
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
from ganzoo.protocols.dataset import DataSpec
from ganzoo.registry import DATASET
from ganzoo.resolve import choose_data
from ganzoo_zoo.apps.demo.moving import Mover, describe_moves

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.evaluation.nearest import Neighbour
    from ganzoo.models.model import Model
    from ganzoo.progress import Listener
    from ganzoo.protocols.dataset import Samples
    from ganzoo.protocols.latent_parts import Code, LatentPart

LARGEST_SEED = 2**53 - 1
"""The largest integer that JavaScript represents exactly."""
MOST_IMAGES = 64
MOST_POINTS = 4096
NUMBERS = 1 << 24
"""The most numbers of all samples that are drawn at once."""
MOST_SEEDS = 8
"""The most seeds of a walk."""
MOST_FRAMES = 100
"""The most frames from one seed of a walk to the next."""
WALK_NUMBERS = 1 << 28
"""The most numbers of all samples of a walk."""
TRUNCATIONS = (0.1, 3.0)
"""The smallest and the largest truncation."""
CODES = (-2.0, 2.0)
"""The smallest and the largest number of a code."""
DRAWN = -1
"""The choice of a category that the seed draws."""
MOST_CODES = 16
"""The most codes that the page shows."""
FAKES = 4
"""Number of samples that are compared with training images."""
NEAREST = 4
"""Number of training images beside each sample."""
SIDE = 96
"""The most pixels of the longer side of a compared image."""
MOVIES = ("webp", "gif", "mp4")


@dataclass(frozen=True)
class MediaFile:
    """A picture or a movie that was written."""

    file: Path
    about: str
    """Text alternative of the picture."""
    singles: list[tuple[Path, str]] = field(default_factory=list)
    """Files of the single images, each with its text alternative."""


@dataclass(frozen=True)
class Tile:
    """A small image with a caption, as PNG."""

    png: bytes
    about: str
    caption: str


@dataclass(frozen=True)
class Comparison:
    """Samples beside their nearest training images."""

    rows: list[list[Tile]]
    """Rows of a sample followed by its nearest training images, the nearest first."""
    searched: int
    """Number of training images that were searched."""
    total: int
    """Number of all training images."""


class Session:
    """A model in memory, and drawing from it. Not thread-safe.

    Args:
        model: The model.
        folder: Folder for files; those of the last two answers are kept.
        device: Device to compute on.

    Raises:
        InputError: the device is not available.
    """

    def __init__(self, model: Model, folder: Path, device: str = "auto") -> None:
        self.device = device
        self.model = model.to(resolve_device(device))
        self.spec = model.config.spec
        self.mover = Mover(self.model)
        """Moves samples along directions."""
        self.folder = folder
        self.ending = threading.Event()
        """Once set, long work ends soon with an error."""
        self._answers: list[Path] = []
        self._count = 0
        self._search: NeighbourSearch | None = None

    # Abilities of the model.

    @property
    def can_translate(self) -> bool:
        """Whether the model starts from images instead of sampling from seeds."""
        return not self.model.architecture.takes_latents

    @property
    def can_truncate(self) -> bool:
        """Whether the model supports truncation."""
        try:
            self.model.with_truncation(TRUNCATIONS[1])
        except GanzooError:
            return False
        return True

    @property
    def can_walk(self) -> bool:
        """Whether the model can interpolate between seeds."""
        try:
            self.model.inputs.walk(1, (0, 1), 1)
        except GanzooError:
            return False
        return True

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty if the model is not conditional."""
        if not self.model.conditional:
            return ()
        return self.spec.class_names or tuple(map(str, range(self.spec.classes or 0)))

    @property
    def code_parts(self) -> tuple[LatentPart, ...]:
        """The parts of the latents that are worth setting: categories, and single numbers."""
        parts = self.model.inputs.codes
        single = [part for part in parts if part.distribution == "category" or part.size == 1]
        return tuple(single[:MOST_CODES]) if len(parts) > 1 else ()

    @property
    def max_samples(self) -> int:
        """The most samples that can be drawn at once."""
        most = MOST_IMAGES if self.spec.is_bounded else MOST_POINTS
        return max(1, min(most, NUMBERS // self.spec.size))

    # Requests.

    def sample(
        self,
        seed: object,
        count: object,
        label: int | None = None,
        truncation: object = None,
        listener: Listener | None = None,
        codes: Mapping[str, Code] | None = None,
        moves: Sequence[object] = (),
    ) -> MediaFile:
        """Draw samples as one picture, like ``ganzoo sample``, and as single images.

        Args:
            seed: 0 to :data:`LARGEST_SEED`.
            count: 1 to :attr:`max_samples`.
            label: Class of all samples; every class in turn if None.
            truncation: See :meth:`ganzoo.Model.sample`; within :data:`TRUNCATIONS`.
            listener: Called with the progress.
            codes: See :meth:`ganzoo.Model.sample`.
            moves: How far to move along each of the first directions, in standard deviations.

        Raises:
            InputError: a value is out of bounds, or the model does not support it.
        """
        seed = check_whole(seed, "seed", 0, LARGEST_SEED)
        count = check_whole(count, "number of samples", 1, self.max_samples)
        psi, label = self._check_truncation(truncation), self._check_label(label)
        with self._answer_folder(listener) as place:
            inputs = self.model.inputs.draw(count, seed, label, codes)
            texts = provenance(self.model.title, seed, psi, codes)
            if by := self.mover.check(moves):
                stored = self.mover.draw(inputs, by, psi)
                texts["ganzoo:moved"] = describe_moves(by)
            else:
                stored = self.model.with_truncation(psi).generate(inputs, stored=True)
            file = place / f"samples-{seed}.png"
            save_png(render_model_samples(self.model, stored, label), file, texts)
            about = f"{self._describe_count(count)}, seed {seed}"
            about += self._describe_options(label, psi, codes)
            about += f", {describe_moves(by)}" if by else ""
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
        codes: Mapping[str, Code] | None = None,
    ) -> MediaFile:
        """Draw a movie that interpolates from the samples of one seed to those of the next.

        Args:
            seeds: Two or more seeds, separated by commas.
            frames: Frames from one seed to the next, 1 to :data:`MOST_FRAMES`.
            count: Samples in each frame.
            loop: Whether to return to the first seed.
            format: One of :data:`MOVIES`.
            label: See :meth:`sample`.
            truncation: See :meth:`sample`.
            listener: Called with the progress.
            codes: See :meth:`sample`.

        Raises:
            InputError: see :meth:`sample`; or a package that writes the movie is not installed.
        """
        stops = _parse_seeds(seeds)
        frames = check_whole(frames, "number of frames", 1, MOST_FRAMES)
        count = check_whole(count, "number of samples", 1, self.max_samples)
        psi, label = self._check_truncation(truncation), self._check_label(label)
        if format not in MOVIES:
            raise InputError(f"the format must be one of {', '.join(MOVIES)}")
        total = frames * len(stops)
        if total * count * self.spec.size > WALK_NUMBERS:
            raise InputError(
                f"{total} frames of {count} samples are too many here: choose fewer seeds, "
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
                truncation=psi,
                codes=codes,
                device=self.device,
            )
        way = " to ".join(map(str, [*stops, stops[0]] if loop else stops))
        how = self._describe_options(label, psi, codes)
        return MediaFile(file, f"Walk of {self._describe_count(count)} from seed {way}{how}")

    def translate(self, source: str | None, label: int | None) -> MediaFile:
        """Make an image from another one.

        Args:
            source: File of the image.
            label: Class of the result; None if the model has no classes.

        Raises:
            InputError: the image or the class is missing, or the file cannot be read.
        """
        with self._answer_folder(None) as place:
            stored, label = self._translate_file(place, source, label)
            file = place / "translated.png"
            save_png(
                render_model_samples(self.model, stored, label),
                file,
                provenance(self.model.title, 0),
            )
            to_class = "" if label is None else f" to {self.classes[label]}"
            return MediaFile(file, f"The image, translated{to_class}")

    def nearest(
        self,
        seed: object,
        label: int | None = None,
        truncation: object = None,
        codes: Mapping[str, Code] | None = None,
        source: str | None = None,
        listener: Listener | None = None,
    ) -> Comparison:
        """Find the training images that are nearest to the first samples of a seed.

        The training data are read on first use.

        Args:
            seed: See :meth:`sample`.
            label: See :meth:`sample`.
            truncation: See :meth:`sample`.
            codes: See :meth:`sample`.
            source: File of an image to translate, instead of a seed.
            listener: Called with the progress.

        Raises:
            InputError: see :meth:`sample`; or samples are points, or the data have changed.
            ganzoo.errors.GanzooError: the data cannot be read.
        """
        if not self.spec.is_image:
            raise InputError(f"these samples are {self.spec.kind}, not images")
        psi: float | None = None
        labels: Tensor | None
        with self._answer_folder(listener) as place:
            if self.can_translate:
                stored, label = self._translate_file(place, source, label)
                labels, seed = None if label is None else torch.tensor([label]), 0
            else:
                seed = check_whole(seed, "seed", 0, LARGEST_SEED)
                psi, label = self._check_truncation(truncation), self._check_label(label)
                inputs = self.model.inputs.draw(FAKES, seed, label, codes)
                labels = inputs.labels
                stored = self.model.with_truncation(psi).generate(inputs, stored=True)
            search = self._load_search()
            texts = provenance(self.model.title, seed, psi, codes)
            near = search.nearest(stored, NEAREST)
            rows = []
            for i, (image, found) in enumerate(zip(stored, near, strict=True)):
                name = "" if labels is None else self.classes[int(labels[i])]
                about = f"Generated image {i + 1}" + (f", class {name}" if name else "")
                own = Tile(_small_png(image, texts), about, name)
                rows.append([own, *(_neighbour_tile(search.samples, one) for one in found)])
            return Comparison(rows, len(search.candidates), len(search.samples))

    # Helpers.

    def _check_label(self, label: int | None) -> int | None:
        if label is None:
            return None
        return check_whole(label, "class", 0, len(self.classes) - 1) if self.classes else None

    def _check_truncation(self, truncation: object) -> float | None:
        if truncation is None:
            return None
        low, high = TRUNCATIONS
        if not isinstance(truncation, (int, float)) or not low <= truncation <= high:
            raise InputError(f"truncation must be a number from {low} to {high}")
        return float(truncation)

    def _describe_count(self, count: int) -> str:
        kind = {"images": "image", "signals": "signal", "vectors": "point"}[self.spec.kind]
        return f"{count:,} generated {kind}" + ("" if count == 1 else "s")

    def _describe_options(
        self, label: int | None, truncation: float | None, codes: Mapping[str, Code] | None
    ) -> str:
        text = "" if label is None else f", class {self.classes[label]}"
        text += "" if truncation is None else f", truncation {truncation:g}"
        return text + "".join(f", {name} {value}" for name, value in (codes or {}).items())

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
    ) -> tuple[Tensor, int | None]:
        if source is None:
            raise InputError("choose an image first")
        if self.classes:
            label = check_whole(label, "class", 0, len(self.classes) - 1)
        like = DataSpec(shape=self.model.inputs.source_shape)
        # Reading it as a dataset handles broken files of every kind.
        alone = place / "source"
        alone.mkdir()
        shutil.copyfile(source, alone / f"image{Path(source).suffix.lower()}")
        try:
            images = choose_data(str(alone), {}, like=like).build(DATASET).read()
        except InputError as error:
            reason = str(error).rpartition(": ")[2]  # without its path on this machine
            raise InputError(f"the image cannot be read: {reason}") from None
        inputs = self.model.inputs.from_images(images.batch(torch.arange(1)), label)
        return self.model.generate(inputs, stored=True), label

    def _load_search(self) -> NeighbourSearch:
        if self._search is None:
            self._search = NeighbourSearch(read_training_samples(self.model))
        return self._search

    @contextmanager
    def _answer_folder(self, listener: Listener | None) -> Iterator[Path]:
        """Make a new folder for the files of an answer, and report progress within the block."""
        # The page copies the files of an answer before the next request.
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
    if samples.labels is not None and names:
        about += f", class {names[int(samples.labels[one.index])]}"
    about += ", mirrored" if one.mirrored else ""
    shown = image.flip(-1) if one.mirrored else image
    return Tile(_small_png(shown, {}), about, f"{one.distance:.1f}")


def _small_png(image: Tensor, texts: dict[str, str]) -> bytes:
    if (longer := max(image.shape[1:])) > SIDE:
        height, width = (max(1, round(side * SIDE / longer)) for side in image.shape[1:])
        image = resize(image[None], (height, width))[0]
    return to_png(image, texts)


def read_codes(parts: Sequence[LatentPart], values: Sequence[Any]) -> dict[str, Any]:
    """Return the codes that are set, by name, from the values of their controls."""
    categories, numbers = split_by_kind(parts)
    count = len(categories)
    chosen = zip(categories, values[:count], strict=True)
    found = {part.name: value for part, value in chosen if value != DRAWN}
    if numbers and values[count]:
        found |= {
            part.name: value for part, value in zip(numbers, values[count + 1 :], strict=True)
        }
    return found


def split_by_kind(parts: Sequence[LatentPart]) -> tuple[list[LatentPart], list[LatentPart]]:
    """Return the categories, and the numbers."""
    categories = [part for part in parts if part.distribution == "category"]
    return categories, [part for part in parts if part.distribution != "category"]


def check_whole(value: Any, what: str, low: int, high: int) -> int:
    """Return a value as an integer.

    Raises:
        InputError: the value is not a whole number from ``low`` to ``high``.
    """
    fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not fits or value != value or not low <= value <= high or value != int(value):
        raise InputError(f"{what} must be a whole number from {low} to {high:,}")
    return int(value)


def _parse_seeds(text: object) -> list[int]:
    words = [word for word in re.split(r"[\s,;]+", text) if word] if isinstance(text, str) else []
    fit = all(word.isascii() and word.isdecimal() and len(word) < 17 for word in words)
    if not fit or not 2 <= len(words) <= MOST_SEEDS:
        raise InputError(f"give two to {MOST_SEEDS} seeds as whole numbers, such as 0, 1, 5")
    return [check_whole(int(word), "seed", 0, LARGEST_SEED) for word in words]
