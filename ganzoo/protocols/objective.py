"""What losses and penalties share: declarations, and a memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from ganzoo.component import Component
from ganzoo.errors import InputError
from ganzoo.protocols.discriminator import mixes_batch

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ganzoo.protocols.dataset import DataSpec
    from ganzoo.protocols.outputs import Terms as Terms


class Objective(Component):
    """Base of losses and penalties: objectives of a network, as named scalar terms.

    An objective never calls ``backward`` and sees no optimiser. Random numbers must come from
    torch's global generator, which the trainer seeds for each step. What depends on how far the
    training is reads ``D.progress``; what must be remembered lies in a :meth:`state`.

    A declaration may depend on the options. Then assign a property:
    ``bounds_slope = property(lambda self: self.gp_weight > 0)``.
    """

    independent_samples: ClassVar[bool | property] = False
    """Whether the discriminator must judge each sample independently of its batch."""
    second_order: ClassVar[bool | property] = False
    """Whether a term contains a gradient, as gradient penalties do; it is then computed in full
    precision. A loss's terms for the generator may be in half precision: differentiate a gradient
    there only through :meth:`Discriminator.at`."""
    bounds_slope: ClassVar[bool | property] = False
    """Whether it limits the discriminator's slope, by clipping or by a penalty."""
    needs_discriminator_parts: ClassVar[tuple[str, ...] | property] = ()
    """Parts that the discriminator must give beside its logits, such as ``features``."""
    needs_generator_parts: ClassVar[tuple[str, ...] | property] = ()
    """Parts that the generator must give beside its samples, such as ``w``."""
    needs_networks: ClassVar[tuple[str, ...] | property] = ()
    """Networks that the architecture must have as ``extra_networks``, such as ``encoder``."""
    needs_pairs: ClassVar[bool | property] = False
    """Whether its terms compare each fake with the real at its place, so that the architecture must
    take sources: ``fake`` is then made of those of ``real``, one by one."""
    needs_whole_batch: ClassVar[bool | property] = False
    """Whether its terms are no means over samples, so that a batch cannot be accumulated from
    parts."""
    depends_on_steps: ClassVar[bool | property] = False
    """Whether it reads ``D.progress.steps`` or ``share``: such a run cannot be resumed for more
    steps."""

    def state(self, data: DataSpec) -> nn.Module | None:
        """Build what the objective remembers, in buffers; None, the default, for nothing.

        Terms read it as ``D.state``, and :meth:`remember` alone changes it. It is part of
        checkpoints and of no model.

        Args:
            data: Shape and classes of the samples.
        """
        return None

    def remember(self, state: nn.Module, observed: Mapping[str, Tensor]) -> None:
        """Update the state in place after an update in which something was observed.

        No operation may wait for the device, as ``item()`` does.

        Args:
            state: What :meth:`state` built.
            observed: What the terms gave to :meth:`Discriminator.observe`: means over the whole
                batch and all processes.
        """

    def prepare(self, data: DataSpec, device: torch.device) -> None:
        """Get ready what the terms need, before the networks are built; by default nothing.

        Weights of a fixed network are loaded or downloaded here. They are no memory: keep them
        outside the component, such as by :func:`functools.lru_cache`, so that no checkpoint holds
        them.

        Args:
            data: Shape and classes of the samples.
            device: Where terms are computed.

        Raises:
            ganzoo.errors.GanzooError: it cannot be had.
        """

    def check_discriminator(
        self, discriminator: nn.Module, data: DataSpec, *, conditional: bool = False
    ) -> None:
        """Check, before step 0, that a discriminator suits the objective.

        Args:
            discriminator: The network, as built.
            data: Shape and classes of the samples.
            conditional: Whether the network takes labels.

        Raises:
            ganzoo.errors.InputError: the objective needs independent samples, and the network mixes
                its batch.
        """
        if self.independent_samples and mixes_batch(discriminator, data, conditional=conditional):
            raise InputError(
                "the loss needs each sample judged on its own, and this discriminator mixes its "
                "batch; use layer normalisation or none in place of batch normalisation"
            )
