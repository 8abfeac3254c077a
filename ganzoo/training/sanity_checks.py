"""Sanity checks that warn before the first training step.

A combination that cannot work is refused elsewhere: unfit data by the architecture, an unfit
discriminator by the loss. These checks find combinations that can work but seldom do. They look at
what components declare and what their networks do, never at names.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from ganzoo.compute.seeding import preserve_rng_state
from ganzoo.protocols.discriminator import mixes_batch
from ganzoo.protocols.packing import judge_samples
from ganzoo.training.inputs import draw_picture_inputs

if TYPE_CHECKING:
    from ganzoo.training.trainer import Trainer

BATCH_NORM = nn.modules.batchnorm._BatchNorm
"""The base of every batch normalisation of torch."""
MIN_RANGE = 0.01
"""The smallest share of the uint8 range that images should fill."""
MAX_IMAGES = 1000
"""Images to check of a dataset that stays on disk."""
LATENT_FACTOR = 1e4
"""Factor on latents that shows whether the generator's samples are bounded."""
PROBES = 8
"""Samples to generate for that."""


def slope_bounded_twice(trainer: Trainer) -> Iterator[str]:
    """Warn if spectral normalisation is combined with a gradient penalty or clipping."""
    bounding = [word for word, each in trainer.setup.objectives.items() if each.bounds_slope]
    if trainer.architecture.bounds_slope and bounding:
        yield (
            "the discriminator's slope is bounded twice, by the architecture's normalisation and "
            f"by the {bounding[0]}; a loss without a penalty or clipping is what such networks are "
            "made for"
        )


def fp16_on_a_cpu(trainer: Trainer) -> Iterator[str]:
    """Warn of fp16 on a CPU, which computes fp16 more slowly than fp32."""
    if trainer.half is torch.float16 and trainer.device.type == "cpu":
        yield "fp16 is far slower than fp32 on a CPU; choose bf16"


def generator_out_of_range(trainer: Trainer) -> Iterator[str]:
    """Warn if the range of samples is not that of the data: [-1, 1] for images and signals."""
    data, generator = trainer.samples.spec, copy.deepcopy(trainer.state.generator).eval()
    with torch.no_grad():
        inputs = draw_picture_inputs(trainer.setup, trainer.loader)
        probe = next(inputs.parts(PROBES, trainer.device))
        if trainer.architecture.takes_latents:  # images lie in [-1, 1], wherever they come from
            probe = replace(probe, given=probe.given * LATENT_FACTOR)
        lowest, highest = probe.through(generator).float().aminmax()
    reach = float(trainer.samples.batch(torch.arange(min(1000, len(trainer.samples)))).abs().max())
    bound = float(torch.maximum(-lowest, highest))
    if data.is_bounded and bound > 1:
        yield (
            f"the generator's {data.kind} exceed [-1, 1], up to {bound:.3g}, and those of the data "
            "do not; let it end in tanh, or clamp them in evaluation mode"
        )
    elif data.is_bounded and lowest >= 0:
        yield (
            f"the generator's {data.kind} do not go below 0, and those of the data lie in [-1, 1]; "
            "let it end in tanh, not in a sigmoid"
        )
    elif not data.is_bounded and bound <= 1 < reach:
        yield (
            f"the generator's samples stay within {bound:.3g}, and the data reach {reach:.3g}; "
            "for vectors it should end in a linear layer"
        )


