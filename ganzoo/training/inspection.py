"""A look into the networks of a training, for trackers and applications."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from torch import Tensor

from ganzoo.compute.seeding import derive_seed, preserve_rng_state, seed_everything
from ganzoo.models.generation import evaluation_mode, generate
from ganzoo.models.inputs import Inputs
from ganzoo.protocols.architecture import GeneratorInput
from ganzoo.protocols.discriminator import Discriminator
from ganzoo.protocols.packing import Packing, complete_reals, judge_samples
from ganzoo.protocols.tracker import Networks
from ganzoo.training.memory import LOSS, bind_augmentations
from ganzoo.training.pictures import sampling_networks

if TYPE_CHECKING:
    from torch import nn

    from ganzoo.protocols.outputs import Terms
    from ganzoo.training.trainer import Trainer


def look_into(
    trainer: Trainer,
    inputs: GeneratorInput,
    *,
    shows_average: bool = True,
    as_saved: bool = False,
) -> Networks:
    """Return what the networks of a training do now. Until it is called, it costs nothing.

    Args:
        trainer: The run's trainer.
        inputs: What shown samples are made from.
        shows_average: Whether the average makes them, and not the generator in training.
        as_saved: See :func:`ganzoo.training.pictures.draw_samples`.
    """
    data, architecture = trainer.setup.data, trainer.architecture

    @cache
    def find_networks() -> tuple[nn.Module, nn.Module]:
        return sampling_networks(trainer, as_saved=as_saved)

    def draw(number: int, given: GeneratorInput) -> Tensor:
        with preserve_rng_state():  # a layer may draw
            return generate(find_networks()[number], given, data, stored=True)

    return Networks(
        trained=lambda given: draw(0, given),
        average=lambda given: draw(1, given),
        shown="average" if shows_average else "trained",
        inputs=inputs,
        latent_parts=Inputs(architecture, data).codes,
        discriminator=judge_samples(architecture, trainer.state.discriminator, data),
        generator_loss=lambda real, fake: compute_generator_loss(trainer, inputs, real, fake),
    )


def compute_generator_loss(
    trainer: Trainer, inputs: GeneratorInput, real: Tensor, fake: Tensor
) -> Terms:
    """Return the terms of the generator's loss at present, in evaluation mode and full precision.

    Gradients flow to the fakes. Penalties are left out. There are no terms while no game is played.

    Args:
        trainer: The run's trainer.
        inputs: The generator's inputs, of N samples or more.
        real: Reals ``(N, *shape)`` as networks take them, on any device.
        fake: Fakes of the same shape.
    """
    state, device = trainer.state, trainer.device
    architecture, parts = trainer.architecture, trainer.parts_now()
    progress = trainer.setup.progress_at(state.step)
    if not architecture.is_adversarial(progress):
        return {}
    own = next(inputs.parts(len(fake), device))
    generated = {"samples": fake.to(device)}
    shown = architecture.prepare_real(real.to(device), progress)
    packing = None
    if architecture.judged_parts:
        generated = complete_reals(architecture, generated["samples"])
        packing = Packing.of(generated)
    D = Discriminator(
        state.discriminator,
        own.labels,
        optimizer=state.discriminator_optimizer,
        augmentations=bind_augmentations(parts.augmentations, state.memories),
        source=own.given if architecture.judges_source else None,
        progress=progress,
        inputs=own,
        generator=state.generator,
        generated=generated,
        generates_with_gradient=True,
        packing=packing,
        latent_parts=architecture.latent_parts(),
    )
    D.state = state.memories.get(LOSS)
    if packing is not None:
        shown = packing.pack(complete_reals(architecture, shown))
    with preserve_rng_state(), evaluation_mode(state.discriminator):
        seed_everything(device, derive_seed(trainer.options.seed, "inspection", state.step))
        return parts.loss.generator_loss(D, shown, D.pack(generated))
