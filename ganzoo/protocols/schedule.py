"""Schedules: numbers that go from one value to another while a run trains."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from ganzoo.component import Options
from ganzoo.errors import InputError, excerpt
from ganzoo.protocols.progress import Progress

if TYPE_CHECKING:
    from ganzoo.protocols.recipe import RecipeOptions

Value: TypeAlias = float | tuple[float, ...]
"""A number, or a few that change together, such as Adam's betas."""
Curve: TypeAlias = Literal["linear", "cosine", "half-life"]
Measure: TypeAlias = Literal["run", "images", "steps"]

N_CRITIC = "train.n_critic"
FORMS = (
    "linear(FROM, TO)",
    "cosine(FROM, TO)",
    "piecewise(AT: VALUE, AT: VALUE, ...)",
    "half-life(FROM, LENGTH)",
    "constant(VALUE)",
)
"""How a schedule is written."""
COUNTS = (
    "changes in jumps from one whole number to another, at steps or shares of the run: write "
    "'piecewise(0: 100, 25 steps: 100, 25 steps: 5)'"
)
"""What a schedule of whole numbers must do, for messages."""
_CALL = re.compile(r"\s*(constant|linear|cosine|piecewise|half-life)\s*\((.*)\)\s*", re.DOTALL)
_COMMA = re.compile(r",(?![^\[(]*[\])])")
_PLACE = re.compile(r"([0-9.eE+]+)\s*([kKM]?)\s*(%|images|steps)?")
_UNITS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6}


class Schedule(Options):
    """A number, or several, that change over a run, over its steps or over the images seen.

    Between two points the value follows the curve; before the first one and after the last one it
    stays as there. Only a half-life goes on after its last point.
    """

    curve: Curve = Field(default="linear", description="The way from one point to the next.")
    over: Measure = Field(
        default="run",
        description="What places are: shares of the run, from 0 to 1, images seen, or steps done.",
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
            raise ValueError(
                "a share of the run is from 0 to 1; write images, as in '20M images', or steps, as "
                "in '800 steps'"
            )
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

    @property
    def is_in_jumps(self) -> bool:
        """Whether the value is constant from one jump to the next."""
        return self.curve != "half-life" and all(
            start[0] == end[0] or start[1] == end[1] for start, end in pairwise(self.points)
        )

    @property
    def counts(self) -> bool:
        """Whether it is of whole numbers in jumps, at steps that are known before the run."""
        whole = all(isinstance(each, float) and each.is_integer() for each in self.values)
        return whole and self.is_in_jumps and self.over != "images"

    def segments(self, steps: int) -> Sequence[tuple[int, Value]]:
        """Return the first step of each value, and the value, in order; the first is step 0.

        Args:
            steps: The steps of the run.

        Raises:
            ValueError: it does not change in jumps alone, or its places are images.
        """
        return _find_segments(self, steps)

    @classmethod
    def of_segments(cls, segments: Sequence[tuple[int, Value]]) -> Schedule:
        """Return the schedule with such :meth:`segments`, in steps."""
        points = [(0.0, segments[0][1])]
        for (_, before), (at, after) in pairwise(segments):
            points += [(float(at), before), (float(at), after)]
        return cls(over="steps", points=tuple(points))

    def at(self, progress: Progress) -> Value:
        """Return the value at some point of a training."""
        place = self._place(progress)
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

    def _place(self, progress: Progress) -> float:
        if self.over == "run":
            return progress.share
        return float(progress.images if self.over == "images" else progress.step)

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
        return f"{place:.10g}{'' if self.over == 'run' else f' {self.over}'}"

    @staticmethod
    def is_written(text: Any) -> bool:
        """Tell whether a value of an option is written as a schedule."""
        return isinstance(text, str) and _CALL.fullmatch(text) is not None

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Read a schedule, such as ``cosine(2e-4, 5e-5, to=20M images)``.

        The forms are those of :data:`FORMS`. A place is a share of the run, as ``0.5`` or ``50%``,
        a number of images, as ``200k images``, or of steps, as ``800 steps``. ``from`` and ``to``
        say where the first value ends and the last one begins: by default, at both ends of the run.
        A value is a number, or several in brackets.

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
                f"{' or '.join(FORMS)}, with places as 0.5, 50%, '200k images' or '800 steps'"
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
            begin = _parse_place(named["from"]) if "from" in named else (0.0, "run")
            half = tuple(x / 2 for x in value) if isinstance(value, tuple) else value / 2
            return cls(
                curve="half-life",
                over=_find_measure([span, begin]),
                points=((begin[0], value), (begin[0] + span[0], half)),
            )
        start_value, end_value = plain
        places = [_parse_place(named[word]) for word in ("from", "to") if word in named]
        over = _find_measure(places)
        if over != "run" and "to" not in named:
            raise ValueError("images and steps need an end")
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


def _parse_place(text: str) -> tuple[float, Measure]:
    """Return a place, and what it is measured in."""
    match = _PLACE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not a place: {text}")
    number, unit, of = match.groups()
    measure: Measure = "run"
    if of in ("images", "steps"):
        measure = "images" if of == "images" else "steps"
    if unit and measure == "run":
        raise ValueError(f"of what: {text}")
    return float(number) * _UNITS[unit] / (100 if of == "%" else 1), measure


def _find_measure(places: list[tuple[float, Measure]]) -> Measure:
    """Return what places are measured in; a place of 0 is the start of all."""
    kinds = {measure for at, measure in places if at}
    if len(kinds) > 1:
        raise ValueError("places of several measures in one schedule")
    return kinds.pop() if kinds else "run"


@lru_cache
def _find_segments(schedule: Schedule, steps: int) -> tuple[tuple[int, Value], ...]:
    if not schedule.is_in_jumps or schedule.over == "images":
        raise ValueError("it does not change in jumps at steps alone")
    firsts = {0}
    for place, _ in schedule.points:
        first = math.ceil(place * (steps if schedule.over == "run" else 1))
        # A share of the run may fall between two steps by rounding alone.
        firsts.update(step for step in (first - 1, first, first + 1) if step > 0)
    found: list[tuple[int, Value]] = []
    for first in sorted(firsts):
        value = schedule.at(Progress(step=first, steps=steps))
        if not found or found[-1][1] != value:
            found.append((first, value))
    return tuple(found)


def _format(value: Value) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_format, value))}]"
    short = f"{value:.10g}"
    return short if float(short) == value else repr(value)


def progress_at(
    options: RecipeOptions, schedules: Mapping[str, Schedule], step: int, update: int = 0
) -> Progress:
    """Return the progress of a run before a step, or before one of its critic updates.

    Args:
        options: The run's training options.
        schedules: Those of its options that change, by full name.
        step: Finished generator updates.
        update: Finished discriminator updates of this step.
    """
    schedule = schedules.get(N_CRITIC)
    if schedule is None:
        return Progress.at(options, step, update)
    before, end = 0, step
    for begin, value in reversed(schedule.segments(options.steps)):
        if begin < end:
            assert isinstance(value, float), "one whole number"
            before, end = before + (end - begin) * int(value), begin
    return Progress.at(options, step, update, before)
