"""Data that a Python program has at hand, in place of files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import Field

from ganzoo import Dataset, ImageDataset, Samples
from ganzoo.errors import InputError
from ganzoo_zoo.data.options import FLIP

if TYPE_CHECKING:
    from collections.abc import Mapping

_HELD: dict[str, Samples] = {}
"""What this process was given, by fingerprint."""
Held = TypeVar("Held", bound="_Given")
ABOUT = ("fingerprint", "what", "count")
"""Options that say what the data were, which nobody gives."""


class _Given(Dataset):
    """Base of data at hand. Files know them by their fingerprint alone."""

    fingerprint: str = Field(
        default="",
        description="SHA-256 of the samples and their labels, which ganzoo.train writes.",
    )
    what: str = Field(default="", description="The type that the data were given as.")
    count: int = Field(default=0, ge=0, description="Number of samples.")

    def needs_download(self) -> bool:
        """Return False: they are given, or not here."""
        return False

    @classmethod
    def hold(cls: type[Held], given: object, options: Mapping[str, Any]) -> Held | None:
        """Hold data that a program gives; see :meth:`ganzoo.Dataset.hold`."""
        from ganzoo_zoo.data import given_objects

        if not given_objects.can_read(given):
            return None
        samples = given_objects.read(given, options.get("value_range"))
        if samples.spec.kind != cls.holds:
            return None
        known = given_objects.identify(samples)
        _HELD[known] = samples
        about = (known, given_objects.describe(given), len(samples))
        return cls(**dict(zip(ABOUT, about, strict=True)))

    def _recall(self) -> Samples:
        if self.fingerprint not in _HELD:
            known = f"{self.count:,} samples given as {self.what}" if self.count else "samples"
            raise InputError(
                f"the data were in the memory of a program: {known}, with the fingerprint "
                f"{self.fingerprint[:12] or 'unknown'}; give them again, as data=..."
            )
        return _HELD[self.fingerprint]


class GivenImages(_Given, ImageDataset):
    """Images that a Python program gives: a tensor, an array or a dataset."""

    holds = "images"
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
        from dataclasses import replace

        held = self._recall()
        stored = self.resize(held.stored)
        spec = held.spec.model_copy(update={"shape": tuple(stored.shape[1:])})
        return replace(held, spec=spec, stored=stored, flip=self.flip, content=None)


class GivenSignals(_Given):
    """Signals that a Python program gives: a tensor, an array or a dataset.

    Unless they lie in [-1, 1], each channel is shifted and scaled to it, which a model knows.
    """

    holds = "signals"

    def read(self) -> Samples:
        """Return the signals.

        Raises:
            ganzoo.errors.InputError: they were given to another process.
        """
        return self._recall()


class GivenVectors(_Given):
    """Vectors that a Python program gives: a tensor, an array or a dataset."""

    def read(self) -> Samples:
        """Return the vectors.

        Raises:
            ganzoo.errors.InputError: they were given to another process.
        """
        return self._recall()
