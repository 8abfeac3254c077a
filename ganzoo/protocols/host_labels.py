"""Labels that the host knows as well as the device, so that a network can choose by them.

To read labels from a device, the host waits until all work before has been done. In the training of
an architecture that translates between classes, the labels of each batch are known beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_KNOWN = "_known_on_host"
"""Attribute of a tensor. Whatever computes another tensor of it leaves it out."""


def labels_on_host(labels: Tensor) -> Tensor:
    """Return labels ``(N,)`` in the host's memory, without waiting if it knows them already."""
    known: Tensor | None = getattr(labels, _KNOWN, None)
    return labels.cpu() if known is None else known


def note_on_host(labels: Tensor, known: Tensor) -> Tensor:
    """Note for :func:`labels_on_host` what numbers labels have.

    Args:
        labels: Labels ``(N,)`` on a device, which are returned.
        known: The same in the host's memory.
    """
    if labels is not known:
        setattr(labels, _KNOWN, known)
    return labels


def rearrange_labels(labels: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Return labels in other places, of which the host knows as much as before.

    Args:
        labels: Labels ``(N,)``.
        change: Selects some of them, or puts them in another order, on any device.
    """
    known: Tensor | None = getattr(labels, _KNOWN, None)
    found = change(labels)
    return found if known is None else note_on_host(found, change(known))
