"""The protocol of a dataset, and the samples that it returns."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, TypeAlias

from pydantic import (
    BeforeValidator,
    Field,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from ganzoo.component import Component, Options
from ganzoo.errors import InputError, did_you_mean
from ganzoo.storage.cache import get_or_make_tensors

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from ganzoo.storage.mapped_array import MappedArray

MAX_NAMED = 10
"""Unreadable files to list by name."""
LARGEST_SIDE = 4096
"""Pixels."""
LARGEST_SAMPLE = 4 * LARGEST_SIDE**2
"""Numbers in one sample."""
MOST_CLASSES = 1_000_000
"""Classes in a dataset, at most."""
IMAGE_CHANNELS = (1, 3, 4)
"""Numbers of channels that an image may have: grey, RGB, RGBA."""
MIN_CACHED_BYTES = 1 << 24
"""Resized images are cached if the originals have at least this many bytes, 16 MiB."""
SMALLEST_SIDES = (4, 7)
"""Smallest and largest shorter side, in pixels, of an image after all halvings."""


class DataSpec(Options):
    """The kind of samples in a dataset: architectures build their networks for it.

    Images are ``(C, H, W)`` in ``[-1, 1]``; vectors are ``(D,)`` without a fixed range.
    """

    shape: tuple[PositiveInt, ...] = Field(description="(C, H, W) of an image or (D,) of a vector.")
    classes: PositiveInt | None = Field(
        default=None, le=MOST_CLASSES, description="Number of classes, if labelled."
    )
    class_names: tuple[str, ...] | None = Field(default=None, description="Names of the classes.")
    features: str | None = Field(
        default=None, max_length=200, description="Name of a feature extractor for these samples."
    )
    modes: tuple[tuple[float, ...], ...] | None = Field(
        default=None, description="Centres of the true modes of a toy dataset."
    )
    mode_std: float | None = Field(
        default=None, gt=0, description="Standard deviation of each mode."
    )
    source: tuple[PositiveInt, ...] | None = Field(
        default=None,
        description="Shape of what each sample is made from, if there is such a thing: (C, H, W) "
        "or (D,). Files omit None.",
    )

    @model_validator(mode="after")
    def _check(self) -> DataSpec:
        for word, shape in (("sample", self.shape), ("source", self.source or self.shape)):
            if len(shape) not in (1, 3):
                raise ValueError(f"a {word} is (C, H, W) or (D,), not {shape}")
            if (size := math.prod(shape)) > LARGEST_SAMPLE:
                raise ValueError(f"a {word} has at most {LARGEST_SAMPLE:,} numbers, not {size:,}")
        if self.is_image and self.image_channels not in IMAGE_CHANNELS:
            raise ValueError(f"an image has 1, 3 or 4 channels, not {self.image_channels}")
        if (self.modes is None) != (self.mode_std is None):
            raise ValueError("modes and mode_std go together")
        if any((len(mode),) != self.shape for mode in self.modes or ()):
            raise ValueError("a mode is as long as a sample")
        if self.class_names is not None and len(self.class_names) != self.classes:
            raise ValueError("there must be a name for each class, or none at all")
        return self

    @model_serializer(mode="wrap")
    def _omit_defaults(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Omit what few data have, so that the files of all others stay as they are."""
        tree = serialize(self)
        if self.source is None:
            tree.pop("source", None)
        return tree

    def class_index(self, name: str) -> int:
        """Return the number of a class, given by its name or by its number.

        Raises:
            ganzoo.errors.InputError: there is no such class.
        """
        names = self.class_names or ()
        if name in names:
            return names.index(name)
        if not self.classes:
            raise InputError("these samples have no classes, and --label names one")
        if name.isascii() and name.isdecimal() and len(name) < 10 and int(name) < self.classes:
            return int(name)
        hint = did_you_mean(name, names) or (f"; there are {', '.join(names)}" if names else "")
        raise InputError(f"no class is called '{name}'{hint}; they are 0 to {self.classes - 1}")

    def require_classes(self) -> int:
        """Return the number of classes, for networks that take labels.

        Raises:
            ganzoo.errors.InputError: the samples have no classes.
        """
        if self.classes is None:
            raise InputError(
                "arch.conditional=true needs the class of each sample, and these data have no "
                "classes; give data with classes, such as a folder with a folder for each, or set "
                "arch.conditional=false"
            )
        return self.classes

    @property
    def is_image(self) -> bool:
        """Whether samples are images rather than vectors."""
        return len(self.shape) == 3

    @property
    def size(self) -> int:
        """Number of values in one sample."""
        return math.prod(self.shape)

    def count_halvings(self) -> tuple[int, int, int]:
        """Count how often a convolutional network halves an image, until 4 to 7 pixels are left.

        Returns:
            The number of halvings, at least 1, and the height and width that are left, of which the
            shorter is 4 to 7: ``(3, 4, 4)`` for 32 x 32, and ``(2, 7, 7)`` for 28 x 28.

        Raises:
            ganzoo.errors.InputError: the samples are vectors, or their sides cannot be halved that
                often.
        """
        low, high = SMALLEST_SIDES
        if not self.is_image:
            raise InputError(f"images are needed, and these samples are vectors of {self.size}")
        height, width = self.shape[1:]
        halvings = 0
        while min(height, width) // 2 >= low and height % 2 == 0 and width % 2 == 0:
            height, width, halvings = height // 2, width // 2, halvings + 1
        if not halvings or not low <= min(height, width) <= high:
            raise InputError(
                f"an image is halved until its shorter side is {low} to {high} pixels, and "
                f"{self.shape[1]} x {self.shape[2]} stops at {height} x {width}; "
                "resize it with --image-size, to 32 or 64 for example"
            )
        return halvings, height, width

    @property
    def size_in_words(self) -> str:
        """A sample's shape as text, for messages: ``3 x 32 x 32``."""
        return " x ".join(str(side) for side in self.shape)

    @property
    def source_in_words(self) -> str:
        """The shape of a source as text, for messages: ``1 x 16 x 16``."""
        return " x ".join(str(side) for side in self.source or ())

    @property
    def image_channels(self) -> int:
        """Number of channels of an image, C."""
        return self.shape[0]

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of an image; None for vectors."""
        return (self.shape[1], self.shape[2]) if self.is_image else None


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of a dataset, as they are stored: uint8 images or float32 vectors.

    Raises:
        ganzoo.errors.InputError: the tensor does not fit the spec.
    """

    spec: DataSpec
    """Shape and classes of a sample."""
    stored: Tensor
    """Images, uint8 ``(N, C, H, W)``, or vectors, float32 ``(N, D)``."""
    labels: Tensor | None = None
    """Class of each sample ``(N,)``, of any integer type; :meth:`labels_of` returns int64."""
    skipped: tuple[str, ...] = ()
    """Files that could not be read, each with the reason."""
    names: Sequence[str] | None = None
    """Origin of each sample, such as its file's path in the dataset."""
    flip: bool = False
    """Whether training mirrors a random half of the images, left to right."""
    streamed: bool = False
    """Whether ``stored`` stays on the disk, mapped from a file."""
    content: str | None = None
    """The fingerprint, if it is known already."""
    mapped_array: MappedArray | None = None
    """The file that ``stored`` is mapped from, as a
    :class:`ganzoo.storage.mapped_array.MappedArray`."""
    notes: tuple[str, ...] = ()
    """What a person should know about how the samples were read, a line each: files that were left
    out by their names, for example."""
    split: str | None = None
    """Name of the part that was read, if the dataset chose it by what it found."""
    sources: Tensor | None = None
    """What each sample is made from, ``(N, *spec.source)``, stored as samples are: uint8 for
    images, float32 for vectors. Training mirrors them with their samples."""
    mapped_sources: MappedArray | None = None
    """The file that ``sources`` are mapped from, as a
    :class:`ganzoo.storage.mapped_array.MappedArray`."""
    chosen_options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the dataset, as JSON values, that reading chose because nobody gave them. A run
    keeps them in its configuration, so that whoever reads its data again gets the same samples."""

    def __post_init__(self) -> None:
        _require_stored("samples", self.stored, self.spec.shape)
        if self.sources is not None:
            if self.spec.source is None:
                raise InputError("samples with sources tell their shape: DataSpec(source=...)")
            _require_stored("sources", self.sources, self.spec.source)
            if len(self.sources) != len(self.stored):
                raise InputError(
                    f"each sample has a source, and there are {len(self.stored):,} samples and "
                    f"{len(self.sources):,} sources"
                )
        if self.flip and not self.spec.is_image:
            raise InputError("vectors have no left and right to flip")

    def __len__(self) -> int:
        return len(self.stored)

    def describe_skipped(self) -> list[str]:
        """Return what a person should know before using the samples, a line each.

        The files that could not be read come first: their count, then a line for each of ten. The
        dataset's ``notes`` follow.
        """
        return [*self._describe_unreadable(), *self.notes]

    def _describe_unreadable(self) -> list[str]:
        if not self.skipped:
            return []
        count = len(self.skipped)
        shown = [f"skipped {what}" for what in self.skipped[:MAX_NAMED]]
        more = [f"and {count - MAX_NAMED} more"] if count > MAX_NAMED else []
        return [f"{count} of {count + len(self)} images cannot be read", *shown, *more]

    def select(self, indices: Tensor) -> Tensor:
        """Return the samples at some indices ``(M,)``, as they are stored."""
        return (
            self.stored[indices] if self.mapped_array is None else self.mapped_array.read(indices)
        )

    def labels_of(self, indices: Tensor) -> Tensor | None:
        """Return the int64 labels of the samples at some indices ``(M,)``; None without labels."""
        return None if self.labels is None else self.labels[indices].long()

    def select_sources(self, indices: Tensor) -> Tensor | None:
        """Return the sources at some indices ``(M,)``, as stored; None without sources."""
        if self.mapped_sources is not None:
            return self.mapped_sources.read(indices.cpu())
        return None if self.sources is None else self.sources[indices.to(self.sources.device)]

    def batch(self, indices: Tensor) -> Tensor:
        """Return the samples at some indices ``(M,)`` as networks take them, float32.

        Images are scaled to ``[-1, 1]``.
        """
        return _to_network(self.select(indices))

    def sources_of(self, indices: Tensor) -> Tensor | None:
        """Return the sources at some indices ``(M,)`` as networks take them; None without."""
        found = self.select_sources(indices)
        return None if found is None else _to_network(found)

    def subset(self, indices: Tensor) -> Samples:
        """Return the samples at some indices ``(M,)``, copied into memory.

        Raises:
            ganzoo.errors.InputError: there is not enough memory.
        """
        from ganzoo.compute import memory

        size = self.spec.size * self.stored.element_size()
        if self.sources is not None:
            size += math.prod(self.sources.shape[1:]) * self.sources.element_size()
        memory.require(len(indices) * size, f"{len(indices):,} samples")
        labels = self.labels_of(indices)
        names = None if self.names is None else tuple(self.names[i] for i in indices.tolist())
        return Samples(
            self.spec,
            self.select(indices),
            labels,
            names=names,
            flip=self.flip,
            split=self.split,
            sources=self.select_sources(indices),
        )

    def to(self, device: torch.device | str, *, with_sources: bool = True) -> Samples:
        """Return the same samples with their tensors on a device.

        Args:
            device: The device.
            with_sources: Whether the sources move too, if there are any.
        """
        stored = self.stored.to(device)
        labels = None if self.labels is None else self.labels.to(device)
        rows = self.mapped_array if stored.device.type == "cpu" else None
        sources = self.sources
        if sources is not None and with_sources:
            sources = sources.to(device)
        moved = sources is not None and sources.device.type != "cpu"
        return replace(
            self,
            stored=stored,
            labels=labels,
            mapped_array=rows,
            sources=sources,
            mapped_sources=None if moved else self.mapped_sources,
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the shape and of every sample in order, with its source, hexadecimal."""
        if self.content:
            return self.content
        found = fingerprint(self.mapped_array or self.stored)
        if self.sources is None:
            return found
        sources = fingerprint(self.mapped_sources or self.sources)
        return hashlib.sha256(f"{found} from {sources}".encode()).hexdigest()


