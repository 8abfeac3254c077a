"""Augmentations of what a discriminator sees, as the papers write them."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Augmentation(Protocol):
    """What samples pass through, reals and fakes alike."""

    def __call__(self, samples: Tensor) -> Tensor:
        """Return changed samples; draws come from torch's global generator."""

    def observe(self, logits: Tensor) -> None:
        """See the logits of the reals after an update of the discriminator."""


AUGMENTATIONS: dict[str, type[Augmentation]] = {}
"""By name; each is built from the options of ganzoo's, and ``batch_size``."""
