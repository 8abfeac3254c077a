"""The training step. It never waits for the device: reading results back is the loop's work."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ganzoo.compute.compiling import (
    NetworkFunction,
    begin_graphs,
    compile_network,
    explain_compile_errors,
)
from ganzoo.compute.devices import arithmetic, half_precision
from ganzoo.compute.seeding import derive_seed, make_rng, preserve_rng_state, seed_everything
from ganzoo.errors import InputError
from ganzoo.protocols.loss import Discriminator
from ganzoo.training.inputs import draw_step_inputs

if TYPE_CHECKING:
    from ganzoo.compute.loss_scale import LossScale
    from ganzoo.protocols.architecture import GeneratorInput
    from ganzoo.protocols.loss import Terms
    from ganzoo.training.batch_order import Order
    from ganzoo.training.batches import BatchLoader
    from ganzoo.training.checkpoint import TrainState
    from ganzoo.training.setup import TrainingSetup


@dataclass
class StepTerms:
    """The loss terms of a step, still on the device, by network and name."""

    discriminator: dict[str, Tensor] = field(default_factory=dict)
    generator: dict[str, Tensor] = field(default_factory=dict)


class Trainer:
    """Trains a generator against a discriminator, one generator update per :meth:`step`.

    All random numbers of a step come from the run's seed and the step's number.
    :mod:`ganzoo.training.prepare` builds the parts.

    Args:
        setup: Components, options, device and processes.
        loader: Gives the batches.
        order: Which samples each batch holds.
        build_state: Builds the networks and their optimisers as they are before the first step.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        loader: BatchLoader,
        order: Order,
        build_state: Callable[[], TrainState],
    ) -> None:
        self.setup = setup
        self.architecture = setup.architecture
        self.loss = setup.loss
        self.augmentations = tuple(setup.augmentations.values())
        self.options = setup.options
        self.device = setup.device
        self.team = setup.team
        self.conditional = setup.conditional
        self.half = setup.half
        self.loader = loader
        self.samples = loader.samples
        self.order = order
        self._build_state = build_state
        self.reset()

    def reset(self) -> None:
        """Go back to the state before the first step."""
        self.state = self._build_state()
        generator, discriminator = self.state.generator, self.state.discriminator
        # Listed once: walking through the modules takes as long as some small updates.
        self._discriminator_parameters = list(discriminator.parameters())
        self._generator_forward: NetworkFunction = generator
        self._discriminator_forward: NetworkFunction = discriminator
        if self.options.compile:
            graphs = self.options.cuda_graphs
            self._generator_forward = compile_network(generator, cuda_graphs=graphs)
            self._discriminator_forward = compile_network(discriminator, cuda_graphs=graphs)

    def arithmetic(self) -> AbstractContextManager[None]:
        """Make torch compute within the block as this run's options say."""
        return arithmetic(self.device, self.half, tf32=self.options.tf32)

    def step(self) -> StepTerms:
        """Update the discriminator ``n_critic`` times and the generator once.

        Raises:
            GanzooError: the networks should be compiled, and cannot be.
        """
        with self.arithmetic():
            if not self.options.compile:
                return self._update_networks()
            with explain_compile_errors():
                if self.options.cuda_graphs:
                    begin_graphs()
                return self._update_networks()

    def _update_networks(self) -> StepTerms:
        state, options = self.state, self.options
        self._seed_step()
        latents_rng = make_rng(options.seed, "latents", state.step, device=self.device)
        self._set_learning_rates()
        terms = StepTerms()
        for update in range(options.n_critic):
            number = state.step * options.n_critic + update
            real, labels = self.loader.batch(number, self.order)
            D = self._wrap_discriminator(labels)
            inputs = draw_step_inputs(self.setup, real, labels, state.step, latents_rng)
            is_reused = options.reuse_fakes and update == options.n_critic - 1
            with torch.set_grad_enabled(is_reused):
                fake = self._generate(inputs)
            judged = self._fakes_to_judge(fake, labels, update)
            terms.discriminator = self.loss.discriminator_loss(D, real, judged)
            self._descend(
                terms.discriminator, state.discriminator_optimizer, state.discriminator_scale
            )
            self.loss.constrain(state.discriminator)
        with frozen(self._discriminator_parameters):
            if not options.reuse_fakes:
                inputs = draw_step_inputs(self.setup, real, labels, state.step, latents_rng)
                fake = self._generate(inputs)
            terms.generator = self.loss.generator_loss(D, real, fake)
            terms.generator |= self._architecture_terms(inputs, real, fake, terms.generator)
            self._descend(terms.generator, state.generator_optimizer, state.generator_scale)
        # A loss or a layer may depend on buffers; they must not differ when a run is resumed.
        self.team.sync_buffers((state.generator, state.discriminator))
        state.generator_ema.update(self._ema_decay())
        state.step += 1
        return terms

    def _seed_step(self) -> None:
        """Seed torch's global generators, from which losses and layers draw."""
        # Processes hold different samples, and so need different numbers.
        rank = ("rank", self.team.rank) if self.team.rank else ()
        seed_everything(self.device, derive_seed(self.options.seed, "step", self.state.step, *rank))

    def _wrap_discriminator(self, labels: Tensor | None) -> Discriminator:
        """Return the discriminator as a loss calls it."""
        return Discriminator(
            self.state.discriminator,
            labels,
            half=self.half,
            optimizer=self.state.discriminator_optimizer,
            augmentations=self.augmentations,
            called=self._discriminator_forward,
        )

    def _autocast(self) -> AbstractContextManager[object]:
        return half_precision(self.device, self.half)

    def _generate(self, inputs: GeneratorInput) -> Tensor:
        """Return fakes ``(N, *shape)`` in full precision."""
        with self._autocast():
            return inputs.through(self._generator_forward).float()

    @torch.no_grad()
    def _fakes_to_judge(self, fake: Tensor, labels: Tensor | None, update: int) -> Tensor:
        """Return the fakes for one of the discriminator's own updates."""
        if self.state.history is None:
            return fake.detach()
        with self._autocast():
            return self._pass_through_history(self.state.history, fake.detach(), labels, update)

    def _pass_through_history(
        self, history: nn.Module, fake: Tensor, labels: Tensor | None, update: int
    ) -> Tensor:
        """Exchange fakes with a pool of earlier ones, which every process holds as a whole."""
        if self.team.world == 1:
            return history(fake, labels)
        whole = self.team.gather_shares(fake)
        labels = None if labels is None else self.team.gather_shares(labels)
        place: tuple[int | str, ...] = ("step", self.state.step, *([update] if update else []))
        with preserve_rng_state():
            seed_everything(self.device, derive_seed(self.options.seed, *place))
            return self.team.take_share(history(whole, labels))

    def _architecture_terms(
        self, inputs: GeneratorInput, real: Tensor, fake: Tensor, loss_terms: Terms
    ) -> Terms:
        """Return the generator terms of the architecture itself.

        Raises:
            InputError: one has the name of a term of the loss.
        """
        with self._autocast():
            terms = self.architecture.generator_terms(self.state.generator, inputs, real, fake)
        if shared := terms.keys() & loss_terms.keys():
            raise InputError(
                f"the loss and the architecture both name a term '{min(shared)}'; rename one"
            )
        return terms

    def _descend(
        self, terms: Terms, optimizer: torch.optim.Optimizer, scale: LossScale | None
    ) -> None:
        """Do one update of a network against the sum of its loss terms."""
        optimizer.zero_grad(set_to_none=True)
        values = list(terms.values())
        is_single = len(values) == 1 and not values[0].dim()
        loss = values[0] if is_single else torch.stack(values).sum()
        (loss if scale is None else scale(loss)).backward()
        self.team.average(each for group in optimizer.param_groups for each in group["params"])
        if scale is None:
            optimizer.step()
        else:
            scale.step(optimizer)

    def _set_learning_rates(self) -> None:
        """Set the learning rates of this step: decayed, and lowered after each divergence."""
        options, state = self.options, self.state
        if options.lr_decay == "none" and not state.retries:
            return
        factor = self._decay_factor() * options.retry_lr**state.retries
        for optimizer, lr in (
            (state.generator_optimizer, options.generator_lr),
            (state.discriminator_optimizer, options.discriminator_lr),
        ):
            for group in optimizer.param_groups:
                group["lr"] = lr * factor

    def _decay_factor(self) -> float:
        """Return the learning-rate decay at this step, from 1 down to 0."""
        options = self.options
        if options.lr_decay == "none":
            return 1.0
        begin = options.lr_decay_from * options.steps
        done = max(0.0, self.state.step - begin) / max(1.0, options.steps - begin)
        return 1 - done if options.lr_decay == "linear" else (1 + math.cos(math.pi * done)) / 2

    def _ema_decay(self) -> float:
        """Return the decay of the averaged weights at this step.

        Karras et al. 2020 (arXiv:1912.04958), in their code: a half-life in images, which is at
        most a share of the images seen.
        """
        options = self.options
        images = options.n_critic * options.batch_size
        half_life = options.ema_half_life
        if options.ema_ramp:
            half_life = min(half_life, options.ema_ramp * self.state.step * images)
        return 0.5 ** (images / half_life) if half_life else 0.0


@contextmanager
def frozen(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Keep parameters from collecting gradients within the block."""
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
