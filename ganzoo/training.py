"""Training: the step, and the loop around it.

A step never waits for the device: losses are read back only where they are logged.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ganzoo import checkpoint, images
from ganzoo.architecture import GeneratorInput
from ganzoo.checkpoint import TrainState
from ganzoo.config import RunConfig, TrainOptions
from ganzoo.devices import half_precision, resolve_device, safe_kernels
from ganzoo.errors import Diverged, InputError, Interrupted
from ganzoo.loss import Discriminator
from ganzoo.model import ModelConfig, classes_in_turn, generated, write_model
from ganzoo.registry import ARCHITECTURE, LOSS, TRACKER
from ganzoo.seeding import (
    BalancedOrder,
    BatchOrder,
    derived_seed,
    generator_for,
    kept_randomness,
)
from ganzoo.tracker import Followers

if TYPE_CHECKING:
    from ganzoo.architecture import Architecture
    from ganzoo.dataset import DataSpec, Samples
    from ganzoo.loss import Loss, Terms
    from ganzoo.run import Run
    from ganzoo.tracker import Tracker

SHOWN = 64
"""Samples in each sample picture of images."""
SHOWN_POINTS = 2500
"""Samples in each sample picture of vectors."""
COLUMNS = 8
"""Images in a row of a sample picture."""
HALF = {"fp32": None, "bf16": torch.bfloat16}
"""The type of arithmetic in half precision, by the name of the precision."""


class Observer:
    """What watches a run; every method may be left as it is."""

    def started(self, run: Run, config: RunConfig, step: int) -> None:
        """The run is about to do the step after ``step``."""

    def stepped(self, step: int) -> None:
        """A step was handed to the device; nothing may be read from the device here."""

    def logged(self, row: dict[str, Any]) -> None:
        """A line was written to ``metrics.jsonl``."""

    def warned(self, message: str) -> None:
        """Something is worth a person's attention."""


@dataclass
class StepTerms:
    """The loss terms of a step, still on the device, by network and name."""

    discriminator: dict[str, Tensor] = field(default_factory=dict)
    generator: dict[str, Tensor] = field(default_factory=dict)


