"""Conformance checks of class-conditional and unconditional networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganzoo.models.model import evaluation_mode
from ganzoo.protocols.architecture import Architecture
from ganzoo.testing.common import explain_errors, require
from ganzoo.testing.networks import (
    _SPECS,
    CLASSES,
    COUNT,
    _build_fitting,
    _compute_logits,
    _draw_inputs,
    _draw_samples,
    _generate,
    _perturb_weights,
)

MANY_CLASSES = 12
"""More than digits have, for an architecture that counts to ten by itself."""


def check_conditional(architecture: Architecture) -> None:
    """Where both networks take labels, they look at them, and serve each class."""
    for data in _SPECS:
        conditional = architecture.takes_labels(data)
        require(
            isinstance(conditional, bool),
            f"takes_labels(data) must answer True or False, not {conditional!r}",
        )
        require(
            conditional or not architecture.takes_images,
            "an architecture that takes images is told by labels to which class they go: leave "
            "takes_labels() as it is, or answer True",
        )
    for classes in (CLASSES, MANY_CLASSES):
        for data, *networks in _build_fitting(architecture, classes=classes):
            if architecture.takes_labels(data):
                given = (_draw_inputs(architecture, data).given, _draw_samples(data))
                for word, network, same in zip(
                    ("generator", "discriminator"), networks, given, strict=True
                ):
                    _require_labels(word, _perturb_weights(network), same, classes)


def check_unlabelled(architecture: Architecture) -> None:
    """Data without classes are served without labels, or refused by an InputError."""
    for data, generator, discriminator in _build_fitting(architecture, classes=None):
        require(
            not architecture.takes_labels(data),
            "networks that take labels must not be built for data without classes: refuse them by "
            "an InputError, or let takes_labels(data) answer False",
        )
        with torch.no_grad():
            fake = _generate(generator, _draw_inputs(architecture, data))
            _compute_logits(architecture, discriminator, data, fake)


def _require_labels(word: str, network: nn.Module, given: Tensor, classes: int) -> None:
    found = []
    with evaluation_mode(network), torch.no_grad():
        for label in range(classes):
            with explain_errors(
                f"a conditional {word} must serve each class from 0 to classes - 1"
            ):
                found.append(network(given, torch.full((COUNT,), label)))
    for label in range(1, classes):
        require(
            not torch.equal(found[0], found[label]),
            f"a conditional {word} must look at the labels: it gave the same for class 0 and "
            f"class {label}",
        )
    labels = torch.arange(COUNT) % classes
    with evaluation_mode(network), torch.no_grad():
        mixed = network(given, labels)
    own = torch.stack([found[label][i] for i, label in enumerate(labels.tolist())])
    require(
        torch.allclose(mixed, own, rtol=1e-4, atol=1e-5),
        f"a conditional {word} must give each sample its own class: in a batch of several classes "
        "it gave others than in batches of one",
    )
