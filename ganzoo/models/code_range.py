"""The values that a part of the latents takes in turn, for a walk or a picture along it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganzoo.errors import InputError
from ganzoo.protocols.latent_parts import find_part

if TYPE_CHECKING:
    from ganzoo.protocols.latent_parts import LatentPart

USUAL_ENDS = {"normal": (-2.0, 2.0), "uniform": (-1.0, 1.0)}
"""From where to where numbers of a distribution go if nothing else is said."""


@dataclass(frozen=True)
class CodeRange:
    """A part of the latents, and from where to where its values go."""

    name: str
    ends: tuple[float, float] | None = None
    """The first value and the last; None for all categories, or the usual ends of numbers."""

    @classmethod
    def parse(cls, option: str, text: str) -> CodeRange:
        """Parse ``NAME`` or ``NAME=FROM..TO``.

        Args:
            option: The option that the text was given for, for messages.
            text: The text.

        Raises:
            InputError: it is neither.
        """
        name, equals, given = text.partition("=")
        try:
            first, last = map(float, given.split("..")) if equals else (0.0, 0.0)
        except ValueError:
            first = last = math.nan
        if not (math.isfinite(first) and math.isfinite(last) and name.strip()):
            raise InputError(
                f"{option} {text}: give the name of a code, such as tilt or tilt=-2..2"
            )
        return cls(name.strip(), (first, last) if equals else None)

    def __str__(self) -> str:
        """Return it as it is given: ``NAME``, or ``NAME=FROM..TO``."""
        return self.name if self.ends is None else f"{self.name}={self.describe_ends()}"

    def describe_ends(self) -> str:
        """Return the values in words: ``FROM..TO``, or ``all``."""
        return "all" if self.ends is None else f"{self.ends[0]:g}..{self.ends[1]:g}"

    def is_category(self, parts: Sequence[LatentPart]) -> bool:
        """Tell whether the part is a category.

        Raises:
            InputError: there is no such part.
        """
        return find_part(parts, self.name).distribution == "category"

    def values(self, parts: Sequence[LatentPart], count: int) -> list[float]:
        """Return the values in turn: each category, or so many numbers at an even pace.

        Args:
            parts: The parts of a latent.
            count: How many numbers, from 2 on.

        Raises:
            InputError: there is no such part, or it has no such categories.
        """
        part = find_part(parts, self.name)
        if part.distribution == "category":
            first, last = self.ends or (0, part.size - 1)
            found = list(range(int(first), int(last) + 1))
            if first % 1 or last % 1 or not found or first < 0 or last >= part.size:
                raise InputError(
                    f"code '{part.name}' has categories 0 to {part.size - 1}, "
                    f"not {self.describe_ends()}"
                )
            return [float(each) for each in found]
        first, last = self.ends or USUAL_ENDS[part.distribution]
        return [first + (last - first) * step / (count - 1) for step in range(count)]
