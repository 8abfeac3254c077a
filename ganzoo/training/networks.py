"""Builds the networks of a training, with their optimisers and the moving average."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from ganzoo.compute.loss_scale import LossScale
from ganzoo.compute.seeding import derive_seed, seed_everything
from ganzoo.errors import InputError, name_errors
from ganzoo.nn import fuse
from ganzoo.protocols.layers import freeze_layers
from ganzoo.protocols.packing import judge_samples
from ganzoo.training.checkpoint import TrainState
from ganzoo.training.ema import MovingAverage
from ganzoo.training.memory import build_memories
from ganzoo.training.optimizers import build_optimizer

if TYPE_CHECKING:
    from ganzoo.training.setup import TrainingSetup
    from ganzoo.training.warm_start import StartingWeights


def build_state(
    setup: TrainingSetup, starting_weights: StartingWeights | None = None
) -> TrainState:
    """Build the state of a training before its first step, on its device.

    Torch's global random state is left seeded by the run's seed.

    Args:
        setup: The training.
        starting_weights: What the networks start from; None for freshly drawn weights.

    Raises:
        InputError: the architecture does not fit the data, or the discriminator the loss.
    """
    options, device = setup.options, setup.device
    seed_everything(device, derive_seed(options.seed, "weights"))
    generator, discriminator = _build_networks(setup, starting_weights)
    history = setup.architecture.history(setup.data)
    is_scaled = setup.half is torch.float16
    return TrainState(
        generator,
        discriminator,
        MovingAverage(generator, setup.architecture.copied_networks),
        generator_optimizer=_build_optimizer(generator, setup),
        discriminator_optimizer=_build_optimizer(discriminator, setup),
        history=None if history is None else history.to(device),
        generator_scale=LossScale(device) if is_scaled else None,
        discriminator_scale=LossScale(device) if is_scaled else None,
        memories=build_memories(setup),
    )


def _build_networks(
    setup: TrainingSetup, starting_weights: StartingWeights | None
) -> tuple[nn.Module, nn.Module]:
    """Build the generator and the discriminator, check that they fit, and place them."""
    architecture, loss, data = setup.architecture, setup.loss, setup.data
    generator = fuse(architecture.generator(data))
    discriminator = fuse(
        architecture.discriminator(data, independent_samples=setup.independent_samples)
    )
    if not architecture.mixes_batch:
        judge = judge_samples(architecture, discriminator, data)
        for objective in setup.objectives.values():
            objective.check_discriminator(judge, data, conditional=setup.conditional)
    if starting_weights is not None:
        generator.load_state_dict(starting_weights.generator)
        starting_weights.fill(discriminator)
    _freeze(discriminator, setup)
    if setup.team.world > 1 and setup.device.type == "cuda":
        generator = nn.SyncBatchNorm.convert_sync_batchnorm(generator)
        if not any(
            each.second_order for each in setup.objectives.values()
        ):  # the gradient of synchronised layers has no gradient itself
            discriminator = nn.SyncBatchNorm.convert_sync_batchnorm(discriminator)
    for network in (generator, discriminator):
        network.to(setup.device).to(memory_format=architecture.memory_format).train()
    loss.constrain(discriminator)
    return generator, discriminator


def _freeze(discriminator: nn.Module, setup: TrainingSetup) -> None:
    """Freeze the first layers of the discriminator, as many as the options say."""
    if not (count := setup.options.freeze_discriminator):
        return
    layers = setup.architecture.discriminator_layers(discriminator)
    if count >= len(layers):
        raise InputError(
            f"train.freeze_discriminator={count}: the discriminator of "
            f"'{setup.architecture_name}' has {len(layers)} layers, and one must learn; give at "
            f"most {len(layers) - 1}"
        )
    freeze_layers(discriminator, layers[:count])


def _build_optimizer(network: nn.Module, setup: TrainingSetup) -> torch.optim.Optimizer:
    factors = setup.architecture.learning_rates(network)
    with name_errors(f"architecture '{setup.architecture_name}'"):
        return build_optimizer(network, setup.options, factors, setup.device)
