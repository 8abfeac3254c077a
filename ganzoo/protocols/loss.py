"""The protocol of a loss: what the two networks play for, and how its paper trains them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from ganzoo.component import Component, Options
from ganzoo.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ganzoo.protocols.augmentation import Augmentation
    from ganzoo.protocols.dataset import DataSpec

    Terms: TypeAlias = dict[str, Tensor]
    Logits: TypeAlias = Callable[[Tensor], Tensor]

Beta = Annotated[float, Field(ge=0, lt=1)]
LearningRate = Annotated[float, Field(gt=0, le=1e6)]


class Recipe(Options):
    """How a loss's paper trains the networks; each value can be overridden for a run."""

    optimizer: Literal["adam", "rmsprop"] = Field(
        default="adam", description="The optimiser of both."
    )
    generator_lr: LearningRate = Field(default=2e-4, description="Learning rate of the generator.")
    discriminator_lr: LearningRate = Field(
        default=2e-4, description="Learning rate of the discriminator."
    )
    betas: tuple[Beta, Beta] = Field(default=(0.5, 0.999), description="Adam's two decay rates.")
    n_critic: int = Field(
        default=1, ge=1, le=1000, description="Discriminator updates for each generator update."
    )
    batch_size: int = Field(default=32, ge=1, le=65_536, description="Samples in a batch.")
    lr_decay: Literal["none", "linear", "cosine"] = Field(
        default="none", description="How both learning rates fall, to nothing at the last step."
    )
    lr_decay_from: float = Field(
        default=0.0, ge=0, lt=1, description="Share of the steps that is done before they fall."
    )


