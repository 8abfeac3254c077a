"""What is doubtful about a combination, said before the first step.

What cannot work is refused where it is found: unfit data by the architecture, an unfit
discriminator by the loss. Here is what can work and seldom does. Each lint knows what components
declare and what their networks do, and no component by name.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import nn

from ganzoo.compute.seeding import preserve_rng_state
from ganzoo.protocols.architecture import GeneratorInput
from ganzoo.protocols.loss import mixes_batch

if TYPE_CHECKING:
    from ganzoo.training.trainer import Trainer

MIN_RANGE = 0.01
"""Share of the range of uint8 that images must fill at least."""
MAX_IMAGES = 1000
"""Images that are looked at of those that stay on the disk."""
LATENT_FACTOR = 1e4
"""Latents are multiplied by this, to see whether there is a bound that samples do not leave."""


def slope_bounded_twice(trainer: Trainer) -> Iterator[str]:
    """Spectral normalisation under a gradient penalty or under clipping bounds a slope twice."""
    if trainer.architecture.bounds_slope and trainer.loss.bounds_slope:
        yield (
            "the discriminator's slope is bounded twice, by the architecture's normalisation and "
            "by the loss; a loss without a penalty or clipping is what such networks are made for"
        )


def fp16_on_a_cpu(trainer: Trainer) -> Iterator[str]:
    """Processors compute in fp16 more slowly than in fp32, if at all."""
    if trainer.half is torch.float16 and trainer.device.type == "cpu":
        yield "fp16 is far slower than fp32 on a CPU, where nothing is made for it; choose bf16"


def generator_out_of_range(trainer: Trainer) -> Iterator[str]:
    """Images lie in [-1, 1]; a generator that cannot go there, or goes beyond, does not fit."""
    data, generator = trainer.samples.spec, copy.deepcopy(trainer.state.generator)
    with torch.no_grad():
        quiet = trainer.picture_inputs()
        quiet = next(quiet.parts(8, trainer.device))
        loud = GeneratorInput(quiet.given * LATENT_FACTOR, quiet.labels, quiet.source_labels)
        lowest, highest = loud.through(generator).float().aminmax()
    reach = float(trainer.samples.batch(torch.arange(min(1000, len(trainer.samples)))).abs().max())
    bound = float(torch.maximum(-lowest, highest))
    if data.is_image and bound > 1:
        yield (
            f"the generator makes images beyond [-1, 1], to {bound:.3g}, which no image of the "
            "data has; let it end in tanh"
        )
    elif data.is_image and lowest >= 0:
        yield (
            "the generator's images do not go below 0, and those of the data lie in [-1, 1]; "
            "let it end in tanh, not in a sigmoid"
        )
    elif not data.is_image and bound <= 1 < reach:
        yield (
            f"the generator's samples stay within {bound:.3g}, and the data go to {reach:.3g}; "
            "for vectors it should end in a linear layer"
        )


def data_out_of_range(trainer: Trainer) -> Iterator[str]:
    """Images that fill a sliver of 0 to 255 were probably scaled on the way in."""
    samples = trainer.samples
    if not samples.spec.is_image:
        return
    stored = samples.stored
    if samples.streamed:  # to read all would take as long as an epoch
        few = min(MAX_IMAGES, len(samples))
        stored = samples.select(torch.arange(few) * len(samples) // few)
    lowest, highest = stored.aminmax()
    if float(highest) - float(lowest) <= 255 * MIN_RANGE:
        yield (
            f"the images of the data hold only {int(lowest)} to {int(highest)} of 0 to 255; "
            "were they scaled to [0, 1] before they were stored?"
        )


def batch_of_one(trainer: Trainer) -> Iterator[str]:
    """Statistics over a batch of one are those of the sample itself."""
    if trainer.options.batch_size > 1:
        return
    networks = {"generator": trainer.state.generator, "discriminator": trainer.state.discriminator}
    for word, network in networks.items():
        if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules()):
            yield (
                f"the {word} normalises over its batch, and train.batch_size is 1; "
                "raise it, or choose another normalisation"
            )


def batch_beyond_data(trainer: Trainer) -> Iterator[str]:
    """A batch that exceeds the data holds samples more than once."""
    count, batch_size = len(trainer.samples), trainer.options.batch_size
    if batch_size > count:
        yield (
            f"train.batch_size is {batch_size}, and there are {count} samples: "
            "each batch holds some of them more than once"
        )


def class_without_samples(trainer: Trainer) -> Iterator[str]:
    """A conditional generator makes samples of each class, of one that it never met too."""
    classes, labels = trainer.samples.spec.classes, trainer.samples.labels
    if not trainer.conditional or classes is None or labels is None:
        return
    if missing := sorted(set(range(classes)) - set(labels.unique().tolist())):
        yield (
            f"{len(missing)} of the {classes} classes have no samples, such as class {missing[0]}: "
            "what the generator makes of them means nothing"
        )


def penalty_on_mixed_batch(trainer: Trainer) -> Iterator[str]:
    """Where a batch is mixed, the slope at one sample is partly that of the others."""
    loss = trainer.loss
    if loss.independent_samples or not (loss.second_order and loss.bounds_slope):
        return  # refused before, or nothing to doubt
    discriminator, data = trainer.state.discriminator, trainer.samples.spec
    if mixes_batch(discriminator, data, conditional=trainer.conditional):
        yield (
            "the loss penalises the slope at each sample, and the discriminator mixes its batch, "
            "by batch normalisation for one; a loss that declares independent_samples has it built "
            "without"
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
)


def warnings_before_start(trainer: Trainer) -> list[str]:
    """Say what is doubtful about a run that is about to begin, a line each."""
    with preserve_rng_state():
        return [message for lint in sanity_checks for message in lint(trainer)]
