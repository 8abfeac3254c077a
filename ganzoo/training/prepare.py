"""Prepares a run: reads the data, builds all parts, and hands them to the trainer."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os.path import exists
from typing import TYPE_CHECKING

from ganzoo import distributed
from ganzoo.compute.seeding import preserve_rng_state
from ganzoo.config import RunConfig
from ganzoo.errors import GanzooError, InputError
from ganzoo.registry import ARCHITECTURE, AUGMENTATION, DATASET, LOSS, PENALTY, TRACKER
from ganzoo.resolve import list_places
from ganzoo.training.assembly import assemble_trainer
from ganzoo.training.fork import StartingState
from ganzoo.training.trainer import Trainer

if TYPE_CHECKING:
    from ganzoo.protocols.dataset import Samples
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
    start: StartingWeights | StartingState | None = None,
    resumed: Run | None = None,
) -> PreparedRun:
    """Prepare a run, and refuse it if anything does not fit. Nothing is written yet.

    Args:
        config: The run's configuration.
        start: What the run starts from, in the first process: a model or another run.
        resumed: The run to continue, whose data must not have changed but may have moved.

    Raises:
        InputError: parts do not fit together, or the data have changed.
        GanzooError: data, or weights of a feature extractor, are missing.
    """
    if config.train.freeze_discriminator and config.init is None and config.fork is None:
        raise InputError(
            "train.freeze_discriminator keeps layers as a trained model has them: give the model "
            "by --init"
        )
    if resumed is None:
        samples = config.data.build(DATASET).read()
    else:
        with _explain_missing_data(config, resumed):
            samples = config.data.build(DATASET).read()
    distributed.current().require_same(samples.fingerprint, "the data")
    if resumed is not None and samples.fingerprint != config.data_fingerprint:
        raise InputError(
            f"the data of {resumed.path} have changed since it was started: the {len(samples):,} "
            f"samples of {samples.spec.size_in_words} have the SHA-256 {samples.fingerprint[:12]}, "
            f"not {str(config.data_fingerprint)[:12]}"
        )
    data = config.data.with_options(samples.chosen_options)
    config = config.model_copy(update={"data": data, "data_fingerprint": samples.fingerprint})
    trainer = build_trainer(config, samples, start)
    if not config.train.eval_every:
        return PreparedRun(config, trainer)
    from ganzoo.training.snapshots import Snapshots  # brings feature extractors with it

    return PreparedRun(config, trainer, Snapshots(config, trainer))


@contextmanager
def _explain_missing_data(config: RunConfig, run: Run) -> Iterator[None]:
    """Say how to continue a run whose data are no longer where they were."""
    try:
        yield
    except GanzooError as error:
        places = list_places(config.data.options)
        if gone := [name for name, path in places.items() if not exists(path)]:
            command = shlex.join(["ganzoo", "train", "--resume", str(run.path)])
            for name in gone:
                command += " --data WHERE" if name == "path" else f" --set data.{name}=WHERE"
            error.hint = f"if the data moved, continue with: {command}"
        raise


def build_trainer(
    config: RunConfig, samples: Samples, start: StartingWeights | StartingState | None = None
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
        if start is not None and not isinstance(start, StartingState):
            start.require_fit(config, samples.spec)
        return assemble_trainer(
            config.architecture.build(ARCHITECTURE),
            config.loss.build(LOSS),
            samples,
            config.train,
            {choice.name: choice.build(AUGMENTATION) for choice in config.augmentations},
            start,
            config.architecture.name,
            {choice.name: choice.build(PENALTY) for choice in config.penalties},
            config.schedules,
        )


def build_trackers(config: RunConfig) -> dict[str, Tracker]:
    """Build the trackers of a run, by name."""
    return {choice.name: choice.build(TRACKER) for choice in config.trackers}
