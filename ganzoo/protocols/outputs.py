"""What networks and objectives return: one tensor, or several by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

    NetworkOutput: TypeAlias = Tensor | Mapping[str, Tensor]
    Terms: TypeAlias = dict[str, Tensor]


def pick(found: NetworkOutput, name: str) -> Tensor:
    """Return the output of a name, where a network that returns one tensor returns that.

    Args:
        found: What a network returned.
        name: ``samples`` of a generator, ``logits`` of a discriminator, or one of its parts.
    """
    return found[name] if isinstance(found, Mapping) else found
