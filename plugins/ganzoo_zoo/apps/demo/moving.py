"""Samples that a person moves along the directions in which they change most."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from ganzoo.errors import InputError
from ganzoo_zoo.apps.shared.directions import (
    Directions,
    count_directions,
    draw_points,
    find_directions,
    move,
    start_points,
)

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo import GeneratorInput
    from ganzoo.models.model import Model

MOST_DIRECTIONS = 5
"""The most directions that are offered."""
FARTHEST = 5.0
"""The farthest that samples move along one, in standard deviations."""


class Mover:
    """Moves samples of a model; the directions are found on first use.

    Args:
        model: The model, on the device to compute on.
    """

    def __init__(self, model: Model) -> None:
        self.model = model

    @cached_property
    def count(self) -> int:
        """Number of directions; 0 if the model has none."""
        return min(MOST_DIRECTIONS, count_directions(self.model))

    @cached_property
    def directions(self) -> Directions:
        """The directions, the one that changes samples most first."""
        return find_directions(self.model, self.count)

    def check(self, moves: Sequence[object]) -> tuple[float, ...]:
        """Return how far to move along each direction; nothing if all are 0.

        Raises:
            InputError: there are too many, or one is not a number within bounds.
        """
        if len(moves) > self.count:
            raise InputError(f"this model has {self.count} directions here, not {len(moves)}")
        found = []
        for each in moves:
            if not isinstance(each, (int, float)) or not abs(each) <= FARTHEST:
                raise InputError(f"directions go from {-FARTHEST:g} to {FARTHEST:g}")
            found.append(float(each))
        return tuple(found) if any(found) else ()

    def draw(
        self, inputs: GeneratorInput, moves: Sequence[float], truncation: float | None
    ) -> Tensor:
        """Return the stored samples of inputs, moved.

        Args:
            inputs: Where the samples start.
            moves: What :meth:`check` returned.
            truncation: As for :meth:`ganzoo.Model.sample`.
        """
        start = start_points(self.model, self.directions, inputs, truncation)
        points = move(self.model, self.directions, start, torch.tensor(moves))
        return draw_points(self.model, self.directions, points, inputs.labels, truncation)


def describe_moves(moves: Sequence[float]) -> str:
    """Describe how samples have moved, such as ``direction 1 by 2.5``; empty if they have not."""
    each = (f"direction {number} by {by:g}" for number, by in enumerate(moves, 1) if by)
    return ", ".join(each)