def _require_stored(word: str, stored: Any, shape: tuple[int, ...]) -> None:
    import torch

    if not isinstance(stored, torch.Tensor):
        kind = type(stored).__name__
        raise InputError(f"{word} are stored as a tensor, not as an object of type {kind}")
    wanted = torch.uint8 if len(shape) == 3 else torch.float32
    if stored.dtype != wanted or tuple(stored.shape[1:]) != shape:
        raise InputError(
            f"{word} of {shape} are stored as (N, *{shape}) {wanted}, "
            f"not {tuple(stored.shape)} {stored.dtype}"
        )


def _to_network(stored: Tensor) -> Tensor:
    from ganzoo.media.images import to_float

    return to_float(stored) if stored.dim() == 4 else stored


def fingerprint(stored: Tensor | MappedArray) -> str:
    """Return the SHA-256 of stored samples, their shape and every one in order, hexadecimal."""
    from ganzoo.storage.mapped_array import MappedArray

    whole = stored.tensor if isinstance(stored, MappedArray) else stored.detach().cpu().contiguous()
    digest = hashlib.sha256(repr((tuple(whole.shape), str(whole.dtype))).encode())
    if isinstance(stored, MappedArray):  # read in blocks: touched pages of a map count as memory
        for block in stored.blocks():
            digest.update(block)
    else:
        digest.update(whole.numpy().data.cast("B"))
    return digest.hexdigest()


