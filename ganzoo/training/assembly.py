"""Assembles a trainer from components, training options and samples."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from ganzoo import distributed
from ganzoo.compute.devices import resolve_device
from ganzoo.config import TrainOptions
from ganzoo.training.batch_order import choose_order
from ganzoo.training.batches import BatchLoader
from ganzoo.training.fork import StartingState
from ganzoo.training.networks import build_state
from ganzoo.training.preconditions import check_preconditions
from ganzoo.training.setup import TrainingSetup
from ganzoo.training.trainer import Trainer

if TYPE_CHECKING:
    from ganzoo.protocols.architecture import Architecture
    from ganzoo.protocols.augmentation import Augmentation
    from ganzoo.protocols.dataset import Samples
    from ganzoo.protocols.loss import Loss
    from ganzoo.protocols.penalty import Penalty
    from ganzoo.protocols.schedule import Schedule
    from ganzoo.training.checkpoint import TrainState
    from ganzoo.training.warm_start import StartingWeights


def assemble_trainer(
    architecture: Architecture,
    loss: Loss,
    samples: Samples,
    options: TrainOptions,
    augmentations: Mapping[str, Augmentation] | None = None,
    start: StartingWeights | StartingState | None = None,
    architecture_name: str | None = None,
    penalties: Mapping[str, Penalty] | None = None,
    schedules: Mapping[str, Schedule] | None = None,
) -> Trainer:
    """Build a trainer from components, without a run.

    Torch's global random state is left seeded by ``options.seed``.

    Args:
        architecture: Builds the networks.
        loss: What the networks are trained with.
        samples: The training data.
        options: The training options.
        augmentations: What the discriminator's samples pass through, by name, in this order.
        start: What the training starts from; None for freshly drawn weights.
        architecture_name: What messages call the architecture; the name of its class if None.
        penalties: Terms beside those of the loss, by name.
        schedules: Options that change during the training, by full name.

    Raises:
        InputError: components, data and options do not fit together, or the memory is not enough.
    """
    device, team = resolve_device(options.device), distributed.current()
    team.connect(device)
    setup = TrainingSetup(
        architecture=architecture,
        loss=loss,
        augmentations=dict(augmentations or {}),
        penalties=dict(penalties or {}),
        schedules=dict(schedules or {}),
        options=options,
        data=architecture.complete(samples.spec),
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
        with_sources=bool(architecture.takes_sources) and not architecture.makes_sources,
        team=team,
        memory_format=architecture.memory_format,
    )
    order = choose_order(
        samples,  # those of the loader may lie on the device, and the host would read them back
        options.batch_size,
        options.seed,
        loader.index_device,
        is_balanced=architecture.takes_images,
    )
    if isinstance(start, StartingState):
        return Trainer(setup, loader, order, partial(_build_forked, setup, start))
    return Trainer(setup, loader, order, partial(build_state, setup, start))


def _build_forked(setup: TrainingSetup, start: StartingState) -> TrainState:
    """Build the state of a training that continues that of another run."""
    state = build_state(setup)
    start.restore(state)
    return state
