"""A walk through samples, from those of one seed to those of the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ganzoo.arguments import require_int
from ganzoo.errors import InputError
from ganzoo.protocols.architecture import GeneratorInput

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.protocols.architecture import Architecture


def require_stops(seeds: Sequence[int]) -> list[int]:
    """Return the seeds of a walk as a list.

    Raises:
        InputError: there are fewer than two.
    """
    stops = list(seeds) if isinstance(seeds, Iterable) else []
    if len(stops) < 2:
        raise InputError("a walk needs two seeds or more, such as 0,1")
    return stops


class Walk:
    """Generator inputs for the frames of a walk, in order.

    The frame at a seed has the latents that are drawn from that seed. Between two seeds, the
    architecture interpolates at an even pace.

    Args:
        architecture: Interpolates between latents.
        latents: Draws the latents ``(N, D)`` of a seed, given by its place in the walk.
        labels: Classes of the samples ``(N,)``, the same in each frame.
        count: Number of seeds, 2 or more.
        frames: Number of frames from one seed up to the next.
        loop: Whether to return to the first seed, without repeating its frame.

    Raises:
        InputError: there are no frames, or the architecture cannot interpolate its latents.
    """

    def __init__(
        self,
        architecture: Architecture,
        latents: Callable[[int], Tensor],
        labels: Tensor | None,
        count: int,
        frames: int,
        loop: bool,
    ) -> None:
        self._architecture = architecture
        self._latents = latents
        self._labels = labels
        self._stops = [*range(count), 0] if loop else list(range(count))
        self._frames = require_int("the number of frames", frames, 1)
        self._loop = loop
        # Fails here, before the first frame, if the architecture cannot interpolate.
        architecture.interpolate(latents(0), latents(1), 0.5)

    def __len__(self) -> int:
        return (len(self._stops) - 1) * self._frames + (not self._loop)

    def __iter__(self) -> Iterator[GeneratorInput]:
        end = self._latents(self._stops[0])
        for stop in self._stops[1:]:
            start, end = end, self._latents(stop)
            yield GeneratorInput(start, self._labels)
            for frame in range(1, self._frames):
                between = self._architecture.interpolate(start, end, frame / self._frames)
                yield GeneratorInput(between, self._labels)
        if not self._loop:
            yield GeneratorInput(end, self._labels)
