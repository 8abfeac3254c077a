"""The protocol of a loss: what the two networks play for, and how its paper trains them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from ganzoo.component import Component, Options
from ganzoo.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ganzoo.dataset import DataSpec

    Terms: TypeAlias = dict[str, Tensor]
    Logits: TypeAlias = Callable[[Tensor], Tensor]

# Adam refuses a pair of an int and a float, and JSON writes 0.0 as 0 in other people's hands.
Beta = Annotated[float, BeforeValidator(lambda beta: float(beta)), Field(ge=0, lt=1)]


class Recipe(Options):
    """How a loss's paper trains the networks; each value can be overridden for a run."""

    optimizer: Literal["adam", "rmsprop"] = Field("adam", description="The optimiser of both.")
    generator_lr: float = Field(2e-4, gt=0, description="Learning rate of the generator.")
    discriminator_lr: float = Field(2e-4, gt=0, description="Learning rate of the discriminator.")
    betas: tuple[Beta, Beta] = Field((0.5, 0.999), description="Adam's two decay rates.")
    n_critic: int = Field(1, ge=1, description="Discriminator updates for each generator update.")


class Loss(Component, ABC):
    """Base of losses.

    ``D`` is any callable from samples to logits ``(N,)``. The trainer minimises the sum of the
    terms that a method returns and logs each by its name. A loss never calls ``backward`` and
    sees no optimiser; what it draws, it draws from torch's global generator, which the trainer
    seeds for each step.
    """

    recipe: ClassVar[Recipe] = Recipe()
    """The paper's optimiser, learning rates, betas and critic steps."""

    independent_samples: ClassVar[bool] = False
    """Whether the discriminator must judge each sample independently of its batch."""

    @abstractmethod
    def discriminator_loss(self, D: Logits, real: Tensor, fake: Tensor) -> Terms:
        """Return named scalar terms for the discriminator's update.

        Args:
            D: From samples to logits ``(N,)``.
            real: Samples of the data, ``(N, *shape)``.
            fake: Samples of the generator, ``(N, *shape)``, with no gradient to it.
        """

    @abstractmethod
    def generator_loss(self, D: Logits, real: Tensor, fake: Tensor) -> Terms:
        """Return named scalar terms for the generator's update.

        Args:
            D: From samples to logits ``(N,)``; its parameters get no gradient.
            real: Samples of the data, ``(N, *shape)``, for relativistic losses.
            fake: Samples of the generator, ``(N, *shape)``.
        """

    def constrain(self, discriminator: nn.Module) -> None:
        """Constrain the discriminator's parameters in place, before step 0 and after each update.

        Nothing by default; weight clipping belongs here.
        """

    def check_discriminator(self, discriminator: nn.Module, data: DataSpec) -> None:
        """Refuse a discriminator that does not fit the loss, before step 0.

        Raises:
            ganzoo.errors.InputError: samples must be independent and are not.
        """
        if self.independent_samples and mixes_batch(discriminator, data):
            raise InputError(
                "the loss needs each sample judged on its own, and this discriminator mixes its "
                "batch; use layer normalisation or none in place of batch normalisation"
            )


def mixes_batch(discriminator: nn.Module, data: DataSpec) -> bool:
    """Tell whether a sample's logit depends on other samples of its batch, in training mode.

    Judged by what it does: the logit of one sample among these and among those companions, with
    the same draws of chance. Batch normalisation and minibatch statistics change it, layer
    normalisation and dropout do not.
    """
    import copy

    import torch

    from ganzoo.seeding import kept_randomness

    def first_logit(companions: Tensor) -> Tensor:
        # A copy each time, as a pass may change buffers that the next one uses.
        probe = copy.deepcopy(discriminator).cpu().train()
        torch.manual_seed(0)
        return probe(torch.cat([sample, companions]))[0]

    with kept_randomness(), torch.no_grad():
        torch.manual_seed(0)
        sample, *companions = torch.randn(7, *data.shape).split([1, 3, 3])
        these, those = (first_logit(others) for others in companions)
    return not torch.allclose(these, those, rtol=1e-3, atol=0.0)
