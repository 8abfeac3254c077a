"""The protocol of a loss: the objectives of both networks, and a recipe to train them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from ganzoo.component import Component
from ganzoo.errors import InputError
from ganzoo.protocols.recipe import Recipe

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ganzoo.protocols.augmentation import Augmentation
    from ganzoo.protocols.dataset import DataSpec

    Terms: TypeAlias = dict[str, Tensor]
    Logits: TypeAlias = Callable[[Tensor], Tensor]


class Discriminator:
    """The discriminator that a loss receives: a callable from samples to logits.

    Args:
        network: The network.
        labels: Classes ``(N,)`` of the batch, of reals and fakes alike, if the network takes them.
        parameters: Parameters by name, to use instead of the network's own.
        half: Data type for mixed precision; None for the network's own type.
        optimizer: The network's optimiser, if it has one.
        augmentations: Augmentations that samples pass through before the network, in this order.
        called: A faster equivalent of the network, such as a compiled one, that can be
            differentiated once.
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

        ``samples`` may also be several batches, concatenated. If they require a gradient while the
        network's parameters do too, the pass is in full precision: a gradient penalty would lose
        too much in half precision.
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
        """Return the network's parameters by name, detached from any graph."""
        return {name: value.detach() for name, value in self.network.named_parameters()}

    def at(self, parameters: Mapping[str, Tensor]) -> Discriminator:
        """Return this discriminator with other parameters, through which gradients flow.

        It has the same augmentations and computes in full precision, so that its gradients can be
        differentiated. The network itself and its running statistics do not change.

        Args:
            parameters: Parameters by name, as :meth:`detached_parameters` returns them.
        """
        buffers = {name: value.clone() for name, value in self.network.named_buffers()}
        return Discriminator(
            self.network,
            self.labels,
            {**buffers, **parameters},
            augmentations=self.augmentations,
        )

    def step_sizes(self, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the step size of the optimiser's next update, for each parameter.

        It is the learning rate over the root mean square of the gradients, including these, as in
        Adam and RMSProp.

        Args:
            gradients: Gradients by the names of the parameters.

        Returns:
            Step sizes by name, of the parameters' shapes; empty if there is no optimiser.
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

    The trainer minimises the sum of the terms that a method returns, and logs each by its name. A
    loss never calls ``backward`` and sees no optimiser. Random numbers must come from torch's
    global generator, which the trainer seeds for each step.

    ``D`` may be any callable from samples to logits ``(N,)``, or ``(N, P)`` for P patches of each
    sample; take the mean over all of them. In training it is a :class:`Discriminator`, whose
    parameters a loss may read and replace.

    A declaration may depend on the options. Then assign a property:
    ``bounds_slope = property(lambda self: self.gp_weight > 0)``.
    """

    recipe: ClassVar[Recipe | property] = Recipe()
    """How its paper trains it: optimiser, learning rates, betas, critic steps, batch size."""
    tuned_recipes: ClassVar[tuple[Recipe, ...] | property] = ()
    """How to train it well in a short time, for kinds of data. The paper's counts for others."""
    independent_samples: ClassVar[bool | property] = False
    """Whether the discriminator must judge each sample independently of its batch."""
    second_order: ClassVar[bool | property] = False
    """Whether a term contains a gradient, as gradient penalties do.

    The discriminator's loss is then computed in full precision. The generator's loss may be in half
    precision: differentiate a gradient there only through :meth:`Discriminator.at`.
    """
    bounds_slope: ClassVar[bool | property] = False
    """Whether the loss itself limits the discriminator's slope, by clipping or by a penalty."""

    @abstractmethod
    def discriminator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> Terms:
        """Return named scalar terms for the discriminator's update.

        Args:
            D: Maps samples to logits ``(N,)`` or ``(N, P)``.
            real: Samples of the data ``(N, *shape)``.
            fake: Samples of the generator ``(N, *shape)``, detached from it.
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

    def check_discriminator(
        self, discriminator: nn.Module, data: DataSpec, *, conditional: bool = False
    ) -> None:
        """Check, before step 0, that a discriminator suits the loss.

        Args:
            discriminator: The network, as built.
            data: Shape and classes of the samples.
            conditional: Whether the network takes labels.

        Raises:
            ganzoo.errors.InputError: the loss needs independent samples, and the network mixes its
                batch.
        """
        if self.independent_samples and mixes_batch(discriminator, data, conditional=conditional):
            raise InputError(
                "the loss needs each sample judged on its own, and this discriminator mixes its "
                "batch; use layer normalisation or none in place of batch normalisation"
            )


def mixes_batch(discriminator: nn.Module, data: DataSpec, *, conditional: bool = False) -> bool:
    """Tell whether a sample's logits depend on other samples of its batch, in training mode.

    The test is empirical: it compares the logits of one sample in two batches, with the same random
    numbers. Batch normalisation and minibatch statistics change them; layer normalisation and
    dropout do not. A conditional discriminator gets class 0 for every sample.
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
