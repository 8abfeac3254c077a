"""The discriminator as losses and penalties see it, with what they may know of the training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ganzoo.errors import InputError
from ganzoo.protocols.latent_parts import split_latents
from ganzoo.protocols.outputs import pick
from ganzoo.protocols.progress import Progress

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ganzoo.protocols.architecture import GeneratorInput
    from ganzoo.protocols.dataset import DataSpec
    from ganzoo.protocols.latent_parts import LatentPart
    from ganzoo.protocols.packing import Packing

    Logits: TypeAlias = Callable[[Tensor], Tensor]
    Outputs: TypeAlias = dict[str, Tensor]

    class Augment(Protocol):
        """Changes samples before the discriminator sees them."""

        def augment(self, samples: Tensor, /) -> Tensor:
            """Return changed samples of the same shape and type."""


BEGINNING = Progress()
OUTSIDE = "only within a training does a discriminator know the generator and its inputs"


class Discriminator:
    """The discriminator that a loss or a penalty receives: a callable from samples to logits.

    In a training it also knows how far the training is, what the fakes were made from, and what
    its component remembers.

    Args:
        network: The network.
        labels: Classes ``(N,)`` of the batch, of reals and fakes alike, if the network takes them.
        parameters: Parameters by name, to use instead of the network's own.
        half: Data type for mixed precision; None for the network's own type.
        optimizer: The network's optimiser, if it has one.
        augmentations: Augmentations that samples pass through before the network, in this order.
        called: A faster equivalent of the network, such as a compiled one, that can be
            differentiated once.
        source: Sources ``(N, ...)`` of the batch, if the network sees them.
        progress: How far the training is.
        inputs: What the fakes were made from.
        generator: The generator in training.
        generated: What it returned for the fakes, by name.
        generates_with_gradient: Whether :meth:`generate` records gradients for the generator.
        remembers_calls: Whether :meth:`recall` may find logits of earlier calls.
        packing: How samples and the parts that are judged with them lie in one tensor; None for
            samples alone.
        latent_parts: The parts of a latent.
    """

    def __init__(
        self,
        network: nn.Module,
        labels: Tensor | None = None,
        parameters: Mapping[str, Tensor] | None = None,
        half: torch.dtype | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        augmentations: Sequence[Augment] = (),
        called: Logits | None = None,
        *,
        source: Tensor | None = None,
        progress: Progress = BEGINNING,
        inputs: GeneratorInput | None = None,
        generator: nn.Module | None = None,
        generated: Mapping[str, Tensor] | None = None,
        generates_with_gradient: bool = False,
        remembers_calls: bool = False,
        packing: Packing | None = None,
        latent_parts: Sequence[LatentPart] = (),
    ) -> None:
        self.network = network
        self.labels = labels
        self.source = source
        self.half = half
        self.augmentations = augmentations
        self.progress = progress
        """How far the training is."""
        self.latent_parts = tuple(latent_parts)
        """The parts of a latent, as the architecture names them."""
        self.state: nn.Module | None = None
        """What the component remembers, as its ``state(data)`` built it."""
        self.generated: Mapping[str, Tensor] = generated or {}
        """What the generator returned for the fakes, by name; without a graph in the
        discriminator's update."""
        self._inputs = inputs
        self._generator = generator
        self._forward: Callable[..., Outputs | Tensor] = network if called is None else called
        self._parameters = parameters
        self._optimizer = optimizer
        self._generates_with_gradient = generates_with_gradient
        self._packing = packing
        self._observed: dict[str, Tensor] = {}
        self._calls: list[tuple[Tensor, Outputs | Tensor]] | None = [] if remembers_calls else None

    def __call__(self, samples: Tensor) -> Tensor:
        """Return logits ``(N,)`` or ``(N, P)`` of samples ``(N, *shape)``.

        ``samples`` may also be several batches, concatenated. If they require a gradient while the
        network's parameters do too, the pass is in full precision: a gradient penalty would lose
        too much in half precision.
        """
        return self._in_full(pick(self._judge(samples), "logits"))

    def judge(self, samples: Tensor) -> Outputs:
        """Return all that the network says of samples, by name; ``logits`` are among it.

        The other names are the architecture's ``discriminator_parts``.
        """
        return self._name_in_full(self._judge(samples))

    def recall(self, samples: Tensor, part: str = "logits") -> Tensor:
        """Return what was said of samples that were judged before in this update, with its graph.

        It is that of the first call with these numbers, such as the loss's. If there was none, the
        samples are judged now.

        Args:
            samples: Samples ``(N, *shape)``.
            part: ``logits``, or one of the architecture's ``discriminator_parts``.
        """
        return self._in_full(pick(self._recall(samples), part))

    def recall_all(self, samples: Tensor) -> Outputs:
        """Return all that was said of samples, as :meth:`recall` finds it, by name."""
        return self._name_in_full(self._recall(samples))

    def call(self, network: nn.Module, *given: Any) -> Any:
        """Return what another network makes of something, in the precision of this one.

        Such a network is one of the architecture's ``extra_networks``.
        """
        from ganzoo.compute.devices import half_precision

        with half_precision(next(network.parameters()).device, self.half):
            return network(*given)

    def _recall(self, samples: Tensor) -> Outputs | Tensor:
        for judged, found in self._calls or ():
            if judged.data_ptr() == samples.data_ptr() and judged.shape == samples.shape:
                return found
        return self._judge(samples)

    def _name_in_full(self, found: Outputs | Tensor) -> Outputs:
        named = found if isinstance(found, dict) else {"logits": found}
        return {name: self._in_full(part) for name, part in named.items()}

    def _judge(self, samples: Tensor) -> Outputs | Tensor:
        found = self._pass(samples)
        if self._calls is not None:
            self._calls.append((samples, found))
        return found

    def _pass(self, samples: Tensor) -> Outputs | Tensor:
        from ganzoo.compute.devices import half_precision

        given: tuple[Tensor | Outputs, ...] = (self._augment(samples),)
        for bound in (self.labels, self.source):
            if bound is not None:
                times = len(samples) // len(bound)
                given += (bound if times == 1 else bound.repeat(times, *[1] * (bound.dim() - 1)),)
        if self._parameters is not None:
            from torch.func import functional_call

            return functional_call(self.network, dict(self._parameters), given)
        if samples.requires_grad and any(each.requires_grad for each in self.network.parameters()):
            return self.network(*given)
        with half_precision(samples.device, self.half):
            return self._forward(*given)

    def _in_full(self, part: Tensor) -> Tensor:
        """Return a part in full precision: those that nobody asks for need not be converted."""
        return part if self.half is None else part.float()

    def _augment(self, samples: Tensor) -> Tensor | Outputs:
        """Return what the network is to see of samples: augmented, and in parts if packed."""
        if self._packing is None:
            return _augment(samples, self.augmentations)
        return self._augment_parts(samples, self.augmentations)

    def _augment_parts(self, samples: Tensor, augmentations: Sequence[Augment]) -> Outputs:
        parts = self.unpack(samples)
        dimensions = parts["samples"].dim()
        return {  # those alone of the kind that augmentations are for
            name: _augment(part, augmentations) if part.dim() == dimensions else part
            for name, part in parts.items()
        }

    # Parts that are judged with samples

    def unpack(self, samples: Tensor) -> Outputs:
        """Return samples as they are by name, with the parts that are judged with them.

        What a loss or a penalty is given is one tensor ``(N, K)`` if the architecture has
        ``judged_parts``: the samples and these parts, flattened one behind the other.

        Args:
            samples: Reals, fakes, or what was computed from them.

        Returns:
            ``samples`` ``(N, *shape)`` and the architecture's ``judged_parts``.
        """
        return {"samples": samples} if self._packing is None else self._packing.unpack(samples)

    def pack(self, parts: Mapping[str, Tensor]) -> Tensor:
        """Return what :meth:`unpack` or :meth:`generate` returned as one tensor to judge."""
        return parts["samples"] if self._packing is None else self._packing.pack(parts)

    def change(self, samples: Tensor, augmentations: Sequence[Augment]) -> Tensor:
        """Return samples that augmentations have changed, and the parts judged with them.

        Args:
            samples: Reals or fakes, as a loss or a penalty gets them.
            augmentations: What changes them, in this order: each part that has as many dimensions
                as samples have, on its own.
        """
        if self._packing is None:
            return _augment(samples, augmentations)
        return self.pack(self._augment_parts(samples, augmentations))

    # The generator

    @property
    def generator(self) -> nn.Module:
        """The generator in training."""
        if self._generator is None:
            raise InputError(OUTSIDE)
        return self._generator

    @property
    def inputs(self) -> GeneratorInput:
        """What the fakes were made from."""
        if self._inputs is None:
            raise InputError(OUTSIDE)
        return self._inputs

    def split_latents(self, latents: Tensor) -> Outputs:
        """Return the parts of latents ``(N, D)`` by name, as the architecture names them.

        ``D.split_latents(D.inputs.given)`` are the codes that the fakes were made from.
        """
        if not self.latent_parts:
            raise InputError(OUTSIDE)
        return split_latents(self.latent_parts, latents)

    def generate(self, inputs: GeneratorInput) -> Outputs:
        """Return what the generator makes of other inputs, by name; ``samples`` are among it.

        In the discriminator's update the result has no graph. The other names are the
        architecture's ``generator_parts``.
        """
        import torch

        from ganzoo.compute.devices import half_precision

        is_recorded = self._generates_with_gradient
        with (
            nullcontext() if is_recorded else torch.no_grad(),
            half_precision(inputs.given.device, self.half),
        ):
            found = inputs.outputs(self.generator)
        return found if self.half is None else {name: each.float() for name, each in found.items()}

    # Memory

    def observe(self, **values: Tensor) -> None:
        """Tell the component's ``remember`` of numbers, after this update.

        It gets their means over the parts of the batch and over all processes, so that what it
        remembers is the same in each.

        Args:
            values: Scalars by name, such as ``real=logits.mean()``.
        """
        self._observed |= {name: value.detach() for name, value in values.items()}

    def take_observed(self) -> dict[str, Tensor]:
        """Return what was observed, and forget it."""
        found = dict(self._observed)
        self._observed.clear()
        return found

    # Other discriminators

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
        other = copy.copy(self)
        other.half, other._forward, other._calls = None, self.network, None
        other._parameters = {**buffers, **parameters}
        other._observed = {}  # what happens there is no part of the training
        return other

    def of(self, state: nn.Module | None, *, in_full_precision: bool = False) -> Discriminator:
        """Return this discriminator as another component gets it, with its own memory.

        Args:
            state: What that component remembers.
            in_full_precision: Whether it differentiates gradients, and so needs fp32.
        """
        other = copy.copy(self)
        other.state, other._observed = state, {}
        if in_full_precision:
            other.half, other._forward = None, self.network
        return other

    def step_sizes(self, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the step size of the optimiser's next update, for each parameter.

        It is the learning rate over the root mean square of the gradients, including these, as in
        Adam and RMSProp; in gradient descent, the learning rate itself.

        Args:
            gradients: Gradients by the names of the parameters.

        Returns:
            Step sizes by name, of the parameters' shapes; empty if there is no optimiser.
        """
        import torch

        if self._optimizer is None:
            return {}
        groups = {each: group for group in self._optimizer.param_groups for each in group["params"]}
        sizes: dict[str, Tensor] = {}
        for name, parameter in self.network.named_parameters():
            if (group := groups.get(parameter)) is None:  # it never moves
                sizes[name] = torch.zeros_like(parameter)
                continue
            if not {"betas", "alpha"} & group.keys():
                sizes[name] = torch.full_like(parameter, group["lr"])
                continue
            past = self._optimizer.state.get(parameter, {})
            decay = group["betas"][1] if "betas" in group else group["alpha"]
            squares = past.get("exp_avg_sq", past.get("square_avg", 0.0))
            squares = decay * squares + (1 - decay) * gradients[name].detach().square()
            if "betas" in group:
                squares = squares / (1 - decay ** (past.get("step", 0) + 1))
            sizes[name] = group["lr"] / (squares.sqrt() + group["eps"])
        return sizes


def _augment(samples: Tensor, augmentations: Sequence[Augment]) -> Tensor:
    for augmentation in augmentations:
        samples = augmentation.augment(samples)
    return samples


def mixes_batch(discriminator: nn.Module, data: DataSpec, *, conditional: bool = False) -> bool:
    """Tell whether a sample's logits depend on other samples of its batch, in training mode.

    The test is empirical: it compares the logits of one sample in two batches, with the same random
    numbers. Batch normalisation and minibatch statistics change them; layer normalisation and
    dropout do not. A conditional discriminator gets class 0 for every sample.
    """
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
