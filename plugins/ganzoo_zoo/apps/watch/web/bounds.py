"""The bounds of what a pupil may train on the teacher's machine.

The server holds them whatever a page asks for, and the process that trains holds them too. Options
of the command and the page's words are made from one class.
"""

from __future__ import annotations

from dataclasses import Field, asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass

COUNTED_SIDE = 16
"""Side in pixels of images that have no size of their own when their networks are counted."""


def _bound(default: int, about: str) -> Any:
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True)
class Bounds:
    """What each pupil may have and what each of their runs may take."""

    runs: int = _bound(3, "Runs that each pupil keeps on the page.")
    steps: int = _bound(20_000, "Steps of a pupil's run.")
    seconds: int = _bound(300, "Seconds that a pupil's run trains.")
    parameters: int = _bound(2_000_000, "Parameters of both networks of a pupil's run.")
    memory: int = _bound(1_500, "MiB of memory of the process of a pupil's run.")
    samples: int = _bound(100_000, "Samples of data that are drawn for a pupil's run.")
    side: int = _bound(64, "Pixels along a side of an image of a pupil's run.")
    batch_size: int = _bound(512, "Samples in a batch of a pupil's run.")
    n_critic: int = _bound(20, "Updates of the discriminator in a step of a pupil's run.")

    def as_json(self) -> dict[str, int]:
        """Return the bounds by name."""
        return asdict(self)


def describe_bound(name: str) -> str:
    """Return the description of a bound, for the help of its option."""
    return str(_find_field(name).metadata["about"])


def default_bound(name: str) -> int:
    """Return the default of a bound."""
    return int(_find_field(name).default)  # type: ignore[arg-type]


def _find_field(name: str) -> Field[Any]:
    return next(each for each in fields(Bounds) if each.name == name)