Data: TypeAlias = "Samples | Tensor | NDArray[Any] | Sequence[Any] | SupportsItems"
"""What a program may give as data: see :func:`ganzoo.train`."""


class SupportsItems(Protocol):
    """A dataset with a length, as those of torch and of Hugging Face are."""

    def __getitem__(self, index: int, /) -> Any:
        """Return an item."""

    def __len__(self) -> int:
        """Return the number of items."""


class Dataset(Component, ABC):
    """Base of datasets.

    A dataset with several parts, such as training and test data, has an option ``split`` with the
    name of the part to read.
    """

    holds_images: ClassVar[bool] = False
    """Whether the samples are images, and not vectors; recipes may depend on it."""
    is_default: ClassVar[bool] = False
    """Whether to train on these data if neither the user nor the architecture names any.

    They must come with their package, and need no options. Those of the architecture's own package
    go before others.
    """
    is_given: ClassVar[bool] = False
    """Whether the samples are only what a program gives, by :meth:`hold`, so that no command line
    can name them."""
    licence: ClassVar[str | None] = None
    """Licence of the data: the Hub's identifier, such as ``cc-by-4.0``; ``other`` for terms of
    their authors' own, and ``unknown`` if the authors state none. None if the class cannot know it,
    such as that of a folder of your own."""
    homepage: ClassVar[str | None] = None
    """Address of the page of the data, which says where they are from and their terms."""
    hub_id: ClassVar[str | None] = None
    """Id of the same data on the Hub, such as ``ylecun/mnist``, for the metadata of model cards.

    This and the two before it may be properties, if the options decide."""

    @classmethod
    def hold(cls, given: object, options: Mapping[str, Any]) -> Dataset | None:
        """Hold data that a program has at hand, such as a tensor; by default None: it cannot.

        :func:`ganzoo.train` asks each installed dataset, in the order of their names.

        Args:
            given: What the program gives as ``data``. Never a path or a name.
            options: Options that are given beside it, and those of the run's data if a run is
                resumed. Ignore those that the dataset does not have.

        Returns:
            A dataset that reads it, or None. Set only the options that tell what it was, such as a
            fingerprint: they are all that the files of a run know of it. In a process that was
            not given the same, :meth:`read` must raise an InputError that asks for it.

        Raises:
            ganzoo.errors.InputError: it is of a kind that this dataset takes, and of a wrong form.
        """
        return None

    @classmethod
    def parse_address(cls, text: str) -> dict[str, Any] | None:
        """Return the options that ``--data NAME:TEXT`` gives, or None if it cannot be written so.

        By default the text is the option ``path``, if there is one.

        Args:
            text: What follows the dataset's name and the colon.
        """
        return {"path": text} if "path" in cls.model_fields else None

    @abstractmethod
    def read(self) -> Samples:
        """Read all samples, the same ones in the same order each time.

        Raises:
            ganzoo.errors.GanzooError: the samples cannot be found, downloaded or read.
        """

    def needs_download(self) -> bool | None:
        """Tell whether :meth:`read` would download something; by default None, for unknown.

        ganzoo asks before it reads data that nobody has named, such as those that a model was
        trained on. It refuses a download then; for models that are not of your own run it also
        refuses what is unknown. So return False if the samples come with your package or from
        files on this machine.
        """
        return None

    @property
    def split_name(self) -> str:
        """Name of the part that is read, for score rows: the option ``split``, or ``all``.

        :attr:`Samples.split` is more exact, if there is one.
        """
        return getattr(self, "split", None) or "all"


