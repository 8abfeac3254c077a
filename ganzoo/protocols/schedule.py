"""Schedules: numbers that go from one value to another while a run trains."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from ganzoo.component import Options
from ganzoo.errors import InputError, excerpt

if TYPE_CHECKING:
    from ganzoo.protocols.progress import Progress

Value: TypeAlias = float | tuple[float, ...]
"""A number, or a few that change together, such as Adam's betas."""
Curve: TypeAlias = Literal["linear", "cosine", "half-life"]

FORMS = (
    "linear(FROM, TO)",
    "cosine(FROM, TO)",
    "piecewise(AT: VALUE, AT: VALUE, ...)",
    "half-life(FROM, LENGTH)",
    "constant(VALUE)",
)
"""How a schedule is written."""
_CALL = re.compile(r"\s*(constant|linear|cosine|piecewise|half-life)\s*\((.*)\)\s*", re.DOTALL)
_COMMA = re.compile(r",(?![^\[(]*[\])])")
_PLACE = re.compile(r"([0-9.eE+]+)\s*([kKM]?)\s*(%|images)?")
_UNITS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6}


class Schedule(Options):
    """A number, or several, that change over a run or over the images seen.

    Between two points the value follows the curve; before the first one and after the last one it
    stays as there. Only a half-life goes on after its last point.
    """

    curve: Curve = Field(default="linear", description="The way from one point to the next.")
    over: Literal["run", "images"] = Field(
        default="run",
        description="What places are: shares of the run, from 0 to 1, or images seen.",
    )
    points: tuple[tuple[Annotated[float, Field(ge=0)], Value], ...] = Field(
        min_length=1, description="Places and the values there, in order."
    )

    @model_validator(mode="after")
    def _check(self) -> Schedule:
        places, values = [at for at, _ in self.points], self.values
        if places != sorted(places):
            raise ValueError("the places of a schedule must be in order")
        if self.over == "run" and places[-1] > 1 and self.curve != "half-life":
            raise ValueError("a share of the run is from 0 to 1; write images, as in '20M images'")
        if len({len(_numbers(value)) for value in values}) > 1:
            raise ValueError("all values of a schedule must hold equally many numbers")
        if self.curve == "half-life" and len(self.points) != 2:
            raise ValueError("a half-life has two points: where it begins, and a half-life later")
        if self.curve == "half-life" and any(x <= 0 for value in values for x in _numbers(value)):
            raise ValueError("a value with a half-life must be above 0")
        return self

    @property
    def values(self) -> tuple[Value, ...]:
        """The values at its points."""
        return tuple(value for _, value in self.points)

    def at(self, progress: Progress) -> Value:
        """Return the value at some point of a training."""
        place = progress.share if self.over == "run" else float(progress.images)
        points = self.points
        if place <= points[0][0] or len(points) == 1:
            return points[0][1]
        before, after = points[-2:] if self.curve == "half-life" else points[-1:] * 2
        for start, end in pairwise(points):
            if place < end[0]:
                before, after = start, end
                break
        if before == after:
            return after[1]
        done = (place - before[0]) / (after[0] - before[0])
        found = tuple(
            self._between(one, other, done)
            for one, other in zip(_numbers(before[1]), _numbers(after[1]), strict=True)
        )
        return found if isinstance(before[1], tuple) else found[0]

    def _between(self, start: float, end: float, done: float) -> float:
        if self.curve == "half-life":
            return start * (end / start) ** done
        if self.curve == "cosine":
            done = (1 - math.cos(math.pi * done)) / 2
        return start + (end - start) * done

    def __str__(self) -> str:
        """Write the schedule as :meth:`parse` reads it."""
        (first, value), (last, end) = self.points[0], self.points[-1]
        if len(self.points) == 1:
            return f"constant({_format(value)})"
        if self.curve == "half-life":
            length = self._format_place(last - first)
            return f"half-life({_format(value)}, {length}{self._format_range(first or None, None)})"
        if len(self.points) > 2:
            points = [f"{self._format_place(at)}: {_format(each)}" for at, each in self.points]
            way = "" if self.curve == "linear" else f", curve={self.curve}"
            return f"piecewise({', '.join(points)}{way})"
        ends = self._format_range(first or None, None if (self.over, last) == ("run", 1) else last)
        return f"{self.curve}({_format(value)}, {_format(end)}{ends})"

    def _format_range(self, start: float | None, end: float | None) -> str:
        given = {"from": start, "to": end}
        return "".join(
            f", {name}={self._format_place(at)}" for name, at in given.items() if at is not None
        )

    def _format_place(self, place: float) -> str:
        return f"{place:.10g}{' images' if self.over == 'images' else ''}"

    @staticmethod
    def is_written(text: Any) -> bool:
        """Tell whether a value of an option is written as a schedule."""
        return isinstance(text, str) and _CALL.fullmatch(text) is not None

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Read a schedule, such as ``cosine(2e-4, 5e-5, to=20M images)``.

        The forms are those of :data:`FORMS`. A place is a share of the run, as ``0.5`` or ``50%``,
        or a number of images, as ``200k images``. ``from`` and ``to`` say where the first value
        ends and the last one begins: by default, at both ends of the run. A value is a number, or
        several in brackets.

        Raises:
            InputError: it is not written so.
        """
        match = _CALL.fullmatch(text)
        if match is None:
            raise InputError(f"{excerpt(text)} is no schedule; write {' or '.join(FORMS)}")
        name, inside = match.groups()
        parts = [part.strip() for part in _COMMA.split(inside)]
        named = dict(
            (key.strip(), value.strip())
            for key, sign, value in (part.partition("=") for part in parts)
            if sign
        )
        plain = [part for part in parts if "=" not in part]
        try:
            return cls._build(name, plain, named)
        except (ValueError, LookupError, InputError) as error:
            if isinstance(error, InputError):  # of the options of this class
                why = error.message.partition(": ")[2]
                raise InputError(f"{excerpt(text)} is no schedule: {why}") from None
            raise InputError(
                f"{excerpt(text)} is not a schedule as ganzoo reads it; write "
                f"{' or '.join(FORMS)}, with places as 0.5, 50% or '200k images'"
            ) from None

    @classmethod
    def _build(cls, name: str, plain: list[str], named: Mapping[str, str]) -> Schedule:
        unknown = set(named) - ({"curve"} if name == "piecewise" else {"from", "to"})
        if unknown:
            raise ValueError(f"unknown: {min(unknown)}")
        if name == "constant":
            (only,) = plain
            return cls(points=((0.0, _parse_value(only)),))
        if name == "piecewise":
            pairs = [part.split(":") for part in plain]
            places = [_parse_place(at) for at, _ in pairs]
            points = [
                (at, _parse_value(each)) for (at, _), (_, each) in zip(places, pairs, strict=True)
            ]
            curve: Any = named.get("curve", "linear")
            return cls(curve=curve, over=_find_measure(places), points=tuple(points))
        if name == "half-life":
            first_value, length = plain
            value, span = _parse_value(first_value), _parse_place(length)
            begin = _parse_place(named["from"]) if "from" in named else (0.0, span[1])
            half = tuple(x / 2 for x in value) if isinstance(value, tuple) else value / 2
            return cls(
                curve="half-life",
                over=_find_measure([span, begin]),
                points=((begin[0], value), (begin[0] + span[0], half)),
            )
        start_value, end_value = plain
        places = [_parse_place(named[word]) for word in ("from", "to") if word in named]
        over = _find_measure(places)
        if over == "images" and "to" not in named:
            raise ValueError("images need an end")
        first = _parse_place(named["from"])[0] if "from" in named else 0.0
        last = _parse_place(named["to"])[0] if "to" in named else 1.0
        shape: Any = name
        return cls(
            curve=shape,
            over=over,
            points=((first, _parse_value(start_value)), (last, _parse_value(end_value))),
        )


def _numbers(value: Value) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


def _parse_value(text: str) -> Value:
    text = text.strip()
    if text[:1] in ("[", "("):
        return tuple(float(part) for part in text[1:-1].split(","))
    return float(text)


def _parse_place(text: str) -> tuple[float, bool]:
    """Return a place, and whether it is a number of images."""
    match = _PLACE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not a place: {text}")
    number, unit, of = match.groups()
    if unit and of != "images":
        raise ValueError(f"of what: {text}")
    return float(number) * _UNITS[unit] / (100 if of == "%" else 1), of == "images"


def _find_measure(places: list[tuple[float, bool]]) -> Literal["run", "images"]:
    """Return what places are measured in; a place of 0 is the start of both."""
    kinds = {is_images for at, is_images in places if at}
    if len(kinds) > 1:
        raise ValueError("shares of the run and images in one schedule")
    return "images" if True in kinds else "run"


def _format(value: Value) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(f'{number:.10g}' for number in value)}]"
    return f"{value:.10g}"
