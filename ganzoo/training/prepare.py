"""Prepares a run: reads the data, builds all parts, and hands them to the trainer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ganzoo import distributed
from ganzoo.compute.devices import resolve_device
from ganzoo.compute.seeding import preserve_rng_state
from ganzoo.config import RunConfig, TrainOptions
from ganzoo.errors import InputError
from ganzoo.registry import ARCHITECTURE, AUGMENTATION, DATASET, LOSS, TRACKER
from ganzoo.training.batch_order import choose_order
from ganzoo.training.batches import BatchLoader
from ganzoo.training.networks import build_state
from ganzoo.training.preconditions import check_preconditions
from ganzoo.training.setup import TrainingSetup
from ganzoo.training.trainer import Trainer

if TYPE_CHECKING:
    from ganzoo.protocols.architecture import Architecture
    from ganzoo.protocols.augmentation import Augmentation
    from ganzoo.protocols.dataset import Samples
    from ganzoo.protocols.loss import Loss
    from ganzoo.protocols.tracker import Tracker
    from ganzoo.runs.folder import Run
    from ganzoo.training.snapshots import Snapshots
    from ganzoo.training.warm_start import StartingWeights


@dataclass(frozen=True)
class PreparedRun:
    """A run that is ready for its first step."""

    config: RunConfig
    """Its configuration, with the fingerprint of the data."""
    trainer: Trainer
    snapshots: Snapshots | None = None
    """Scores the run while it trains; None if the run is not scored."""


def prepare_run(
    config: RunConfig,
    starting_weights: StartingWeights | None = None,
    resumed: Run | None = None,
) -> PreparedRun:
    """Prepare a run, and refuse it if anything does not fit. Nothing is written yet.

    Args:
        config: The run's configuration.
        starting_weights: What the networks start from, in the first process.
        resumed: The run to continue, whose data must not have changed.

    Raises:
        InputError: parts do not fit together, or the data have changed.
        GanzooError: data, or weights of a feature extractor, are missing.
    """
    samples = config.data.build(DATASET).read()
    distributed.current().require_same(samples.fingerprint, "the data")
    if resumed is not None and samples.fingerprint != config.data_fingerprint:
        raise InputError(f"the data of {resumed.path} have changed since it was started")
    config = config.model_copy(update={"data_fingerprint": samples.fingerprint})
    trainer = build_trainer(config, samples, starting_weights)
    if not config.train.eval_every:
        return PreparedRun(config, trainer)
    from ganzoo.training.snapshots import Snapshots  # brings feature extractors with it

    return PreparedRun(config, trainer, Snapshots(config, trainer))


def build_trainer(
    config: RunConfig, samples: Samples, starting_weights: StartingWeights | None = None
) -> Trainer:
    """Build the trainer of a run from its configuration.

    Raises:
        InputError: components, data, options and starting weights do not fit together, or the
            memory is not enough.
        ganzoo.errors.PluginError: a component's package is not installed.
    """
    for tracker in build_trackers(config).values():
        tracker.check()
    with preserve_rng_state():
        if starting_weights is not None:
            starting_weights.require_fit(config, samples.spec)
        return build_trainer_from_components(
            config.architecture.build(ARCHITECTURE),
            config.loss.build(LOSS),
            samples,
            config.train,
            {choice.name: choice.build(AUGMENTATION) for choice in config.augmentations},
            starting_weights,
            config.architecture.name,
        )


def build_trainer_from_components(
    architecture: Architecture,
    loss: Loss,
    samples: Samples,
    options: TrainOptions,
    augmentations: Mapping[str, Augmentation] | None = None,
    starting_weights: StartingWeights | None = None,
    architecture_name: str | None = None,
) -> Trainer:
    """Build a trainer from components, without a run.

    Torch's global random state is left seeded by ``options.seed``.

    Args:
        architecture: Builds the networks.
        loss: What the networks are trained with.
        samples: The training data.
        options: The training options.
        augmentations: What the discriminator's samples pass through, by name, in this order.
        starting_weights: What the networks start from; None for freshly drawn weights.
        architecture_name: What messages call the architecture; the name of its class if None.

    Raises:
        InputError: components, data and options do not fit together, or the memory is not enough.
    """
    device, team = resolve_device(options.device), distributed.current()
    team.connect(device)
    setup = TrainingSetup(
        architecture=architecture,
        loss=loss,
        augmentations=dict(augmentations or {}),
        options=options,
        data=samples.spec,
        device=device,
        team=team,
        architecture_name=architecture_name or type(architecture).__name__,
    )
    check_preconditions(setup, samples)
    loader = BatchLoader(
        samples,
        device,
        options.seed,
        labelled=setup.conditional,
        team=team,
        memory_format=architecture.memory_format,
    )
    order = choose_order(
        loader.samples,
        options.batch_size,
        options.seed,
        loader.index_device,
        is_balanced=architecture.takes_images,
    )
    return Trainer(setup, loader, order, partial(build_state, setup, starting_weights))


def build_trackers(config: RunConfig) -> dict[str, Tracker]:
    """Build the trackers of a run, by name."""
    return {choice.name: choice.build(TRACKER) for choice in config.trackers}
