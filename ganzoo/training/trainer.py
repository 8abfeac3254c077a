"""Training: the step. It never waits for the device; the loop around it reads what it logs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ganzoo import distributed
from ganzoo.compute.compiling import begin_graphs, compile_network, explain_compile_errors
from ganzoo.compute.devices import HALF_TYPES, arithmetic, half_precision, resolve_device
from ganzoo.compute.loss_scale import LossScale
from ganzoo.compute.seeding import derive_seed, make_rng, preserve_rng_state, seed_everything
from ganzoo.config import TrainOptions
from ganzoo.errors import InputError
from ganzoo.media.images import COLUMNS, choose_columns
from ganzoo.models.inputs import cycle_classes
from ganzoo.protocols.architecture import GeneratorInput
from ganzoo.protocols.loss import Discriminator
from ganzoo.training.batch_order import BalancedOrder, BatchOrder
from ganzoo.training.batches import BatchLoader
from ganzoo.training.checkpoint import TrainState
from ganzoo.training.ema import MovingAverage
from ganzoo.training.preconditions import (
    _check_augmentations,
    _check_balance,
    _check_labels,
    _check_options,
    _check_shares,
)

if TYPE_CHECKING:
    from ganzoo.protocols.architecture import Architecture
    from ganzoo.protocols.augmentation import Augmentation
    from ganzoo.protocols.dataset import DataSpec, Samples
    from ganzoo.protocols.loss import Loss, Terms
    from ganzoo.training.warm_start import StartingWeights

PICTURE_IMAGES = 64
"""Samples in each sample picture of images."""
PICTURE_POINTS = 2500
"""Samples in each sample picture of vectors."""


@dataclass
class StepTerms:
    """The loss terms of a step, still on the device, by network and name."""

    discriminator: dict[str, Tensor] = field(default_factory=dict)
    generator: dict[str, Tensor] = field(default_factory=dict)


class Trainer:
    """The two networks at play: one call of :meth:`step` is one generator update.

    Everything that a step draws comes from the run's seed and the step's number.

    Args:
        architecture: Builds the networks.
        loss: What they play for.
        samples: The data.
        options: How they are trained.
        augmentations: What the discriminator's samples pass through, by name, in this order.
        initial: What the networks start from, if not from weights that are drawn.

    Raises:
        InputError: the architecture or an augmentation does not fit the data, or the discriminator
            the loss.
    """

    def __init__(
        self,
        architecture: Architecture,
        loss: Loss,
        samples: Samples,
        options: TrainOptions,
        augmentations: Mapping[str, Augmentation] | None = None,
        initial: StartingWeights | None = None,
    ) -> None:
        self.architecture = architecture
        self.loss = loss
        self.options = options
        self.starting_weights = initial
        self.device = resolve_device(options.device)
        self.team = distributed.current()
        self.team.connect(self.device)
        _check_shares(options.batch_size, self.team.world)
        self.conditional = architecture.takes_labels(samples.spec)
        self.half = HALF_TYPES[options.precision]
        _check_options(options, self.device)
        self.augmentations = dict(augmentations or {})
        _check_augmentations(self.augmentations, samples.spec)
        if self.conditional:
            _check_labels(samples)
        self.loader = BatchLoader(
            samples,
            self.device,
            options.seed,
            labelled=self.conditional,
            team=self.team,
            memory_format=architecture.memory_format,
        )
        self.samples = self.loader.samples
        self.reset()
        if architecture.takes_images:
            _check_balance(samples, options, self.team.world)
        self.order = self._build_order(options.batch_size, options.seed)

    def reset(self) -> None:
        """Go back to the state before the first step."""
        self.state = self._build_state(self.samples.spec)
        self._generator_forward, self._discriminator_forward = (
            self.state.generator,
            self.state.discriminator,
        )
        # Listed once: to walk through the modules takes as long as some small updates.
        self._discriminator_parameters = list(self.state.discriminator.parameters())
        if self.options.compile:
            graphs = self.options.cuda_graphs
            self._generator_forward = compile_network(self.state.generator, cuda_graphs=graphs)
            self._discriminator_forward = compile_network(
                self.state.discriminator, cuda_graphs=graphs
            )

    def _build_order(self, batch_size: int, seed: int) -> BatchOrder | BalancedOrder:
        if self.architecture.takes_images:
            return BalancedOrder(self.samples.labels, batch_size, seed, self.loader.index_device)
        return BatchOrder(len(self.samples), batch_size, seed, self.loader.index_device)

    def _build_state(self, data: DataSpec) -> TrainState:
        seed_everything(self.device, derive_seed(self.options.seed, "weights"))
        generator = self.architecture.generator(data)
        discriminator = self.architecture.discriminator(
            data, independent_samples=self.loss.independent_samples
        )
        self.loss.check_discriminator(discriminator, data, conditional=self.conditional)
        if self.starting_weights is not None:
            generator.load_state_dict(self.starting_weights.generator)
            discriminator.load_state_dict(self.starting_weights.discriminator)
        generator, discriminator = self._sync_batch_norm(generator, discriminator)
        for network in (generator, discriminator):
            network.to(self.device, memory_format=self.architecture.memory_format).train()
        self.loss.constrain(discriminator)
        history = self.architecture.history(data)
        return TrainState(
            generator,
            discriminator,
            MovingAverage(generator, self._ema_decay),
            self._build_optimizer(generator, self.options.generator_lr),
            self._build_optimizer(discriminator, self.options.discriminator_lr),
            None if history is None else history.to(self.device),
            *self._build_scales(),
        )

    def _build_scales(self) -> list[LossScale]:
        return [LossScale(self.device) for _ in range(2)] if self.half is torch.float16 else []

    def _sync_batch_norm(self, *networks: nn.Module) -> list[nn.Module]:
        """Have batch normalisation look at the batches of all processes, where torch has that."""
        if self.team.world == 1 or self.device.type != "cuda":
            return list(networks)
        generator, discriminator = networks
        convert = nn.SyncBatchNorm.convert_sync_batchnorm
        # Its gradient cannot be differentiated again.
        return [
            convert(generator),
            discriminator if self.loss.second_order else convert(discriminator),
        ]

    def describe_unsynced(self) -> list[str]:
        """Say which networks normalise by what each process sees alone, a line if any does."""
        words = [
            word
            for word in ("generator", "discriminator")
            if any(
                isinstance(module, nn.modules.batchnorm._BatchNorm)
                and not isinstance(module, nn.SyncBatchNorm)
                for module in getattr(self.state, word).modules()
            )
        ]
        if self.team.world == 1 or not words:
            return []
        share = self.options.batch_size // self.team.world
        return [
            f"batch normalisation of the {' and the '.join(words)} is over the {share} samples of "
            "each process, not over the whole batch: torch has no other here"
        ]

    def _build_optimizer(self, network: nn.Module, lr: float) -> torch.optim.Optimizer:
        if self.options.optimizer == "rmsprop":
            return torch.optim.RMSprop(network.parameters(), lr=lr, foreach=True)
        # One pass through memory in place of ten, which is most of what a small step takes.
        fused = self.device.type in ("cpu", "cuda")
        parameters = network.parameters()
        return torch.optim.Adam(parameters, lr=lr, betas=self.options.betas, fused=fused)

    def arithmetic(self) -> AbstractContextManager[None]:
        """Have torch compute as this run's options say while the block lasts."""
        return arithmetic(self.device, self.half, tf32=self.options.tf32)

    def step(self) -> StepTerms:
        """Update the discriminator ``n_critic`` times and the generator once.

        Raises:
            GanzooError: the networks are to be compiled, and cannot be.
        """
        with self.arithmetic():
            if not self.options.compile:
                return self._update_networks()
            with explain_compile_errors():
                if self.options.cuda_graphs:
                    begin_graphs()
                return self._update_networks()

    def _update_networks(self) -> StepTerms:
        state, n_critic = self.state, self.options.n_critic
        # What a loss or a layer draws comes from the global generator; for other samples, other
        # numbers.
        others = ("rank", self.team.rank) if self.team.rank else ()
        seed = derive_seed(self.options.seed, "step", state.step, *others)
        seed_everything(self.device, seed)
        rng = make_rng(self.options.seed, "latents", state.step, device=self.device)
        self._set_learning_rates()
        terms = StepTerms()
        for i in range(n_critic):
            real, labels = self.loader.batch(state.step * n_critic + i, self.order)
            D = self._wrap_discriminator(labels)
            inputs = self._draw_inputs(real, labels, rng)
            with torch.set_grad_enabled(self.options.reuse_fakes and i == n_critic - 1):
                fake = self._generate(inputs)
            shown = self._fakes_to_judge(fake, labels, i)
            terms.discriminator = self.loss.discriminator_loss(D, real, shown)
            self._descend(
                terms.discriminator, state.discriminator_optimizer, state.discriminator_scale
            )
            self.loss.constrain(state.discriminator)
        with frozen(self._discriminator_parameters):
            if not self.options.reuse_fakes:
                inputs = self._draw_inputs(real, labels, rng)
                fake = self._generate(inputs)
            terms.generator = self.loss.generator_loss(D, real, fake)
            terms.generator |= self._own_terms(inputs, real, fake, taken=terms.generator)
            self._descend(terms.generator, state.generator_optimizer, state.generator_scale)
        state.generator_ema.update()
        state.step += 1
        return terms

    def _descend(
        self,
        terms: dict[str, Tensor],
        optimizer: torch.optim.Optimizer,
        scale: LossScale | None,
    ) -> None:
        optimizer.zero_grad(set_to_none=True)
        values = list(terms.values())
        alone = len(values) == 1 and not values[0].dim()
        loss = values[0] if alone else torch.stack(values).sum()
        (loss if scale is None else scale(loss)).backward()
        self.team.average(each for group in optimizer.param_groups for each in group["params"])
        if scale is None:
            optimizer.step()
        else:
            scale.step(optimizer)

    def _pass_history(
        self, history: nn.Module, fake: Tensor, labels: Tensor | None, update: int
    ) -> Tensor:
        """Pass fakes through what remembers earlier ones: those of all processes, in each."""
        if self.team.world == 1:
            return history(fake, labels)
        whole = self.team.gather_shares(fake)
        labels = None if labels is None else self.team.gather_shares(labels)
        place = ("step", self.state.step, *([update] if update else []))
        with preserve_rng_state():
            seed_everything(self.device, derive_seed(self.options.seed, *place))
            return self.team.take_share(history(whole, labels))

    @property
    def columns(self) -> int:
        """Images in a row of the run's sample pictures; each class has its own, up to 64."""
        by_class = self.conditional and not self.architecture.takes_images
        return choose_columns(self.samples.spec.classes if by_class else None)

    def picture_inputs(self) -> GeneratorInput:
        """Return what the run's sample pictures are made from, the same at every step."""
        data = self.samples.spec
        if self.architecture.takes_images:
            share = max(COLUMNS, PICTURE_IMAGES // 2 // data.classes // COLUMNS * COLUMNS)
            order = self._build_order(
                share * data.classes, derive_seed(self.options.seed, "picture")
            )
            real, labels = self.loader.select(order(0))
            return self._pair_sources(real, labels, 1)
        count = PICTURE_IMAGES // self.columns * self.columns if data.is_image else PICTURE_POINTS
        labels = cycle_classes(count, data.classes) if self.conditional else None
        rng = make_rng(self.options.seed, "picture")
        return GeneratorInput(self.architecture.latents(count, rng), labels)

    def _generate(self, inputs: GeneratorInput) -> Tensor:
        with self._autocast():
            return inputs.through(self._generator_forward).float()

    @torch.no_grad()
    def _fakes_to_judge(self, fake: Tensor, labels: Tensor | None, update: int) -> Tensor:
        """Return the fakes of one of the discriminator's own updates."""
        if self.state.history is None:
            return fake.detach()
        with self._autocast():
            return self._pass_history(self.state.history, fake.detach(), labels, update)

    def _own_terms(self, inputs: GeneratorInput, real: Tensor, fake: Tensor, taken: Terms) -> Terms:
        with self._autocast():
            own = self.architecture.generator_terms(self.state.generator, inputs, real, fake)
        if both := own.keys() & taken.keys():
            raise InputError(
                f"the loss and the architecture both name a term '{min(both)}'; rename one"
            )
        return own

    def _wrap_discriminator(self, labels: Tensor | None) -> Discriminator:
        state = self.state
        return Discriminator(
            state.discriminator,
            labels,
            half=self.half,
            optimizer=state.discriminator_optimizer,
            augmentations=tuple(self.augmentations.values()),
            called=self._discriminator_forward,
        )

    def _autocast(self) -> AbstractContextManager[object]:
        return half_precision(self.device, self.half)

    def _set_learning_rates(self) -> None:
        options, state = self.options, self.state
        if options.lr_decay == "none" and not state.retries:
            return
        left = self._lr_factor() * options.retry_lr**state.retries
        for optimizer, lr in (
            (state.generator_optimizer, options.generator_lr),
            (state.discriminator_optimizer, options.discriminator_lr),
        ):
            for group in optimizer.param_groups:
                group["lr"] = lr * left

    def _lr_factor(self) -> float:
        """Return the share of the learning rates that their decay leaves at this step."""
        options = self.options
        if options.lr_decay == "none":
            return 1.0
        begin = options.lr_decay_from * options.steps
        done = max(0.0, self.state.step - begin) / max(1.0, options.steps - begin)
        return 1 - done if options.lr_decay == "linear" else (1 + math.cos(math.pi * done)) / 2

    def _ema_decay(self) -> float:
        """Return the decay of the averaged weights at this step."""
        step = self.state.step
        return min(self.options.ema_decay, (1 + step) / (10 + step))

    def _draw_inputs(
        self, real: Tensor, labels: Tensor | None, rng: torch.Generator
    ) -> GeneratorInput:
        if not self.architecture.takes_images:
            latents = self.architecture.latents(self.options.batch_size, rng)
            return GeneratorInput(self.team.take_share(latents), labels)
        others = self.samples.spec.classes - 1
        turn = 1 + derive_seed(self.options.seed, "sources", self.state.step) % others
        return self._pair_sources(real, labels, turn)

    def _pair_sources(self, real: Tensor, labels: Tensor, turn: int) -> GeneratorInput:
        # A balanced batch holds class after class, so that a turn by whole classes pairs each
        # wanted sample with a source of another one.
        shift = turn * (len(real) // self.samples.spec.classes)
        return GeneratorInput(real.roll(shift, 0), labels, labels.roll(shift, 0))


@contextmanager
def frozen(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Keep parameters from getting gradients, and give back what they were."""
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
