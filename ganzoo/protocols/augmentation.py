"""The protocol of an augmentation: random changes to all that the discriminator sees."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ganzoo.component import Component

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.protocols.dataset import DataSpec
    from ganzoo.protocols.progress import Progress


class Augmentation(Component, ABC):
    """Base of augmentations, which keep a discriminator from memorising a small dataset.

    Reals and fakes alike are augmented wherever a loss calls the discriminator, in its own update
    and in the generator's, so that the generator does not learn to produce augmented samples (Zhao
    et al. 2020, arXiv:2006.10738, section 3 and figure 4). An augmentation keeps no state between
    calls; one that adapts to the training is an :class:`AdaptiveAugmentation`.
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


class AdaptiveAugmentation(Augmentation):
    """Base of augmentations that adapt to how well the discriminator tells reals from fakes.

    After each discriminator update the trainer shows it the logits of the reals, as they were
    augmented, whatever the loss is. What it makes of them lies in buffers of its :meth:`state`,
    which is part of checkpoints and of no model.
    """

    @abstractmethod
    def state(self, data: DataSpec) -> nn.Module:
        """Build what the augmentation remembers, in buffers.

        Args:
            data: Shape and classes of the samples.
        """

    @abstractmethod
    def augment(self, samples: Tensor, state: nn.Module) -> Tensor:  # type: ignore[override]
        """Return randomly changed samples; see :meth:`Augmentation.augment`.

        Args:
            samples: Reals or fakes ``(N, *shape)``.
            state: What :meth:`state` built. Do not change it.
        """

    @abstractmethod
    def observe(self, state: nn.Module, logits: Tensor, progress: Progress) -> None:
        """Update the state in place after an update of the discriminator.

        No operation may wait for the device, as ``item()`` does.

        Args:
            state: What :meth:`state` built.
            logits: Logits ``(N,)`` or ``(N, P)`` of the whole batch of augmented reals, of all
                processes, without a graph.
            progress: How far the training was before the update.
        """

    def report(self, state: nn.Module) -> Mapping[str, Tensor]:
        """Return scalars of the state to log, by name; none by default.

        The metrics have them as ``augmentation/NAME_key``, where NAME is the augmentation's.

        Args:
            state: What :meth:`state` built. Do not change it.
        """
        return {}
