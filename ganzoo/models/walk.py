"""A walk through samples: from those of one seed to those of the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ganzoo.errors import InputError
from ganzoo.protocols.architecture import GeneratorInput

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.protocols.architecture import Architecture

WALK_FRAMES = 50
"""Frames of a walk from one seed to the next, where no number is asked for."""


class Walk:
    """What a generator makes the frames of a walk from, one after the other.

    The frame at a seed has the very latents that are drawn from it; those between lie on the way
    that the architecture gives, at an even pace.
    """

    def __init__(
        self,
        architecture: Architecture,
        latents: Callable[[int], Tensor],
        labels: Tensor | None,
        seeds: Sequence[int],
        frames: int,
        loop: bool,
    ) -> None:
        """Take the way through seeds; see :meth:`ganzoo.Model.walk`.

        Args:
            architecture: Says what lies between latents.
            latents: Draws those of a seed, ``(N, z_dim)``.
            labels: Classes of the samples ``(N,)``, the same in each frame.
            seeds: Two or more.
            frames: From one seed to the next.
            loop: Whether the way ends where it began.

        Raises:
            InputError: it is no way, or the architecture has none.
        """
        if len(seeds) < 2:
            raise InputError("a walk goes from seed to seed: name two of them or more, as 0,1")
        if frames < 1:
            raise InputError(f"the number of frames must be at least 1, not {frames}")
        self._architecture = architecture
        self._latents = latents
        self._labels = labels
        self._stops = [*seeds, seeds[0]] if loop else list(seeds)
        self._frames = frames
        self._loop = loop
        # What cannot be done is said before the first frame.
        architecture.interpolate(latents(seeds[0]), latents(seeds[1]), 0.5)

    def __len__(self) -> int:
        return (len(self._stops) - 1) * self._frames + (not self._loop)

    def __iter__(self) -> Iterator[GeneratorInput]:
        end = self._latents(self._stops[0])
        for seed in self._stops[1:]:
            start, end = end, self._latents(seed)
            yield GeneratorInput(start, self._labels)
            for frame in range(1, self._frames):
                between = self._architecture.interpolate(start, end, frame / self._frames)
                yield GeneratorInput(between, self._labels)
        if not self._loop:
            yield GeneratorInput(end, self._labels)