def _parse_size(value: Any) -> Any:
    if isinstance(value, str):
        value = value.lower().split("x")
    if isinstance(value, int):
        value = (value,)
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = (value[0], value[0])
    return value


Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
ImageSize = Annotated[tuple[Side, Side], BeforeValidator(_parse_size)]
"""Type of an option for a size: height and width, given as ``32``, ``"64x48"`` or a pair."""


class ImageDataset(Dataset):
    """Base of image datasets, with an option to resize the images."""

    holds_images = True

    image_size: ImageSize | None = Field(
        default=None,
        description="Resize to N x N, or to HEIGHTxWIDTH; the data's own size if not given.",
    )

    def resize(self, stored: Tensor) -> Tensor:
        """Resize uint8 images ``(N, C, H, W)`` to the option ``image_size``, with antialiasing.

        Large results are cached by the content of ``stored``.
        """
        size = self.image_size
        if size is None or tuple(stored.shape[-2:]) == size:
            return stored
        import torch

        from ganzoo.media.images import resize

        if stored.nbytes < MIN_CACHED_BYTES:
            return resize(stored, size)
        key = {"resized": fingerprint(stored), "size": list(size), "torch": torch.__version__}
        cached = get_or_make_tensors("images", key, lambda: {"images": resize(stored, size)})
        return cached["images"]
