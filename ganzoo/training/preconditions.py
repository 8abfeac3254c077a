"""Checks that refuse a training before it starts: options, data and memory that do not fit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor, nn

from ganzoo.compute import memory
from ganzoo.errors import InputError, name_errors
from ganzoo.models.size_check import build_on_meta

if TYPE_CHECKING:
    from ganzoo.protocols.dataset import Samples
    from ganzoo.training.setup import TrainingSetup

COPIES = 10
"""How often the memory of one network is needed: two networks, gradients, moments, the average."""


def check_preconditions(setup: TrainingSetup, samples: Samples) -> None:
    """Check everything that can be checked before the networks are built.

    Raises:
        InputError: the options contradict each other, the data do not fit the components, or the
            machine has too little memory.
    """
    check_memory(setup)  # first, because architectures name the options that do not fit the data
    check_sources(setup)
    check_options(setup)
    check_augmentations(setup)
    check_objectives(setup)
    with setup.team.local_process_first():  # which downloads for the others
        for objective in setup.objectives.values():
            objective.prepare(setup.data, setup.device)
    if setup.conditional:
        check_classes(require_labels(samples), setup)


def check_sources(setup: TrainingSetup) -> None:
    """Check that what an architecture declares of its sources fits together.

    Raises:
        InputError: it does not.
    """
    architecture, name = setup.architecture, f"architecture '{setup.architecture_name}'"
    if architecture.takes_sources and architecture.takes_images:
        raise InputError(f"{name} declares takes_images and takes_sources: it can take one")
    if not architecture.judges_source:
        return
    if not architecture.takes_sources:
        raise InputError(f"{name} declares judges_source, and takes no sources")
    if architecture.history(setup.data) is not None:
        raise InputError(
            f"{name} judges each sample with its source, and its history() would show it others: "
            "leave out one of them"
        )


def check_options(setup: TrainingSetup) -> None:
    """Check that options fit each other, the device and the number of processes.

    Raises:
        InputError: they do not.
    """
    options, world = setup.options, setup.team.world
    if options.batch_size % world:
        raise InputError(
            f"train.batch_size must be a multiple of the {world} processes, which share each "
            f"batch; it is {options.batch_size}"
        )
    if options.batch_size % (world * options.accumulate):
        shared = f" times the {world} processes" if world > 1 else ""
        raise InputError(
            f"train.batch_size must be a multiple of the {options.accumulate} parts of "
            f"train.accumulate{shared}; it is {options.batch_size}"
        )
    if options.accumulate > 1 and options.reuse_fakes:
        raise InputError(
            "train.reuse_fakes keeps what train.accumulate is to save: choose one of them"
        )
    clips = options.clip_norm or "train.clip_norm" in setup.schedules
    if options.precision == "fp16" and clips:
        raise InputError("train.clip_norm cannot clip the scaled gradients of fp16; choose bf16")
    if options.precision == "fp16" and options.optimizer != "adam":
        raise InputError(
            "train.precision=fp16 skips updates that overflow, which train.optimizer="
            f"{options.optimizer} cannot do by itself; choose bf16, or train.optimizer=adam"
        )
    if options.cuda_graphs and not (options.compile and setup.device.type == "cuda"):
        raise InputError("train.cuda_graphs needs networks compiled for a GPU: add --compile")


def check_augmentations(setup: TrainingSetup) -> None:
    """Check that every augmentation serves samples of this kind.

    Raises:
        InputError: one does not.
    """
    data = setup.data
    for name, augmentation in setup.augmentations.items():
        if not augmentation.fits(data):
            raise InputError(
                f"the augmentation '{name}' does not fit these samples, {data.kind} of "
                f"{data.size_in_words}; remove it from train.augment"
            )


def check_objectives(setup: TrainingSetup) -> None:
    """Check that the loss and the penalties find what they need.

    Raises:
        InputError: one does not.
    """
    architecture, data = setup.architecture, setup.data
    given = {
        "discriminator": tuple(architecture.discriminator_parts),
        "generator": tuple(architecture.generator_parts),
    }
    for name, penalty in setup.penalties.items():
        if not penalty.fits(data):
            raise InputError(
                f"the penalty '{name}' does not fit these samples, {data.kind} of "
                f"{data.size_in_words}; "
                "drop it"
            )
    for word, objective in setup.objectives.items():
        for network, parts in (
            ("discriminator", objective.needs_discriminator_parts),
            ("generator", objective.needs_generator_parts),
        ):
            if missing := [part for part in parts if part not in given[network]]:
                has = f"it gives {', '.join(given[network])}" if given[network] else "it gives none"
                raise InputError(
                    f"the {word} needs '{missing[0]}' of the {network} of "
                    f"'{setup.architecture_name}', and {has}; choose another architecture"
                )
        for network in objective.needs_networks:
            if network not in architecture.extra_networks:
                raise InputError(
                    f"the {word} needs a network '{network}', which '{setup.architecture_name}' "
                    "does not have; choose another architecture"
                )
        if objective.needs_pairs and not architecture.takes_sources:
            raise InputError(
                f"the {word} compares each fake with the sample of its source, and "
                f"'{setup.architecture_name}' takes no sources; drop it, or choose another "
                "architecture"
            )
        if objective.needs_whole_batch and setup.options.accumulate > 1:
            raise InputError(f"the {word} looks at its batch as a whole: drop train.accumulate")


def require_labels(samples: Samples) -> Tensor:
    """Return the labels of the samples, ``(N,)``.

    Raises:
        InputError: they have none.
    """
    if samples.labels is None or not samples.spec.classes:
        raise InputError(
            "the architecture needs the class of each sample, and these data have no labels; "
            "give data with classes, such as a folder with a folder for each"
        )
    return samples.labels


def check_classes(labels: Tensor, setup: TrainingSetup) -> None:
    """Check that an architecture that translates finds samples of each class for every batch.

    Args:
        labels: Class of each sample ``(N,)``.
        setup: The training; other architectures pass.

    Raises:
        InputError: there is one class, or an empty one, or a batch cannot be balanced.
    """
    if not setup.architecture.takes_images:
        return
    classes, world = setup.classes, setup.team.world
    if classes < 2:
        raise InputError("the architecture translates between classes, and these data have one")
    if empty := set(range(classes)) - set(labels.unique().tolist()):
        raise InputError(f"there are no samples of class {min(empty)} to translate from or to")
    if setup.options.batch_size % (classes * world):
        shared = f" times the {world} processes" if world > 1 else ""
        raise InputError(
            f"train.batch_size must be a multiple of the {classes} classes{shared}, because each "
            f"batch holds equally many samples of each; it is {setup.options.batch_size}"
        )


def check_memory(setup: TrainingSetup) -> None:
    """Check that the networks and a batch fit into memory, before any of it is taken.

    Raises:
        InputError: they are too large.
    """
    architecture, data = setup.architecture, setup.data
    independent = setup.independent_samples
    for build in (
        lambda: architecture.generator(data),
        lambda: architecture.discriminator(data, independent_samples=independent),
        lambda: architecture.history(data) or nn.Identity(),
    ):
        with name_errors(f"architecture '{setup.architecture_name}'"):
            build_on_meta(build, memory.limit() // COPIES)
    length = sum(part.size for part in architecture.latent_parts()) or data.size
    numbers = data.size + length + math.prod(data.source or ())
    memory.require(4 * setup.options.batch_size * numbers, "a batch")
