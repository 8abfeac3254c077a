"""The updates of both networks in one step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ganzoo.compute.devices import half_precision
from ganzoo.compute.seeding import derive_seed, preserve_rng_state, seed_everything
from ganzoo.errors import InputError
from ganzoo.protocols.discriminator import Discriminator
from ganzoo.protocols.packing import Packing, complete_reals
from ganzoo.training.inputs import Batch, draw_step_inputs
from ganzoo.training.memory import (
    LOSS,
    Observed,
    bind_augmentations,
    find_adaptive,
    list_objectives,
    memory_of_penalty,
    show_logits,
)
from ganzoo.training.optimizers import clip_gradients

if TYPE_CHECKING:
    from ganzoo.compute.compiling import NetworkFunction
    from ganzoo.compute.loss_scale import LossScale
    from ganzoo.protocols.architecture import GeneratorInput
    from ganzoo.protocols.objective import Objective, Terms
    from ganzoo.protocols.penalty import Penalty
    from ganzoo.protocols.progress import Progress
    from ganzoo.training.batch_order import Order
    from ganzoo.training.batches import BatchLoader, RealBatch
    from ganzoo.training.checkpoint import TrainState
    from ganzoo.training.parts import StepParts
    from ganzoo.training.setup import TrainingSetup
    from ganzoo.training.terms import TermChecks

    Compute = Callable[[Batch, Observed], Terms]
    """Computes the terms of a part of a batch."""


@dataclass(frozen=True)
class Passes:
    """The networks as they are called: themselves, or compiled ones.

    Those can be differentiated once.
    """

    generator: NetworkFunction
    discriminator: NetworkFunction


@dataclass(frozen=True)
class Update:
    """An update of a network that is about to be done: its gradients are there.

    :attr:`ganzoo.training.trainer.Trainer.on_update` gets it. Nothing that it computes changes the
    training, or draws from its random numbers. It is valid during that call. N is the number of
    this process's samples in a batch.
    """

    network: str
    """``discriminator`` or ``generator``."""
    update: int
    """Number of the update of this network in its step, from 0."""
    step: int
    """Number of the step, from 1: that of :attr:`~ganzoo.protocols.progress.Progress.step` once it
    is done."""
    real: Tensor
    """Samples of the data ``(N, *shape)``, as the discriminator is shown them."""
    labels: Tensor | None
    """Their classes ``(N,)``, if the networks take them."""
    inputs: GeneratorInput
    """What the fakes were made from."""
    fake: Tensor
    """Samples of the generator ``(N, *shape)``, without a graph."""
    terms: Terms
    """The terms of the network's loss, by name: scalars on the device."""
    _updates: NetworkUpdates
    _generated: Mapping[str, Tensor]

    def judge(self, samples: Tensor) -> Tensor:
        """Return the logits ``(N,)`` of samples ``(N, *shape)``: means, if each has several.

        The discriminator judges as it is before this update, in evaluation mode. One that looks at
        classes or sources takes them from this batch, so the samples are as many as its own, or a
        multiple.
        """
        return self._updates.judge(self, samples)

    def fake_gradients(self) -> Tensor:
        """Return where each fake would move to lower the generator's loss, ``(N, *shape)``.

        That is the negated gradient, by the fakes, of what :attr:`~ganzoo.Loss.generator_loss`
        says of the whole batch with the discriminator as it is before this update; of the
        architecture's own terms while no game is played. It is computed in full precision.
        """
        return self._updates.find_fake_gradients(self, self._generated)

    def gradient_norm(self) -> Tensor:
        """Return the norm of the network's gradient as metrics hold it: a scalar on the device."""
        return self._updates.measure_gradient(self.network)


