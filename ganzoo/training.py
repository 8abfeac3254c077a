"""Training: the step, and the loop around it.

A step never waits for the device: losses are read back only where they are logged.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ganzoo import checkpoint, images
from ganzoo.checkpoint import TrainState
from ganzoo.config import RunConfig, TrainOptions
from ganzoo.devices import resolve_device
from ganzoo.errors import Diverged, Interrupted
from ganzoo.model import ModelConfig, generated, write_model
from ganzoo.registry import ARCHITECTURE, LOSS
from ganzoo.seeding import BatchOrder, derived_seed, generator_for, kept_randomness

if TYPE_CHECKING:
    from ganzoo.architecture import Architecture
    from ganzoo.dataset import DataSpec, Samples
    from ganzoo.loss import Loss
    from ganzoo.run import Run

SHOWN = 64
"""Samples in each sample picture of images."""
SHOWN_POINTS = 2500
"""Samples in each sample picture of vectors."""


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
        self.samples = samples.to(self.device)
        self.order = BatchOrder(len(samples), options.batch_size, options.seed, self.device)
        self.state = self._initial_state(samples.spec)

    def _initial_state(self, data: DataSpec) -> TrainState:
        torch.manual_seed(derived_seed(self.options.seed, "weights"))
        generator = self.architecture.generator(data)
        discriminator = self.architecture.discriminator(
            data, independent_samples=self.loss.independent_samples
        )
        self.loss.check_discriminator(discriminator, data)
        for network in (generator, discriminator):
            # Convolutions run faster on channels-last memory; other layers do not care.
            network.to(self.device, memory_format=torch.channels_last).train()
        self.loss.constrain(discriminator)
        return TrainState(
            generator,
            discriminator,
            AveragedModel(generator, multi_avg_fn=self._average),
            self._optimizer(generator, self.options.generator_lr),
            self._optimizer(discriminator, self.options.discriminator_lr),
        )

    def _optimizer(self, network: nn.Module, lr: float) -> torch.optim.Optimizer:
        if self.options.optimizer == "rmsprop":
            return torch.optim.RMSprop(network.parameters(), lr=lr)
        return torch.optim.Adam(network.parameters(), lr=lr, betas=self.options.betas)

    def step(self) -> StepTerms:
        """Update the discriminator ``n_critic`` times and the generator once."""
        state, n_critic = self.state, self.options.n_critic
        # What a loss or a layer draws comes from the global generator.
        torch.manual_seed(derived_seed(self.options.seed, "step", state.step))
        latents = generator_for(self.options.seed, "latents", state.step, device=self.device)
        terms = StepTerms()
        for i in range(n_critic):
            real = self._real(state.step * n_critic + i)
            with torch.no_grad():
                fake = state.generator(self._latents(latents))
            terms.discriminator = self.loss.discriminator_loss(state.discriminator, real, fake)
            _descend(terms.discriminator, state.discriminator_optimizer)
            self.loss.constrain(state.discriminator)
        with frozen(state.discriminator):
            fake = state.generator(self._latents(latents))
            terms.generator = self.loss.generator_loss(state.discriminator, real, fake)
            _descend(terms.generator, state.generator_optimizer)
        state.generator_ema.update_parameters(state.generator)
        state.step += 1
        return terms

    def _average(self, averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        # The step is known here; reading torch's own counter would wait for the device.
        step = self.state.step
        decay = min(self.options.ema_decay, (1 + step) / (10 + step))
        get_ema_multi_avg_fn(decay)(averaged, current, count)

    def _real(self, batch: int) -> Tensor:
        real = self.samples.batch(self.order(batch))
        return real.contiguous(memory_format=torch.channels_last) if real.dim() == 4 else real

    def _latents(self, rng: torch.Generator) -> Tensor:
        return self.architecture.latents(self.options.batch_size, rng)


def prepared(config: RunConfig, samples: Samples) -> Trainer:
    """Build the trainer of a run, and refuse what does not fit together.

    Raises:
        InputError: the architecture does not fit the data, or the discriminator the loss.
        ganzoo.errors.PluginError: a component's package is not installed.
    """
    with kept_randomness():
        return Trainer(
            config.architecture.build(ARCHITECTURE), config.loss.build(LOSS), samples, config.train
        )


def run_training(run: Run, config: RunConfig, trainer: Trainer, observer: Observer) -> None:
    """Train a run from where its checkpoints end, and leave its model folder.

    Raises:
        InputError: there are checkpoints, and none of them is whole.
        Diverged: a loss or a weight is no longer finite.
        Interrupted: SIGINT or SIGTERM asked to stop, and the state was saved.
    """
    state, spec = trainer.state, trainer.samples.spec
    with kept_randomness(), _stop_requests() as requests:
        checkpoint.restore_newest(run.checkpoints, state, observer.warned)
        run.cut_metrics(state.step)
        observer.started(run, config, state.step)
        _loop(run, trainer, requests, observer)
        picture = run.samples / f"{state.step:08d}.png"
        if not picture.exists():
            _save_picture(run, trainer)
        write_model(
            run.model,
            ModelConfig.of(config, spec, state.step),
            state.generator_ema.module,
            state.discriminator,
            picture,
        )


def _loop(run: Run, trainer: Trainer, requests: list[int], observer: Observer) -> None:
    state, options = trainer.state, trainer.options
    saved = state.step
    clock, clocked = time.perf_counter(), state.step
    if state.step == 0:
        _save_picture(run, trainer)
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
            run.append_metrics(row)
            observer.logged(row)
        if last or state.step % options.sample_every == 0:
            _save_picture(run, trainer)
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


def _picture_latents(trainer: Trainer, data: DataSpec) -> Tensor:
    """Return the latents of the run's sample pictures, the same at every step."""
    count = SHOWN if data.is_image else SHOWN_POINTS
    rng = generator_for(trainer.options.seed, "picture")
    return trainer.architecture.latents(count, rng)


def _save_picture(run: Run, trainer: Trainer) -> None:
    spec, options = trainer.samples.spec, trainer.options
    fakes = generated(trainer.state.generator_ema.module, _picture_latents(trainer, spec), spec)
    texts = images.provenance(f"{run.path.name} at step {trainer.state.step}", options.seed)
    run.save_picture(images.picture_of(fakes, spec.modes), trainer.state.step, texts)


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
