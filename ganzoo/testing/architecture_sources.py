"""Checks of architectures that make each sample from a source."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from ganzoo.models.generation import evaluation_mode
from ganzoo.models.tiles import find_factors
from ganzoo.protocols.architecture import Architecture
from ganzoo.protocols.dataset import DataSpec
from ganzoo.protocols.outputs import pick
from ganzoo.testing.common import explain_errors, require, seeded
from ganzoo.testing.networks import (
    COUNT,
    build_fitting,
    compute_logits,
    discriminator_arguments,
    draw_batch,
    draw_inputs,
    draw_sources,
    generate,
    generator_arguments,
    perturb_weights,
)


def check_sources(architecture: Architecture) -> None:
    """Networks that take sources use them, and sources that are made fit what is declared."""
    require(
        not (architecture.takes_sources and architecture.takes_images),
        "declare takes_sources or takes_images: a generator starts from one of them",
    )
    require(
        bool(architecture.takes_sources) or not architecture.judges_source,
        "judges_source needs takes_sources: there is no source to judge",
    )
    require(
        bool(architecture.takes_sources) or not architecture.takes_any_size,
        "takes_any_size is about sources: it needs takes_sources",
    )
    if not architecture.takes_sources:
        return
    for data, *networks in build_fitting(architecture):
        if architecture.makes_sources:
            _require_made(architecture, data)
        generator, discriminator = map(perturb_weights, networks)
        inputs = draw_inputs(architecture, data)
        others = replace(inputs, given=draw_sources(data, seed=2))
        with evaluation_mode(generator), torch.no_grad():
            made, again = generate(generator, inputs), generate(generator, others)
        require(
            not torch.equal(made, again),
            "the generator must use its source: it made the same of another one",
        )
        if architecture.judges_source:
            _require_judged(architecture, discriminator, data)
        if architecture.takes_any_size:
            _require_any_size(architecture, generator, data)


def _require_judged(architecture: Architecture, discriminator: nn.Module, data: DataSpec) -> None:
    with evaluation_mode(discriminator), torch.no_grad():
        logits = compute_logits(architecture, discriminator, data)
        *before, source = discriminator_arguments(architecture, data, draw_batch(data))
        others = pick(discriminator(*before, pick(source, "samples").flip(0)), "logits")
    require(
        not torch.equal(logits, others),
        "a discriminator that judges sources must use them: its logits were the same beside other "
        "sources",
    )
    require(
        architecture.history(data) is None,
        "history() returns fakes of earlier sources, and judges_source shows the present ones "
        "beside them: leave out one of them",
    )


def _require_any_size(architecture: Architecture, generator: nn.Module, data: DataSpec) -> None:
    """Require that samples are larger than sources of any size by the same factors."""
    factors = find_factors(data)
    channels, *_ = data.source or ()
    inputs = draw_inputs(architecture, data.model_copy(update={"source": (channels, 29, 35)}))
    with (
        evaluation_mode(generator),
        torch.no_grad(),
        explain_errors("with takes_any_size the generator must take sources of any size"),
    ):
        made = pick(generator(*generator_arguments(inputs)), "samples")
    wanted = (COUNT, data.image_channels, 29 * factors[0], 35 * factors[1])
    require(
        tuple(made.shape) == wanted,
        f"with takes_any_size a sample is as much larger than its source as in the training: of "
        f"29 x 35 pixels it must be {wanted}, not {tuple(made.shape)}",
    )


def _require_made(architecture: Architecture, data: DataSpec) -> None:
    samples = draw_batch(data)
    asked = "make_source() must make a source of each sample"
    with explain_errors(asked), torch.no_grad():
        with seeded():
            made = architecture.make_source(samples)
        with seeded():
            again = architecture.make_source(samples)
    require(torch.equal(samples, draw_batch(data)), "make_source() must not change its samples")
    require(
        tuple(made.shape) == (COUNT, *(data.source or ())),
        f"{asked}, and source_shape() must tell their shape: it made {tuple(made.shape)} of "
        f"{tuple(samples.shape)}, and the shape is {data.source}",
    )
    require(
        torch.equal(made, again),
        "make_source() must draw only from torch's global generator: the same seed gave others",
    )
    require(
        bool(made.isfinite().all()) and (made.dim() != 4 or float(made.abs().max()) <= 1.0),
        "sources of images must lie in [-1, 1], as the images do",
    )