class Discriminator:
    """The discriminator as a loss is given it: a callable from samples to logits.

    Args:
        network: The network.
        labels: Classes ``(N,)`` of the batch, of reals and fakes alike, if the network takes them.
        parameters: By name, used in place of the network's own.
        half: The type of its arithmetic in half precision; None for the network's own type.
        called: What computes as the network does where its first gradient is enough.
        optimizer: What updates the network, if anything does.
        augmentations: What samples pass through before the network, one after another, and the
            gradients of samples on their way back.
    """

    def __init__(
        self,
        network: nn.Module,
        labels: Tensor | None = None,
        parameters: Mapping[str, Tensor] | None = None,
        half: torch.dtype | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        augmentations: Sequence[Augmentation] = (),
        called: Logits | None = None,
    ) -> None:
        self.network = network
        self.labels = labels
        self.half = half
        self._forward = network if called is None else called
        self.augmentations = augmentations
        self._parameters = parameters
        self._optimizer = optimizer

    def __call__(self, samples: Tensor) -> Tensor:
        """Return logits ``(N,)`` or ``(N, P)`` of samples ``(N, *shape)``.

        A whole number of batches after one another may be judged at once. Samples that need a
        gradient while the network learns are about to be penalised by it: a gradient that is itself
        differentiated loses too much in half precision, and is never computed in it.
        """
        from ganzoo.compute.devices import half_precision

        for augmentation in self.augmentations:
            samples = augmentation.augment(samples)
        given: tuple[Tensor, ...] = (samples,)
        if self.labels is not None:
            given += (self.labels.repeat(len(samples) // len(self.labels)),)
        if self._parameters is not None:
            from torch.func import functional_call

            return functional_call(self.network, dict(self._parameters), given)
        if samples.requires_grad and any(each.requires_grad for each in self.network.parameters()):
            return self.network(*given)
        with half_precision(samples.device, self.half):
            logits = self._forward(*given)
        return logits if self.half is None else logits.float()

    def detached_parameters(self) -> dict[str, Tensor]:
        """Return the network's parameters by name, cut from any graph."""
        return {name: value.detach() for name, value in self.network.named_parameters()}

    def at(self, parameters: Mapping[str, Tensor]) -> Discriminator:
        """Return the same discriminator with other parameters, through which gradients flow.

        Samples pass through the same augmentations. The network itself is left alone, its running
        statistics too. It computes in full precision, as a gradient of it may be differentiated.
        """
        buffers = {name: value.clone() for name, value in self.network.named_buffers()}
        return Discriminator(
            self.network,
            self.labels,
            {**buffers, **parameters},
            augmentations=self.augmentations,
        )

    def step_sizes(self, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return how far the next update moves each parameter for a gradient of one.

        Its learning rate, over the root mean square of the gradients so far and of this one, as
        Adam and RMSProp divide by it. Empty where nothing updates the network.

        Args:
            gradients: By the names of the parameters.
        """
        if self._optimizer is None:
            return {}
        group, state = self._optimizer.param_groups[0], self._optimizer.state
        decay = group["betas"][1] if "betas" in group else group["alpha"]
        sizes: dict[str, Tensor] = {}
        for name, parameter in self.network.named_parameters():
            past = state.get(parameter, {})
            squares = past.get("exp_avg_sq", past.get("square_avg", 0.0))
            squares = decay * squares + (1 - decay) * gradients[name].detach().square()
            if "betas" in group:
                squares = squares / (1 - decay ** (past.get("step", 0) + 1))
            sizes[name] = group["lr"] / (squares.sqrt() + group["eps"])
        return sizes


class Loss(Component, ABC):
    """Base of losses.

    ``D`` is any callable from samples to logits ``(N,)``, or ``(N, P)`` of P parts of each sample,
    and a loss takes the mean over all of them. The trainer's is a :class:`Discriminator`, whose
    parameters a loss may look at and replace. The trainer minimises the sum of the terms that a
    method returns and logs each by its name. A loss never calls ``backward`` and sees no
    optimiser; what it draws, it draws from torch's global generator, which the trainer seeds for
    each step.

    What it declares may depend on its options: then it is a property.
    """

    recipe: ClassVar[Recipe] = Recipe()
    """The paper's optimiser, learning rates, betas and critic steps."""
    independent_samples: ClassVar[bool] = False
    """Whether the discriminator must judge each sample independently of its batch."""
    second_order: ClassVar[bool] = False
    """Whether a term is made of a gradient, as penalties are. In the discriminator's loss it is
    never computed in half precision; in the generator's a gradient must not be differentiated."""
    bounds_slope: ClassVar[bool] = False
    """Whether the loss itself holds the discriminator's slope, by clipping or by a penalty."""

    @abstractmethod
    def discriminator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> Terms:
        """Return named scalar terms for the discriminator's update.

        Args:
            D: From samples to logits ``(N,)`` or ``(N, P)``.
            real: Samples of the data, ``(N, *shape)``.
            fake: Samples of the generator, ``(N, *shape)``, with no gradient to it.
        """

    @abstractmethod
    def generator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> Terms:
        """Return named scalar terms for the generator's update.

        Args:
            D: From samples to logits ``(N,)`` or ``(N, P)``; its parameters get no gradient.
            real: Samples of the data, ``(N, *shape)``, for relativistic losses.
            fake: Samples of the generator, ``(N, *shape)``.
        """

    def constrain(self, discriminator: nn.Module) -> None:
        """Constrain the discriminator's parameters in place, before step 0 and after each update.

        Nothing by default; weight clipping belongs here.
        """

    def check_discriminator(
        self, discriminator: nn.Module, data: DataSpec, *, conditional: bool = False
    ) -> None:
        """Refuse a discriminator that does not fit the loss, before step 0.

        Raises:
            ganzoo.errors.InputError: samples must be independent and are not.
        """
        if self.independent_samples and mixes_batch(discriminator, data, conditional=conditional):
            raise InputError(
                "the loss needs each sample judged on its own, and this discriminator mixes its "
                "batch; use layer normalisation or none in place of batch normalisation"
            )


def mixes_batch(discriminator: nn.Module, data: DataSpec, *, conditional: bool = False) -> bool:
    """Tell whether a sample's logits depend on other samples of its batch, in training mode.

    Judged by what it does: the logits of one sample among these and among those companions, with
    the same draws of chance. Batch normalisation and minibatch statistics change them, layer
    normalisation and dropout do not. A conditional discriminator is told that all are of class 0.
    """
    import copy

    import torch

    from ganzoo.compute.seeding import preserve_rng_state

    labels = torch.zeros(4, dtype=torch.int64) if conditional else None

    def first_logits(companions: Tensor) -> Tensor:
        # A copy each time, as a pass may change buffers that the next one uses.
        probe = copy.deepcopy(discriminator).cpu().train()
        torch.manual_seed(0)
        return Discriminator(probe, labels)(torch.cat([sample, companions]))[0]

    with preserve_rng_state(), torch.no_grad():
        torch.manual_seed(0)
        sample, *companions = torch.randn(7, *data.shape).split([1, 3, 3])
        these, those = (first_logits(others) for others in companions)
    return not torch.allclose(these, those, rtol=1e-3, atol=0.0)
