"""The protocol of an augmentation: random changes to all that the discriminator sees."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from ganzoo.component import Component

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.protocols.dataset import DataSpec


class Augmentation(Component, ABC):
    """Base of augmentations, which keep a discriminator from memorising a small dataset.

    Reals and fakes alike are augmented wherever a loss calls the discriminator, in its own update
    and in the generator's, so that the generator does not learn to produce augmented samples (Zhao
    et al. 2020, arXiv:2006.10738, section 3 and figure 4). An augmentation keeps no state between
    calls.
    """

    @abstractmethod
    def augment(self, samples: Tensor) -> Tensor:
        """Return randomly changed samples of the same shape and type, each changed independently.

        The result must be twice differentiable, for gradient penalties, and no operation may wait
        for the device, as ``item()`` does. Draw on the samples' device by torch's global generator,
        which the trainer seeds for each step. Do not change ``samples`` in place.

        Args:
            samples: Reals or fakes ``(N, *shape)``. Images lie in about [-1, 1]: a generator or an
                earlier augmentation may exceed it a little.
        """

    def fits(self, data: DataSpec) -> bool:
        """Tell whether such samples can be augmented; by default, images can."""
        return data.is_image