def data_out_of_range(trainer: Trainer) -> Iterator[str]:
    """Warn if images fill a sliver of 0 to 255: they were probably scaled before."""
    samples = trainer.samples
    if not samples.spec.is_image:
        return
    stored = samples.stored
    if samples.streamed:  # reading all of them would take as long as an epoch
        few = min(MAX_IMAGES, len(samples))
        stored = samples.select(torch.arange(few) * len(samples) // few)
    lowest, highest = stored.aminmax()
    if float(highest) - float(lowest) <= 255 * MIN_RANGE:
        yield (
            f"the images of the data hold only {int(lowest)} to {int(highest)} of 0 to 255; "
            "were they scaled to [0, 1] before they were stored?"
        )


def batch_of_one(trainer: Trainer) -> Iterator[str]:
    """Warn if a network normalises over a batch of one sample."""
    if trainer.options.batch_size > 1:
        return
    networks = {"generator": trainer.state.generator, "discriminator": trainer.state.discriminator}
    for word, network in networks.items():
        if any(isinstance(module, BATCH_NORM) for module in network.modules()):
            yield (
                f"the {word} normalises over its batch, and train.batch_size is 1; "
                "raise it, or choose another normalisation"
            )


def batch_beyond_data(trainer: Trainer) -> Iterator[str]:
    """Warn if a batch is larger than the data."""
    count, batch_size = len(trainer.samples), trainer.options.batch_size
    if batch_size > count:
        yield (
            f"train.batch_size is {batch_size}, and there are {count} samples: "
            "each batch holds some of them more than once"
        )


def class_without_samples(trainer: Trainer) -> Iterator[str]:
    """Warn if a conditional generator never meets one of its classes."""
    classes, labels = trainer.samples.spec.classes, trainer.samples.labels
    if not trainer.conditional or classes is None or labels is None:
        return
    if missing := sorted(set(range(classes)) - set(labels.unique().tolist())):
        yield (
            f"{len(missing)} of the {classes} classes have no samples, such as class {missing[0]}: "
            "the generator's samples of these classes mean nothing"
        )


def penalty_on_mixed_batch(trainer: Trainer) -> Iterator[str]:
    """Warn if a penalty on each sample's slope meets a discriminator that mixes its batch."""
    objectives = trainer.setup.objectives
    if trainer.setup.independent_samples or trainer.architecture.mixes_batch:
        return  # already refused, or on purpose
    bounding = [
        word for word, each in objectives.items() if each.second_order and each.bounds_slope
    ]
    if not bounding:
        return
    data = trainer.setup.data
    judge = judge_samples(trainer.architecture, trainer.state.discriminator, data)
    if mixes_batch(judge, data, conditional=trainer.conditional):
        yield (
            f"the {bounding[0]} penalises the slope at each sample, and the discriminator mixes "
            f"the samples of a batch, as batch normalisation does; if the {bounding[0]} declares "
            "independent_samples, the discriminator is built without"
        )


def never_adversarial(trainer: Trainer) -> Iterator[str]:
    """Warn if a run ends before the networks play against each other."""
    options = trainer.options
    last = trainer.setup.progress_at(max(0, options.steps - 1))
    if options.steps and not trainer.architecture.is_adversarial(last):
        yield (
            f"the {options.steps:,} steps end before the discriminator begins to learn: the "
            "generator trains by its own terms alone; see the options of the architecture, or "
            "raise --steps"
        )


sanity_checks: tuple[Callable[[Trainer], Iterator[str]], ...] = (
    slope_bounded_twice,
    fp16_on_a_cpu,
    generator_out_of_range,
    data_out_of_range,
    batch_of_one,
    batch_beyond_data,
    class_without_samples,
    penalty_on_mixed_batch,
    never_adversarial,
)


def warnings_before_start(trainer: Trainer) -> list[str]:
    """Return the warnings about a training that is about to start, one line each."""
    with preserve_rng_state():
        found = [message for check in sanity_checks for message in check(trainer)]
    return [*found, *describe_unsynced_batch_norm(trainer)]


def describe_unsynced_batch_norm(trainer: Trainer) -> list[str]:
    """Return a warning if networks normalise over each process's share of a batch."""
    networks = {"generator": trainer.state.generator, "discriminator": trainer.state.discriminator}
    unsynced = [
        word
        for word, network in networks.items()
        if any(
            isinstance(module, BATCH_NORM) and not isinstance(module, nn.SyncBatchNorm)
            for module in network.modules()
        )
    ]
    if trainer.team.world == 1 or not unsynced:
        return []
    share = trainer.options.batch_size // trainer.team.world
    return [
        f"batch normalisation of the {' and the '.join(unsynced)} is over the {share} samples of "
        "each process, not over the whole batch: torch has no other here"
    ]
