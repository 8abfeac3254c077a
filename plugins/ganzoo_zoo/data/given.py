"""Data that a Python program has at hand, in place of files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import Field

from ganzoo import Dataset, ImageDataset, Samples
from ganzoo.component import parse_options
from ganzoo.errors import InputError
from ganzoo_zoo.data.options import FLIP

if TYPE_CHECKING:
    from collections.abc import Mapping

_HELD: dict[str, Samples] = {}
"""What this process was given, by fingerprint."""
Held = TypeVar("Held", bound="_Given")


class _Given(Dataset):
    """Base of data at hand. Files know them by their fingerprint alone."""

    is_given = True

    fingerprint: str = Field(
        default="",
        description="SHA-256 of the samples and their labels, which ganzoo.train writes.",
    )
    what: str = Field(default="", description="The type that the data were given as.")
    count: int = Field(default=0, ge=0, description="Number of samples.")
    shape: tuple[int, ...] = Field(default=(), description="Shape of a sample as it was given.")

    def needs_download(self) -> bool:
        """Return False: they are given, or not here."""
        return False

    @classmethod
    def hold(cls: type[Held], given: object, options: Mapping[str, Any]) -> Held | None:
        """Hold data that a program gives; see :meth:`ganzoo.Dataset.hold`.

        Raises:
            ganzoo.errors.InputError: they have a wrong form, or are not those of ``fingerprint``.
        """
        from ganzoo_zoo.data import given_objects

        if not given_objects.can_read(given):
            return None
        if given_objects.are_images(given) is not cls.holds_images:
            return None
        own = {name: options[name] for name in cls.model_fields if name in options}
        wanted = parse_options(cls, own, "data.")
        samples = given_objects.read(
            given, getattr(wanted, "value_range", None), getattr(wanted, "image_size", None)
        )
        known = given_objects.identify(samples)
        found: dict[str, Any] = {
            "fingerprint": known,
            "what": given_objects.describe(given),
            "count": len(samples),
            "shape": samples.spec.shape,
        }
        if samples.flip and "flip" not in options:
            found["flip"] = True
        if wanted.fingerprint == known:  # as another type, they are still the same
            found["what"] = wanted.what
        elif wanted.fingerprint:
            raise InputError(
                f"these are other data: {cls(**found).describe()}, and the run's are "
                f"{wanted.describe()}"
            )
        _HELD[known] = samples
        return cls(**found)

    def describe(self) -> str:
        """Return in a few words what the data were."""
        shape = " x ".join(map(str, self.shape))
        return (
            f"{self.count:,} samples of {shape}, given as {self.what}, with the fingerprint "
            f"{self.fingerprint[:12]}"
        )

    def recall(self) -> Samples:
        """Return what this process was given.

        Raises:
            ganzoo.errors.InputError: it was given to another process, or has changed.
        """
        from ganzoo_zoo.data import given_objects

        if not self.fingerprint:
            raise InputError(
                "this dataset is what a Python program gives, as ganzoo.train(data=...); name "
                "another one here, or a path"
            )
        if self.fingerprint not in _HELD:
            raise InputError(
                "the data were in the memory of a Python program, and are in no file: "
                f"{self.describe()}; give the same again from Python, as data=..."
            )
        held = replace(_HELD[self.fingerprint])  # which forgets the fingerprint
        if given_objects.identify(held) != self.fingerprint:
            del _HELD[self.fingerprint]
            raise InputError(
                "the data have been changed in place since they were given: give them again, as "
                "data=..."
            )
        return held


class GivenImages(_Given, ImageDataset):
    """Images that a Python program gives: a tensor, an array or a dataset.

    With ``image_size`` each image is cropped around its centre to that shape and resized.
    """

    holds_images: ClassVar[bool] = True
    flip: bool = Field(default=False, description=FLIP)
    value_range: tuple[float, float] | None = Field(
        default=None,
        description="The numbers that are black and white, if images are given as floats.",
    )

    def read(self) -> Samples:
        """Return the images, resized.

        Raises:
            ganzoo.errors.InputError: they were given to another process.
        """
        from ganzoo_zoo.data.given_objects import crop_all

        held = replace(self.recall(), flip=self.flip)
        size = self.image_size
        if size is None or held.spec.image_size == size:
            return held
        if held.sources is not None:
            raise InputError("samples with sources stay as they are given: drop image_size")
        stored = self.resize(crop_all(held.stored, size))
        spec = held.spec.model_copy(update={"shape": tuple(stored.shape[1:])})
        return replace(
            held, spec=spec, stored=stored, content=None, mapped_array=None, streamed=False
        )


class GivenVectors(_Given):
    """Vectors that a Python program gives: a tensor, an array or a dataset."""

    def read(self) -> Samples:
        """Return the vectors.

        Raises:
            ganzoo.errors.InputError: they were given to another process.
        """
        return self.recall()
