"""Builds a run's trainer from its configuration and checks that the parts fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganzoo.compute import memory
from ganzoo.compute.seeding import preserve_rng_state
from ganzoo.config import RunConfig
from ganzoo.errors import name_errors
from ganzoo.models.size_check import build_on_meta
from ganzoo.registry import ARCHITECTURE, AUGMENTATION, LOSS, TRACKER

if TYPE_CHECKING:
    from ganzoo.protocols.architecture import Architecture
    from ganzoo.protocols.dataset import DataSpec, Samples
    from ganzoo.protocols.loss import Loss
    from ganzoo.protocols.tracker import Tracker
    from ganzoo.training.warm_start import StartingWeights
from ganzoo.training.trainer import Trainer

COPIES = 10
"""How often the memory of one network is needed: both, their gradients, moments and the average."""


def build_trainer(
    config: RunConfig, samples: Samples, initial: StartingWeights | None = None
) -> Trainer:
    """Build the trainer of a run, and refuse what does not fit together.

    Raises:
        InputError: the architecture or an augmentation does not fit the data, or the discriminator
            the loss, or the run what it should start from, or the memory is not enough.
        ganzoo.errors.PluginError: a component's package is not installed.
    """
    for tracker in build_trackers(config).values():
        tracker.check()
    architecture, loss = config.architecture.build(ARCHITECTURE), config.loss.build(LOSS)
    augmentations = {each.name: each.build(AUGMENTATION) for each in config.augmentations}
    with preserve_rng_state():
        if initial is not None:
            initial.require_fit(config, samples.spec)
        _require_memory(config, architecture, loss, samples.spec)
        return Trainer(architecture, loss, samples, config.train, augmentations, initial)


def _require_memory(
    config: RunConfig, architecture: Architecture, loss: Loss, data: DataSpec
) -> None:
    independent = loss.independent_samples
    for build in (
        lambda: architecture.generator(data),
        lambda: architecture.discriminator(data, independent_samples=independent),
        lambda: architecture.history(data),
    ):
        with name_errors(f"architecture '{config.architecture.name}'"):
            build_on_meta(build, memory.limit() // COPIES)
    numbers = data.size + getattr(architecture, "z_dim", data.size)
    memory.require(4 * config.train.batch_size * numbers, "a batch")


def build_trackers(config: RunConfig) -> dict[str, Tracker]:
    """Build what follows a run beside its own files, by name."""
    return {choice.name: choice.build(TRACKER) for choice in config.trackers}