class Trainer:
    """The two networks at play: one call of :meth:`step` is one generator update.

    Everything that a step draws comes from the run's seed and the step's number.

    Raises:
        InputError: the architecture does not fit the data, or the discriminator the loss.
    """

    def __init__(
        self,
        architecture: Architecture,
        loss: Loss,
        samples: Samples,
        options: TrainOptions,
    ) -> None:
        self.architecture = architecture
        self.loss = loss
        self.options = options
        self.device = resolve_device(options.device)
        self.conditional = architecture.conditional(samples.spec)
        self.half = HALF[options.precision]
        if self.conditional:
            _check_labels(samples)
        self.samples = samples.to(self.device)
        self.state = self._initial_state(samples.spec)
        if architecture.takes_images:
            _check_balance(samples, options)
        self.order = self._order(options.batch_size, options.seed)

    def _order(self, batch_size: int, seed: int) -> BatchOrder | BalancedOrder:
        if self.architecture.takes_images:
            return BalancedOrder(self.samples.labels, batch_size, seed, self.device)
        return BatchOrder(len(self.samples), batch_size, seed, self.device)

    def _initial_state(self, data: DataSpec) -> TrainState:
        torch.manual_seed(derived_seed(self.options.seed, "weights"))
        generator = self.architecture.generator(data)
        discriminator = self.architecture.discriminator(
            data, independent_samples=self.loss.independent_samples
        )
        self.loss.check_discriminator(discriminator, data, conditional=self.conditional)
        for network in (generator, discriminator):
            # Convolutions run faster on channels-last memory; other layers do not care.
            network.to(self.device, memory_format=torch.channels_last).train()
        self.loss.constrain(discriminator)
        history = self.architecture.history(data)
        return TrainState(
            generator,
            discriminator,
            AveragedModel(generator, multi_avg_fn=self._average),
            self._optimizer(generator, self.options.generator_lr),
            self._optimizer(discriminator, self.options.discriminator_lr),
            None if history is None else history.to(self.device),
        )

    def _optimizer(self, network: nn.Module, lr: float) -> torch.optim.Optimizer:
        if self.options.optimizer == "rmsprop":
            return torch.optim.RMSprop(network.parameters(), lr=lr)
        return torch.optim.Adam(network.parameters(), lr=lr, betas=self.options.betas)

    def step(self) -> StepTerms:
        """Update the discriminator ``n_critic`` times and the generator once."""
        with safe_kernels(self.device, self.half):
            return self._step()

    def _step(self) -> StepTerms:
        state, n_critic = self.state, self.options.n_critic
        # What a loss or a layer draws comes from the global generator.
        torch.manual_seed(derived_seed(self.options.seed, "step", state.step))
        rng = generator_for(self.options.seed, "latents", state.step, device=self.device)
        self._set_learning_rates()
        terms = StepTerms()
        for i in range(n_critic):
            real, labels = self._real(state.step * n_critic + i)
            D = self._discriminator(labels)
            with torch.no_grad(), self._autocast():
                fake = self._inputs(real, labels, rng).through(state.generator).float()
                if state.history is not None:
                    fake = state.history(fake, labels)
            terms.discriminator = self.loss.discriminator_loss(D, real, fake)
            _descend(terms.discriminator, state.discriminator_optimizer)
            self.loss.constrain(state.discriminator)
        with frozen(state.discriminator):
            inputs = self._inputs(real, labels, rng)
            with self._autocast():
                fake = inputs.through(state.generator).float()
            terms.generator = self.loss.generator_loss(D, real, fake)
            terms.generator |= self._own_terms(inputs, real, fake, taken=terms.generator)
            _descend(terms.generator, state.generator_optimizer)
        state.generator_ema.update_parameters(state.generator)
        state.step += 1
        return terms

    def shown(self) -> GeneratorInput:
        """Return what the run's sample pictures are made from, the same at every step."""
        data = self.samples.spec
        if self.architecture.takes_images:
            share = max(COLUMNS, SHOWN // 2 // data.classes // COLUMNS * COLUMNS)
            order = self._order(share * data.classes, derived_seed(self.options.seed, "picture"))
            real, labels = self._batch(order(0))
            return self._sources(real, labels, 1)
        count = SHOWN if data.is_image else SHOWN_POINTS
        labels = classes_in_turn(count, data.classes) if self.conditional else None
        rng = generator_for(self.options.seed, "picture")
        return GeneratorInput(self.architecture.latents(count, rng), labels)

    def _own_terms(self, inputs: GeneratorInput, real: Tensor, fake: Tensor, taken: Terms) -> Terms:
        with self._autocast():
            own = self.architecture.generator_terms(self.state.generator, inputs, real, fake)
        if both := own.keys() & taken.keys():
            raise InputError(
                f"the loss and the architecture both name a term '{min(both)}'; rename one"
            )
        return own

    def _discriminator(self, labels: Tensor | None) -> Discriminator:
        # A gradient that is itself differentiated loses too much in half precision.
        half = None if self.loss.second_order else self.half
        state = self.state
        return Discriminator(
            state.discriminator, labels, half=half, optimizer=state.discriminator_optimizer
        )

    def _autocast(self) -> AbstractContextManager[object]:
        return half_precision(self.device, self.half)

    def _set_learning_rates(self) -> None:
        options, state = self.options, self.state
        if options.lr_decay == "none":
            return
        begin = options.lr_decay_from * options.steps
        done = max(0.0, state.step - begin) / max(1.0, options.steps - begin)
        left = 1 - done if options.lr_decay == "linear" else (1 + math.cos(math.pi * done)) / 2
        for optimizer, lr in (
            (state.generator_optimizer, options.generator_lr),
            (state.discriminator_optimizer, options.discriminator_lr),
        ):
            for group in optimizer.param_groups:
                group["lr"] = lr * left

    def _average(self, averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        # The step is known here; reading torch's own counter would wait for the device.
        step = self.state.step
        decay = min(self.options.ema_decay, (1 + step) / (10 + step))
        get_ema_multi_avg_fn(decay)(averaged, current, count)

    def _real(self, batch: int) -> tuple[Tensor, Tensor | None]:
        return self._batch(self.order(batch))

    def _batch(self, indices: Tensor) -> tuple[Tensor, Tensor | None]:
        real = self.samples.batch(indices)
        if real.dim() == 4:
            real = real.contiguous(memory_format=torch.channels_last)
        return real, self.samples.labels[indices] if self.conditional else None

    def _inputs(self, real: Tensor, labels: Tensor | None, rng: torch.Generator) -> GeneratorInput:
        if not self.architecture.takes_images:
            return GeneratorInput(self.architecture.latents(self.options.batch_size, rng), labels)
        others = self.samples.spec.classes - 1
        turn = 1 + derived_seed(self.options.seed, "sources", self.state.step) % others
        return self._sources(real, labels, turn)

    def _sources(self, real: Tensor, labels: Tensor, turn: int) -> GeneratorInput:
        # A balanced batch holds class after class, so that a turn by whole classes pairs each
        # wanted sample with a source of another one.
        shift = turn * (len(real) // self.samples.spec.classes)
        return GeneratorInput(real.roll(shift, 0), labels, labels.roll(shift, 0))


def _check_labels(samples: Samples) -> None:
    if samples.labels is None or not samples.spec.classes:
        raise InputError(
            "the architecture needs the class of each sample, and these data have no labels; "
            "give data with classes, such as a folder with a folder for each"
        )


def _check_balance(samples: Samples, options: TrainOptions) -> None:
    data = samples.spec
    if data.classes < 2:
        raise InputError("the architecture translates between classes, and these data have one")
    if empty := set(range(data.classes)) - set(samples.labels.unique().tolist()):
        raise InputError(f"there are no samples of class {min(empty)} to translate from or to")
    if options.batch_size % data.classes:
        raise InputError(
            f"train.batch_size must be a multiple of the {data.classes} classes, as each batch "
            f"holds as many samples of each; it is {options.batch_size}"
        )


def prepared(config: RunConfig, samples: Samples) -> Trainer:
    """Build the trainer of a run, and refuse what does not fit together.

    Raises:
        InputError: the architecture does not fit the data, or the discriminator the loss.
        ganzoo.errors.PluginError: a component's package is not installed.
    """
    for tracker in _trackers(config).values():
        tracker.check()
    with kept_randomness():
        return Trainer(
            config.architecture.build(ARCHITECTURE), config.loss.build(LOSS), samples, config.train
        )


def _trackers(config: RunConfig) -> dict[str, Tracker]:
    return {choice.name: choice.build(TRACKER) for choice in config.trackers}


def run_training(run: Run, config: RunConfig, trainer: Trainer, observer: Observer) -> None:
    """Train a run from where its checkpoints end, and leave its model folder.

    Raises:
        InputError: there are checkpoints, and none of them is whole.
        Diverged: a loss or a weight is no longer finite.
        Interrupted: SIGINT or SIGTERM asked to stop, and the state was saved.
    """
    state, spec = trainer.state, trainer.samples.spec
    followers = Followers(observer.warned)
    with kept_randomness(), _stop_requests() as requests, closing(followers):
        checkpoint.restore_newest(run.checkpoints, state, observer.warned)
        observer.started(run, config, state.step)
        followers.start(_trackers(config), run.path, config.model_dump(mode="json"), state.step)
        _loop(run, trainer, requests, observer, followers)
        picture = run.samples / f"{state.step:08d}.png"
        if not picture.exists():
            _save_picture(run, trainer, followers)
        write_model(
            run.model,
            ModelConfig.of(config, spec, state.step),
            state.generator_ema.module,
            state.discriminator,
            picture,
        )


def _loop(
    run: Run, trainer: Trainer, requests: list[int], observer: Observer, followers: Followers
) -> None:
    state, options = trainer.state, trainer.options
    saved = state.step
    clock, clocked = time.perf_counter(), state.step
    if state.step == 0:
        _save_picture(run, trainer, followers)
    while state.step < options.steps:
        terms = trainer.step()
        observer.stepped(state.step)
        last = state.step == options.steps
        if last or state.step % options.log_every == 0:
            row = _read_back(terms, state, options)
            now = time.perf_counter()
            seen = (state.step - clocked) * options.n_critic * options.batch_size
            row["images_per_second"] = round(seen / (now - clock), 2)
            clock, clocked = now, state.step
            followers.metrics(row)
            observer.logged(row)
        if last or state.step % options.sample_every == 0:
            _save_picture(run, trainer, followers)
        if last or requests or state.step % options.checkpoint_every == 0:
            saved = _save_checkpoint(run, trainer)
        if requests and not last:
            raise Interrupted(
                f"stopped after step {saved} of {options.steps}, state saved; go on with: "
                f"ganzoo train --resume {run.path}",
                requests[0],
            )


def _save_checkpoint(run: Run, trainer: Trainer) -> int:
    for name, network in (
        ("generator", trainer.state.generator),
        ("discriminator", trainer.state.discriminator),
    ):
        if not all(torch.isfinite(value).all() for value in network.parameters()):
            raise _diverged(trainer.state.step, f"a weight of the {name} is not finite")
    checkpoint.save(run.checkpoints, trainer.state)
    return trainer.state.step


def _read_back(terms: StepTerms, state: TrainState, options: TrainOptions) -> dict[str, Any]:
    """Fetch a step's numbers from the device, in one transfer, as a line of ``metrics.jsonl``."""
    named: dict[tuple[str, str], Tensor] = {}
    for network, found in vars(terms).items():
        named |= {(network, name): value.detach().float() for name, value in found.items()}
        gradients = [p.grad for p in getattr(state, network).parameters() if p.grad is not None]
        named[network, "gradient_norm"] = torch.nn.utils.get_total_norm(gradients).float()
    values = torch.stack(list(named.values())).tolist()
    row: dict[str, Any] = {
        "step": state.step,
        "images_seen": state.step * options.n_critic * options.batch_size,
    }
    for (network, name), value in zip(named, values, strict=True):
        if not abs(value) < float("inf"):
            raise _diverged(state.step, f"{name} of the {network} is {value}")
        row[f"{network}/{name}"] = value
    return row


def _diverged(step: int, what: str) -> Diverged:
    return Diverged(
        f"training diverged by step {step}: {what}; the checkpoints before it are intact. "
        "Try a lower train.generator_lr and train.discriminator_lr, or another --loss"
    )


def _save_picture(run: Run, trainer: Trainer, followers: Followers) -> None:
    spec, options = trainer.samples.spec, trainer.options
    inputs = trainer.shown()
    shown = generated(trainer.state.generator_ema.module, inputs, spec)
    if trainer.architecture.takes_images:
        sources = images.to_uint8(inputs.given).cpu()
        # A row of sources, and below it what they became.
        rows = [part.unflatten(0, (-1, COLUMNS)) for part in (sources, shown)]
        shown = torch.stack(rows, dim=1).flatten(0, 2)
    texts = images.provenance(f"{run.path.name} at step {trainer.state.step}", options.seed)
    picture = images.picture_of(shown, spec.modes)
    run.save_picture(picture, trainer.state.step, texts)
    followers.picture(trainer.state.step, picture)


def _descend(terms: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad(set_to_none=True)
    torch.stack(list(terms.values())).sum().backward()
    optimizer.step()


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Keep a network's parameters from getting gradients, and give back what they were."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM to be met after the step; a second one ends at once."""
    requests: list[int] = []

    def request(signum: int, frame: object) -> None:
        if requests:
            raise KeyboardInterrupt
        requests.append(signum)

    if threading.current_thread() is not threading.main_thread():
        yield requests  # only the main thread may handle signals
        return
    before = {s: signal.signal(s, request) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requests
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
