"""The protocol of a penalty: terms for either network that combine with any loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from ganzoo.protocols.objective import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.protocols.dataset import DataSpec
    from ganzoo.protocols.discriminator import Discriminator
    from ganzoo.protocols.objective import Terms


class Penalty(Objective):
    """Base of penalties: regularisation that any loss and any architecture can be trained with.

    Override :meth:`discriminator_terms`, :meth:`generator_terms` or both. Terms are means over the
    batch, weighted as the paper weights them.

    With an ``interval`` above 1 the penalty is lazy (Karras et al. 2020, arXiv:1912.04958, appendix
    B): every so many updates of a network it is minimised in an update of its own, times the
    interval. Adam's learning rate and betas are corrected for these further updates, as there.
    """

    needs_fakes: ClassVar[bool | property] = True
    """Whether :meth:`generator_terms` looks at its fakes, or at ``D.generated``. If not, a lazy
    update makes none, and ``fake`` is empty: what the method needs it makes by ``D.generate``."""

    interval: int = Field(
        default=1,
        ge=1,
        description="Updates from one that the penalty is due in to the next. From 2 on it has an "
        "update of its own, times the interval.",
    )

    def discriminator_terms(self, D: Discriminator, real: Tensor, fake: Tensor) -> Terms:
        """Return named scalar terms to add to the discriminator's loss; none by default.

        Args:
            D: The discriminator; ``D.recall(real)`` gives the logits that the loss has computed.
            real: Samples of the data ``(N, *shape)``.
            fake: Samples of the generator ``(N, *shape)``. A gradient must pass through them:
                unrolling differentiates the term by the generator.
        """
        return {}

    def generator_terms(self, D: Discriminator, real: Tensor, fake: Tensor) -> Terms:
        """Return named scalar terms to add to the generator's loss; none by default.

        Args:
            D: The discriminator, whose parameters get no gradient; ``D.inputs``, ``D.generated``
                and ``D.generate`` are of the generator.
            real: Samples of the data ``(N, *shape)``.
            fake: Samples of the generator ``(N, *shape)``, with their graph.
        """
        return {}

    @property
    def penalises_discriminator(self) -> bool:
        """Whether it has terms for the discriminator."""
        return type(self).discriminator_terms is not Penalty.discriminator_terms

    @property
    def penalises_generator(self) -> bool:
        """Whether it has terms for the generator."""
        return type(self).generator_terms is not Penalty.generator_terms

    def fits(self, data: DataSpec) -> bool:
        """Tell whether it can be used for such samples; by default, for all."""
        return True
