"""The training step. It never waits for the device: reading results back is the loop's work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganzoo.compute.compiling import begin_graphs, compile_network, explain_compile_errors
from ganzoo.compute.devices import arithmetic
from ganzoo.compute.seeding import derive_seed, make_rng, seed_everything
from ganzoo.training.memory import report_augmentations
from ganzoo.training.optimizers import OptimizerSettings, decay_factor, ema_decay
from ganzoo.training.parts import StepParts
from ganzoo.training.terms import TermChecks
from ganzoo.training.updates import NetworkUpdates, Passes, Update, frozen

if TYPE_CHECKING:
    from ganzoo.config import TrainOptions
    from ganzoo.protocols.schedule import Schedule
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

    While the architecture plays no game (:meth:`ganzoo.Architecture.is_adversarial`), the generator
    trains alone.

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
        self.options = setup.options
        self.device = setup.device
        self.team = setup.team
        self.conditional = setup.conditional
        self.half = setup.half
        self.loader = loader
        self.samples = loader.samples
        self.order = order
        self.on_update: Callable[[Update], None] | None = None
        """Is shown the main update of each network just before its optimiser's step, once its
        gradients are there; it may wait, and must not change the networks. What it does draws no
        random number of the training. None if nobody watches, which costs nothing."""
        self.recent_terms: dict[str, Tensor] = {}
        """The last value of each term since the last line of metrics, as ``network/name``."""
        self._build_state = build_state
        self._checks = TermChecks()
        self.reset()

    def reset(self) -> None:
        """Go back to the state before the first step."""
        self.state = self._build_state()
        self.recent_terms.clear()
        generator, discriminator = self.state.generator, self.state.discriminator
        # Listed once: walking through the modules takes as long as some small updates.
        self._discriminator_parameters = list(discriminator.parameters())
        self._passes = Passes(generator, discriminator)
        if self.options.compile:
            graphs = self.options.cuda_graphs
            self._passes = Passes(
                compile_network(generator, cuda_graphs=graphs),
                compile_network(discriminator, cuda_graphs=graphs),
            )
        self._set_optimizers(self.parts_now())
        self.advance()

    def change(self, options: TrainOptions, schedules: Mapping[str, Schedule]) -> None:
        """Do the next steps with other options, which must change no part that is built already."""
        self.options = options
        self.setup = replace(self.setup, options=options, schedules=dict(schedules))

    def arithmetic(self) -> AbstractContextManager[None]:
        """Make torch compute within the block as this run's options say."""
        return arithmetic(self.device, self.half, tf32=self.options.tf32)

    def advance(self) -> None:
        """Prepare the networks for the step that the state is at."""
        state, now = self.state, self.setup.progress_at(self.state.step)
        for network in (state.generator, state.generator_ema.module, state.discriminator):
            self.architecture.advance(network, now)

    def step(self) -> StepTerms:
        """Update the discriminator ``n_critic`` times and the generator once; or this alone.

        Raises:
            ganzoo.errors.PluginError: a loss, a penalty or the architecture gave something else
                than named scalar tensors.
            GanzooError: the networks should be compiled, and cannot be.
        """
        with self.arithmetic():
            if not self.options.compile:
                return self._update_networks()
            with explain_compile_errors():
                if self.options.cuda_graphs:
                    begin_graphs()
                return self._update_networks()

    def settle_terms(self) -> None:
        """Put the recent terms into the state, as their means over the processes."""
        if self.recent_terms:
            values = torch.stack([each.float() for each in self.recent_terms.values()])
            means = self.team.mean(values)
            self.state.terms |= dict(zip(self.recent_terms, means, strict=True))
            self.recent_terms.clear()

    def take_terms(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the values of all terms since the last call, as ``network/name``.

        What augmentations report of their state is among them, as ``augmentation/NAME_key``.

        Returns:
            Those of this process alone, and those that are means over all processes already.
        """
        reports = report_augmentations(self.parts_now().augmentations, self.state.memories)
        found = dict(self.recent_terms), {**self.state.terms, **reports}
        self.recent_terms.clear()
        self.state.terms.clear()
        return found

    def _update_networks(self) -> StepTerms:
        state = self.state
        self._seed_step()
        latents_rng = make_rng(self.options.seed, "latents", state.step, device=self.device)
        parts = self.parts_now()
        self._set_optimizers(parts)
        self.advance()
        updates = NetworkUpdates(
            self.setup,
            state,
            parts,
            self._passes,
            self.loader,
            self.order,
            latents_rng,
            self._checks,
            self.on_update,
        )
        terms = self._play(updates)
        # A loss or a layer may depend on buffers; they must not differ when a run is resumed.
        self.team.sync_buffers((state.generator, state.discriminator, *state.memories.values()))
        state.generator_ema.update(ema_decay(parts.options, updates.now))
        state.step += 1
        self.advance()
        self.recent_terms |= {
            f"{network}/{name}": term
            for network, by_name in vars(terms).items()
            for name, term in by_name.items()
        }
        return terms

    def _play(self, updates: NetworkUpdates) -> StepTerms:
        """Do the updates of a step: those of the game, or that of the generator alone."""
        if not self.architecture.is_adversarial(updates.now):
            return StepTerms(generator=updates.update_generator_alone())
        terms = StepTerms()
        for update in range(updates.options.n_critic):
            terms.discriminator |= updates.update_discriminator(update)
        with frozen(self._discriminator_parameters):
            terms.generator = updates.update_generator()
        return terms

    def parts_now(self) -> StepParts:
        """Return components and options as schedules say for this step."""
        setup = self.setup
        parts = StepParts(
            self.loss, setup.penalties, setup.augmentations, self.options, setup.schedules
        )
        return parts.at(setup.progress_at(self.state.step))

    def _seed_step(self) -> None:
        """Seed torch's global generators, from which losses and layers draw."""
        # Processes hold different samples, and so need different numbers.
        rank = ("rank", self.team.rank) if self.team.rank else ()
        seed_everything(self.device, derive_seed(self.options.seed, "step", self.state.step, *rank))

    def _set_optimizers(self, parts: StepParts) -> None:
        """Set the optimisers for this step: rates are decayed, and lowered after divergences."""
        options, state = parts.options, self.state
        factor = decay_factor(options, state.step) * options.retry_lr**state.retries
        for network, optimizer in (
            ("generator", state.generator_optimizer),
            ("discriminator", state.discriminator_optimizer),
        ):
            lazy = [each for each in parts.penalties_of(network).values() if each.interval > 1]
            OptimizerSettings.of(options, network, lazy, factor).apply(optimizer)
