"""Names of tensors, here and in a file, for converters of networks that are sequences."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from ganzoo.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo import ForeignWeights

Names: TypeAlias = Mapping[str, str]
"""Names of the tensors in a file, by the names that they have here."""


def below(prefix: str, names: Names) -> Names:
    """Return the same names, of a part that is called ``prefix`` here."""
    return {f"{prefix}.{here}": there for here, there in names.items()}


def sequence(layers: Iterable[Names]) -> Names:
    """Return the names of an ``nn.Sequential``; a layer without tensors has no names."""
    numbered = (below(str(number), names) for number, names in enumerate(layers))
    return dict(itertools.chain.from_iterable(each.items() for each in numbered))


def same(there: str, *ends: str) -> Names:
    """Return the names of a layer whose tensors are called ``ends`` on both sides."""
    return {end: f"{there}.{end}" for end in ends or ("weight", "bias")}


def take(weights: ForeignWeights, names: Names) -> dict[str, Tensor]:
    """Take tensors, and return them by their names here."""
    return {here: weights.take(there) for here, there in names.items()}


def count(weights: ForeignWeights, pattern: str, start: int = 0) -> int:
    """Count the tensors whose names are a pattern with the numbers from ``start`` on."""
    numbers = itertools.count(start)
    return next(each for each in numbers if pattern.format(each) not in weights) - start


def take_binomial_filters(weights: ForeignWeights, ending: str) -> None:
    """Take all filters for resampling, which are constants.

    Raises:
        ganzoo.errors.InputError: one is not [1, 3, 3, 1] in each direction.
    """
    for name in weights.names:
        if name.endswith(ending):
            found = weights.take(name)
            line = found.new_tensor([1.0, 3.0, 3.0, 1.0]) / 8
            if found.shape != (4, 4) or not found.allclose(line[:, None] * line):
                raise InputError(
                    f"'{name}' is not the filter [1, 3, 3, 1], the only one that architectures "
                    "here resample with"
                )
