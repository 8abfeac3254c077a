"""The protocol of a loss: the objectives of both networks, and a recipe to train them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from ganzoo.protocols.objective import Objective
from ganzoo.protocols.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.protocols.discriminator import Discriminator
    from ganzoo.protocols.objective import Terms


class Loss(Objective, ABC):
    """Base of losses.

    The trainer minimises the sum of the terms that a method returns, and logs each by its name.

    ``D`` may be any callable from samples to logits ``(N,)``, or ``(N, P)`` for P patches of each
    sample; take the mean over all of them. In training it is a
    :class:`~ganzoo.protocols.discriminator.Discriminator`, whose parameters a loss may read and
    replace.
    """

    recipe: ClassVar[Recipe | property] = Recipe()
    """How its paper trains it: optimiser, learning rates, betas, critic steps, batch size."""
    tuned_recipes: ClassVar[tuple[Recipe, ...] | property] = ()
    """How to train it well in a short time, for kinds of data. The paper's counts for others."""
    adversarial: ClassVar[bool | property] = True
    """Whether the generator's loss falls as its fakes score higher. Feature matching, for example,
    looks at other parts of the discriminator."""

    @abstractmethod
    def discriminator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> Terms:
        """Return named scalar terms for the discriminator's update.

        Args:
            D: Maps samples to logits ``(N,)`` or ``(N, P)``.
            real: Samples of the data ``(N, *shape)``.
            fake: Samples of the generator ``(N, *shape)``, without its graph. A gradient must pass
                through them all the same: unrolling differentiates this loss by the generator.
        """

    @abstractmethod
    def generator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> Terms:
        """Return named scalar terms for the generator's update.

        Args:
            D: Maps samples to logits ``(N,)`` or ``(N, P)``; its parameters get no gradient.
            real: Samples of the data ``(N, *shape)``, for relativistic losses.
            fake: Samples of the generator ``(N, *shape)``.
        """

    def constrain(self, discriminator: nn.Module) -> None:
        """Constrain the discriminator's parameters in place; by default they are unconstrained.

        Weight clipping belongs here. Called before step 0 and after each update.
        """