class NetworkUpdates:
    """The updates of one step, in the order of the methods.

    Args:
        setup: Components, device and processes.
        state: What is updated.
        parts: Components and options, as schedules say for this step.
        passes: The networks as they are called.
        loader: Gives the batches.
        order: Which samples each batch holds.
        latents_rng: Draws the latents of the step.
        checks: Checks what objectives return.
        on_update: Is shown each network's update before it is done, if anybody watches.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        state: TrainState,
        parts: StepParts,
        passes: Passes,
        loader: BatchLoader,
        order: Order,
        latents_rng: torch.Generator,
        checks: TermChecks,
        on_update: Callable[[Update], None] | None = None,
    ) -> None:
        self.setup = setup
        self.state = state
        self.parts = parts
        self.options = parts.options
        self.passes = passes
        self.loader = loader
        self.order = order
        self.latents_rng = latents_rng
        self.checks = checks
        self.on_update = on_update
        self._made: list[Mapping[str, Tensor]] | None = None
        """Gets what the generator makes for its own update, while somebody watches."""
        self.now = setup.progress_at(state.step)
        self.augmentations = bind_augmentations(parts.augmentations, state.memories)
        self._adaptive = find_adaptive(parts.augmentations, state.memories)
        self._objectives = list_objectives(parts)

    def update_discriminator(self, update: int) -> Terms:
        """Do one update of the discriminator, and those of lazy penalties that are due then.

        Args:
            update: Number of the update in this step.
        """
        progress = self.setup.progress_at(self.state.step, update)
        loaded = self.loader.batch(progress.updates, self.order)
        real, labels, _ = loaded
        inputs = self._draw_inputs(loaded, progress)
        shown = self.setup.architecture.prepare_real(real, self.now)
        is_reused = self.options.reuse_fakes and update == self.options.n_critic - 1
        with torch.set_grad_enabled(is_reused):
            generated = self._generate(inputs)
        self._loaded = loaded
        self._batch = Batch(shown, labels, inputs, generated if is_reused else None)
        judged = {name: each.detach() for name, each in generated.items()}
        judged |= self._fakes_to_judge(judged, labels, update)
        batch = Batch(shown, labels, inputs, judged)
        eager, lazy = _split_penalties(self.parts.penalties_of("discriminator"))
        logits: list[Tensor] | None = [] if self._adaptive else None
        compute = partial(self._compute_discriminator_terms, eager, logits)
        show = self._show(update, batch)
        terms = self._descend("discriminator", batch, compute, show=show)
        for name, penalty in lazy.items():
            if progress.updates % penalty.interval == 0:
                compute = partial(self._compute_lazy_terms, "discriminator", name, penalty)
                _add(terms, self._descend("discriminator", batch, compute, penalty.interval), name)
        self.parts.loss.constrain(self.state.discriminator)
        if logits:
            whole = self.setup.team.gather_shares(torch.cat(logits))
            show_logits(self._adaptive, whole, progress)
        return terms

    def update_generator(self) -> Terms:
        """Do the update of the generator, and those of lazy penalties that are due.

        The parameters of the discriminator must be frozen.
        """
        batch = self._batch
        if batch.generated is None:
            progress = self.setup.progress_at(self.state.step, self.options.n_critic)
            inputs = self._draw_inputs(self._loaded, progress)
            batch = replace(batch, inputs=inputs)
        eager, lazy = _split_penalties(self.parts.penalties_of("generator"))
        compute = partial(self._compute_generator_terms, eager)
        terms = self._descend("generator", batch, compute, show=self._show(0, batch))
        for name, penalty in lazy.items():
            if self.now.step % penalty.interval == 0:
                compute = partial(self._compute_lazy_terms, "generator", name, penalty)
                again = replace(batch, generated=None)
                _add(terms, self._descend("generator", again, compute, penalty.interval), name)
        return terms

    def update_generator_alone(self) -> Terms:
        """Do the update of the generator against the architecture's own terms, without a game."""
        last = self.setup.progress_at(self.state.step, self.options.n_critic - 1)
        loaded = self.loader.batch(last.updates, self.order)
        shown = self.setup.architecture.prepare_real(loaded.real, self.now)
        batch = Batch(shown, loaded.labels, self._draw_inputs(loaded, self.now))
        show = self._show(0, batch)
        return self._descend("generator", batch, self._compute_terms_alone, show=show)

    # What is shown of an update

    def _show(self, update: int, batch: Batch) -> Callable[[str, Terms], None] | None:
        """Return what shows a network's update of a batch; None if nobody watches."""
        if self.on_update is None:
            return None
        made: list[Mapping[str, Tensor]] = []
        self._made = made

        def show(network: str, terms: Terms) -> None:
            assert self.on_update is not None, "asked before"
            whole = {name: torch.cat([part[name] for part in made]) for name in made[0]}
            shown = Update(
                network,
                update,
                self.state.step + 1,
                batch.real,
                batch.labels,
                batch.inputs,
                whole["samples"],
                dict(terms),
                self,
                whole,
            )
            self._made = None
            with preserve_rng_state():
                self.on_update(shown)

        return show

    def _keep_made(self, generated: Mapping[str, Tensor]) -> None:
        if self._made is not None:
            self._made.append({name: each.detach() for name, each in generated.items()})

    @torch.no_grad()
    def judge(self, update: Update, samples: Tensor) -> Tensor:
        """Return what :meth:`Update.judge` says."""
        architecture, network = self.setup.architecture, self.state.discriminator
        parts = {"samples": samples}
        if architecture.judged_parts:
            parts = complete_reals(architecture, samples)
        D = Discriminator(
            network,
            update.labels,
            source=update.inputs.given if architecture.judges_source else None,
            packing=self._find_packing(parts),
        )
        modes = [(module, module.training) for module in network.modules()]
        network.eval()
        try:
            logits = D(D.pack(parts))
        finally:
            for module, mode in modes:
                module.training = mode
        return logits.flatten(1).mean(1) if logits.dim() > 1 else logits

    def find_fake_gradients(self, update: Update, generated: Mapping[str, Tensor]) -> Tensor:
        """Return what :meth:`Update.fake_gradients` says."""
        state, count = self.state, self.options.accumulate
        batch = Batch(update.real, update.labels, update.inputs, generated)
        found = []
        with (
            torch.enable_grad(),
            preserve_rng_state(),
            _kept_buffers((state.discriminator, state.generator, *state.memories.values())),
            frozen(state.discriminator.parameters()),
        ):
            for part in batch.split(count):
                made = {name: each.detach() for name, each in _require_generated(part).items()}
                samples = made["samples"] = made["samples"].clone().requires_grad_()
                total = torch.stack(list(self._compute_for_generator(part, made).values())).sum()
                if total.requires_grad:
                    (slope,) = torch.autograd.grad(
                        total / count, samples, allow_unused=True, materialize_grads=True
                    )
                else:
                    slope = torch.zeros_like(samples)
                found.append(-slope)
        return torch.cat(found)

    def _compute_for_generator(self, part: Batch, generated: Mapping[str, Tensor]) -> Terms:
        """Return the loss of the generator, or its own terms while no game is played."""
        architecture, state = self.setup.architecture, self.state
        if not architecture.is_adversarial(self.now):
            samples = generated["samples"]
            return architecture.generator_terms(state.generator, part.inputs, part.real, samples)
        D = self._wrap(part, generated, is_generators=True)
        D = D.of(state.memories.get(LOSS), in_full_precision=True)
        return self.parts.loss.generator_loss(D, *self._pair(D, part, generated))

    def measure_gradient(self, network: str) -> Tensor:
        """Return what :meth:`Update.gradient_norm` says."""
        parameters = getattr(self.state, network).parameters()
        gradients = [each.grad for each in parameters if each.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        scale: LossScale | None = getattr(self.state, f"{network}_scale")
        return norm if scale is None else norm / scale(torch.ones_like(norm))

    # Terms

    def _compute_discriminator_terms(
        self,
        penalties: Mapping[str, Penalty],
        logits: list[Tensor] | None,
        batch: Batch,
        observed: Observed,
    ) -> Terms:
        """Return the terms of the loss and of penalties that are due in every update.

        Args:
            penalties: The penalties.
            logits: Gets the logits of the reals, unless it is None.
            batch: The batch, or a part of it.
            observed: Gets what the objectives observe.
        """
        generated = _require_generated(batch)
        self._keep_made(generated)
        D = self._wrap(batch, generated, remembers=bool(penalties) or logits is not None)
        real, fake = self._pair(D, batch, generated)
        loss = self.parts.loss
        terms = self._compute(loss, loss.discriminator_loss, D, real, fake, LOSS, observed)
        for name, penalty in penalties.items():
            own = self._lend(D, name, penalty)
            method, memory = penalty.discriminator_terms, memory_of_penalty(name)
            more = self._compute(penalty, method, own, real, fake, memory, observed)
            _add(terms, more, name)
        if logits is not None:
            with torch.no_grad():
                logits.append(D.recall(real).detach())
        return terms

    def _compute_generator_terms(
        self, penalties: Mapping[str, Penalty], batch: Batch, observed: Observed
    ) -> Terms:
        """Return the terms of the loss, the architecture and penalties due in every update."""
        generated = batch.generated or self._generate(batch.inputs)
        self._keep_made(generated)
        D = self._wrap(batch, generated, remembers=bool(penalties), is_generators=True)
        real, fake = self._pair(D, batch, generated)
        loss = self.parts.loss
        terms = self._compute(loss, loss.generator_loss, D, real, fake, LOSS, observed)
        own = self._compute_own_terms(batch, generated)
        if shared := own.keys() & terms.keys():
            raise InputError(
                f"the loss and the architecture both name a term '{min(shared)}'; rename one"
            )
        terms |= own
        for name, penalty in penalties.items():
            method, memory = penalty.generator_terms, memory_of_penalty(name)
            lent = self._lend(D, name, penalty)
            more = self._compute(penalty, method, lent, real, fake, memory, observed)
            _add(terms, more, name)
        return terms

    def _compute_own_terms(self, batch: Batch, generated: Mapping[str, Tensor]) -> Terms:
        """Return the terms of the architecture itself."""
        architecture = self.setup.architecture
        with self._autocast():
            terms = architecture.generator_terms(
                self.state.generator, batch.inputs, batch.real, generated["samples"]
            )
        self.checks.check(architecture, architecture.generator_terms, terms)
        return terms

    def _compute_terms_alone(self, batch: Batch, observed: Observed) -> Terms:
        """Return the terms of the generator while no game is played."""
        generated = self._generate(batch.inputs)
        self._keep_made(generated)
        terms = self._compute_own_terms(batch, generated)
        if not terms:
            raise InputError(
                f"'{self.setup.architecture_name}' plays no game yet, and gives its generator no "
                "terms of its own to learn from: its generator_terms() must give some"
            )
        return terms

    def _compute_lazy_terms(
        self, network: str, name: str, penalty: Penalty, batch: Batch, observed: Observed
    ) -> Terms:
        """Return the terms of a lazy penalty for a network."""
        is_generators = network == "generator"
        generated = batch.generated or {}
        if not generated and penalty.needs_fakes:
            precise = bool(penalty.second_order)
            generated = self._generate(batch.inputs, in_full_precision=precise)
        D = self._wrap(batch, generated, is_generators=is_generators)
        method = penalty.generator_terms if is_generators else penalty.discriminator_terms
        lent, memory = self._lend(D, name, penalty), memory_of_penalty(name)
        real, fake = self._pair(D, batch, generated)
        return self._compute(penalty, method, lent, real, fake, memory, observed)

    def _compute(
        self,
        objective: Objective,
        method: Callable[[Discriminator, Tensor, Tensor], Terms],
        D: Discriminator,
        real: Tensor,
        fake: Tensor,
        memory: str,
        observed: Observed,
    ) -> Terms:
        """Return the terms of an objective, and collect what it observes."""
        terms = method(D, real, fake)
        self.checks.check(objective, method, terms)
        observed.add(memory, D.take_observed())
        return terms

    def _wrap(
        self,
        batch: Batch,
        generated: Mapping[str, Tensor],
        *,
        remembers: bool = False,
        is_generators: bool = False,
    ) -> Discriminator:
        """Return the discriminator as the loss calls it."""
        D = Discriminator(
            self.state.discriminator,
            batch.labels,
            half=self.setup.half,
            optimizer=self.state.discriminator_optimizer,
            augmentations=self.augmentations,
            called=self.passes.discriminator,
            source=batch.inputs.given if self.setup.architecture.judges_source else None,
            progress=batch.inputs.progress or self.now,
            inputs=batch.inputs,
            generator=self.state.generator,
            generated=generated,
            generates_with_gradient=is_generators,
            remembers_calls=remembers,
            packing=self._find_packing(generated),
            latent_parts=self.setup.architecture.latent_parts(),
        )
        D.state = self.state.memories.get(LOSS)
        return D

    def _find_packing(self, generated: Mapping[str, Tensor]) -> Packing | None:
        """Return how samples and judged parts lie in one tensor; None for samples alone."""
        judged = self.setup.architecture.judged_parts
        if not (judged and generated):
            return None
        return Packing.of({name: generated[name] for name in ("samples", *judged)})

    def _pair(
        self, D: Discriminator, batch: Batch, generated: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the reals and the fakes as losses and penalties get them, or none."""
        architecture = self.setup.architecture
        if not generated:
            return batch.real, batch.real[:0]
        if not architecture.judged_parts:
            return batch.real, generated["samples"]
        return D.pack(complete_reals(architecture, batch.real)), D.pack(generated)

    def _lend(self, D: Discriminator, name: str, penalty: Penalty) -> Discriminator:
        """Return the discriminator as a penalty calls it."""
        memory = self.state.memories.get(memory_of_penalty(name))
        return D.of(memory, in_full_precision=bool(penalty.second_order))

    # Descent

    def _descend(
        self,
        network: str,
        batch: Batch,
        compute: Compute,
        factor: int = 1,
        show: Callable[[str, Terms], None] | None = None,
    ) -> Terms:
        """Do one update of a network against the sum of its terms, and return them.

        Args:
            network: ``generator`` or ``discriminator``.
            batch: The batch, which may be computed in parts.
            compute: Returns the terms of a part.
            factor: Factor on the terms.
            show: Is told the network and the terms before the parameters change.
        """
        optimizer: torch.optim.Optimizer = getattr(self.state, f"{network}_optimizer")
        scale: LossScale | None = getattr(self.state, f"{network}_scale")
        count, team, observed = self.options.accumulate, self.setup.team, Observed()
        optimizer.zero_grad(set_to_none=True)
        terms: Terms = {}
        for part in batch.split(count):
            found = compute(part, observed)
            values = list(found.values())
            if not values:  # a lazy penalty may have no terms at this point of the training
                continue
            is_single = len(values) == 1 and not values[0].dim()
            loss = values[0] if is_single else torch.stack(values).sum()
            if factor != count:
                loss = loss * (factor / count)
            (loss if scale is None else scale(loss)).backward()
            terms = _add_parts(terms, found, count)
        if terms:
            team.average(each for group in optimizer.param_groups for each in group["params"])
            clip_gradients(optimizer, self.options.clip_norm)
            if show is not None:
                show(network, terms)
            if scale is None:
                optimizer.step()
            else:
                scale.step(optimizer)
        observed.remember(self._objectives, self.state.memories, team)
        return terms

    # Fakes

    def _draw_inputs(self, loaded: RealBatch, progress: Progress) -> GeneratorInput:
        return draw_step_inputs(self.setup, loaded, progress, self.latents_rng)

    def _autocast(self) -> AbstractContextManager[object]:
        return half_precision(self.setup.device, self.setup.half)

    def _generate(
        self, inputs: GeneratorInput, *, in_full_precision: bool = False
    ) -> dict[str, Tensor]:
        """Return what the generator makes, by name, in full precision.

        Args:
            inputs: What it makes it from.
            in_full_precision: Whether to compute so as well, for gradients of gradients.
        """
        if in_full_precision:
            return inputs.outputs(self.state.generator)
        with self._autocast():
            found = inputs.outputs(self.passes.generator)
        return {name: each.float() for name, each in found.items()}

    @torch.no_grad()
    def _fakes_to_judge(
        self, generated: Mapping[str, Tensor], labels: Tensor | None, update: int
    ) -> Mapping[str, Tensor]:
        """Return the fakes, and their judged parts, for one of the discriminator's own updates."""
        if (history := self.state.history) is None:
            return generated
        packing = self._find_packing(generated)
        fake = packing.pack(generated) if packing else generated["samples"]
        with self._autocast():
            fake = self._pass_through_history(history, fake, labels, update)
        return packing.unpack(fake) if packing else {"samples": fake}

    def _pass_through_history(
        self, history: nn.Module, fake: Tensor, labels: Tensor | None, update: int
    ) -> Tensor:
        """Exchange fakes with a pool of earlier ones, which every process holds as a whole."""
        team = self.setup.team
        if team.world == 1:
            return history(fake, labels)
        whole = team.gather_shares(fake)
        labels = None if labels is None else team.gather_shares(labels)
        place: tuple[int | str, ...] = ("step", self.state.step, *([update] if update else []))
        with preserve_rng_state():
            seed_everything(self.setup.device, derive_seed(self.options.seed, *place))
            return team.take_share(history(whole, labels))


def _add(terms: Terms, more: Terms, name: str) -> None:
    """Add the terms of a penalty to those of a network.

    Raises:
        InputError: another term has the name of one.
    """
    if shared := more.keys() & terms.keys():
        raise InputError(
            f"the penalty '{name}' names a term '{min(shared)}', which the training has already: "
            "the loss may contain this penalty; drop it"
        )
    terms |= more


def _add_parts(terms: Terms, found: Terms, count: int) -> Terms:
    """Add the terms of a part of a batch to the means over all its parts."""
    if count == 1:
        return {name: each.detach() for name, each in found.items()}
    return {
        name: terms.get(name, torch.zeros_like(each)) + each.detach() / count
        for name, each in found.items()
    }


def _split_penalties(
    penalties: Mapping[str, Penalty],
) -> tuple[dict[str, Penalty], dict[str, Penalty]]:
    """Split penalties into those of every update and the lazy ones."""
    lazy = {name: each for name, each in penalties.items() if each.interval > 1}
    return {name: each for name, each in penalties.items() if name not in lazy}, lazy


def _require_generated(batch: Batch) -> Mapping[str, Tensor]:
    assert batch.generated is not None, "the discriminator's update has its fakes"
    return batch.generated


@contextmanager
def _kept_buffers(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Let modules change copies of their buffers within the block.

    The buffers themselves are not written to: a graph that waits for its backward pass may hold
    them.
    """
    kept = [(buffer, buffer.data) for module in modules for buffer in module.buffers()]
    for buffer, data in kept:
        buffer.data = data.clone()
    try:
        yield
    finally:
        for buffer, data in kept:
            buffer.data = data


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
