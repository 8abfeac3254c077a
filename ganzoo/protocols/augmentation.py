"""The protocol of an augmentation: what changes samples before the discriminator sees them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from ganzoo.component import Component

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.protocols.dataset import DataSpec


class Augmentation(Component, ABC):
    """Base of augmentations, which keep a discriminator from learning small data by heart.

    Reals and fakes alike pass through it wherever a loss calls the discriminator, in its own step
    and in the generator's, so that the generator learns what looks right after any such change
    and not the changes themselves (Zhao et al. 2020, arXiv:2006.10738, section 3 and figure 4). It
    remembers nothing between calls.
    """

    @abstractmethod
    def augment(self, samples: Tensor) -> Tensor:
        """Return samples changed at random, each in its own way, of the same shape and type.

        Differentiable twice, for losses with a penalty on a gradient, and by operations that wait
        for no device. What is drawn is drawn by torch's global generator, on the samples' device;
        the trainer seeds it for each step. The samples themselves stay as they are.

        Args:
            samples: Reals or fakes, ``(N, *shape)``; images lie in about [-1, 1], as a generator
                or an earlier augmentation may go beyond.
        """

    def fits(self, data: DataSpec) -> bool:
        """Tell whether such samples can be augmented; by default, whether they are images."""
        return data.is_image
