"""Checks of class-conditional and unconditional networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ganzoo.models.generation import evaluation_mode
from ganzoo.protocols.architecture import Architecture
from ganzoo.protocols.outputs import pick
from ganzoo.testing.common import explain_errors, require
from ganzoo.testing.networks import (
    CLASSES,
    COUNT,
    SPECS,
    build_fitting,
    compute_logits,
    discriminator_arguments,
    draw_batch,
    draw_inputs,
    generate,
    perturb_weights,
    source_arguments,
)

if TYPE_CHECKING:
    from ganzoo.protocols.outputs import NetworkOutput

MANY_CLASSES = 12
"""More than ten, for an architecture that assumes ten classes."""


def check_conditional(architecture: Architecture) -> None:
    """Networks that take labels use them, and serve each class."""
    for data in SPECS:
        conditional = architecture.takes_labels(data)
        require(
            isinstance(conditional, bool),
            f"takes_labels(data) must return True or False, not {conditional!r}",
        )
        require(
            conditional or not architecture.takes_images,
            "the labels of an architecture that takes images are the classes to translate to: do "
            "not override takes_labels(), or return True",
        )
    for classes in (CLASSES, MANY_CLASSES):
        for data, *networks in build_fitting(architecture, classes=classes):
            if architecture.takes_labels(data):
                generator, discriminator = map(perturb_weights, networks)
                given = draw_inputs(architecture, data).given
                _require_labels("generator", generator, given, classes)
                samples, *_ = discriminator_arguments(architecture, data, draw_batch(data))
                sources = source_arguments(architecture, data)
                # With parts it may be asked for the classes, and must then not be told.
                may_ignore = bool(architecture.discriminator_parts)
                _require_labels(
                    "discriminator",
                    discriminator,
                    samples,
                    classes,
                    *sources,
                    may_ignore=may_ignore,
                )


def check_unlabelled(architecture: Architecture) -> None:
    """The networks work without labels on data without classes, or an InputError refuses it."""
    for data, generator, discriminator in build_fitting(architecture, classes=None):
        require(
            not architecture.takes_labels(data),
            "networks that take labels must not be built for data without classes: raise an "
            "InputError, or let takes_labels(data) return False",
        )
        with torch.no_grad():
            fake = generate(generator, draw_inputs(architecture, data))
            compute_logits(architecture, discriminator, data, fake)


def _require_labels(
    word: str,
    network: nn.Module,
    given: NetworkOutput,
    classes: int,
    *sources: Tensor,
    may_ignore: bool = False,
) -> None:
    main, found = {"generator": "samples", "discriminator": "logits"}[word], []
    with evaluation_mode(network), torch.no_grad():
        for label in range(classes):
            with explain_errors(
                f"a conditional {word} must serve each class from 0 to classes - 1"
            ):
                labels = torch.full((COUNT,), label)
                found.append(pick(network(given, labels, *sources), main))
    for label in range(1, classes):
        require(
            may_ignore or not torch.equal(found[0], found[label]),
            f"a conditional {word} must use its labels: it gave the same for class 0 and "
            f"class {label}",
        )
    labels = torch.arange(COUNT) % classes
    with evaluation_mode(network), torch.no_grad():
        mixed = pick(network(given, labels, *sources), main)
    own = torch.stack([found[label][i] for i, label in enumerate(labels.tolist())])
    require(
        torch.allclose(mixed, own, rtol=1e-4, atol=1e-5),
        f"a conditional {word} must treat each sample by its own class: a batch of several classes "
        "gave other results than batches of one class",
    )
