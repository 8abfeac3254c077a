"""Checks of outputs beside samples and logits, and of networks within networks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ganzoo.protocols.architecture import Architecture
from ganzoo.protocols.dataset import DataSpec
from ganzoo.testing.common import explain_errors, require
from ganzoo.testing.networks import (
    COUNT,
    build_fitting,
    draw_batch,
    draw_inputs,
    generate_parts,
    judge_parts,
)


def check_parts(architecture: Architecture) -> None:
    """Networks return the parts that are declared, and reals have those that are judged."""
    for word in ("generator_parts", "discriminator_parts", "judged_parts"):
        declared = getattr(architecture, word)
        require(
            isinstance(declared, tuple) and all(isinstance(name, str) for name in declared),
            f"{word} must be a tuple of names, such as ('features',), not {declared!r}",
        )
    judged, given = tuple(architecture.judged_parts), tuple(architecture.generator_parts)
    require(
        set(judged) <= set(given),
        f"judged_parts must be among generator_parts: they are {judged}, and those are {given}",
    )
    for data, generator, discriminator in build_fitting(architecture):
        with torch.no_grad():
            made = generate_parts(generator, draw_inputs(architecture, data))
            said = judge_parts(architecture, discriminator, data, made)
        _require_names("generator", "samples", architecture.generator_parts, made)
        _require_names("discriminator", "logits", architecture.discriminator_parts, said)
        if judged:
            _require_real_parts(architecture, data, made)


def check_extra_networks(architecture: Architecture) -> None:
    """Networks of their own are submodules of the generator or of the discriminator."""
    extra, copied = set(architecture.extra_networks), set(architecture.copied_networks)
    require(
        copied <= extra,
        f"copied_networks must be among extra_networks, and {sorted(copied - extra)} are not",
    )
    for _, generator, discriminator in build_fitting(architecture):
        own, others = (dict(each.named_modules()) for each in (generator, discriminator))
        for name in extra:
            require(
                name in own or name in others,
                f"extra_networks names '{name}', and neither network has such a submodule",
            )
        for name in copied:
            require(
                name in own,
                f"copied_networks names '{name}', and the generator, which alone has an average, "
                "has no such submodule",
            )


def _require_names(
    word: str, main: str, declared: tuple[str, ...], found: Mapping[str, Tensor]
) -> None:
    require(
        found.keys() == {main, *declared},
        f"the {word} must return '{main}' and its declared parts {tuple(declared)}, and it "
        f"returned {tuple(found)}: set {word}_parts",
    )
    for name, part in found.items():
        require(
            part.dim() > 0 and len(part) == COUNT,
            f"part '{name}' of the {word} must have a row for each of {COUNT} samples, and is of "
            f"shape {tuple(part.shape)}",
        )


def _require_real_parts(
    architecture: Architecture, data: DataSpec, made: Mapping[str, Tensor]
) -> None:
    real = draw_batch(data).requires_grad_()
    with explain_errors("real_parts() must return a dict of tensors by name"):
        found = dict(architecture.real_parts(real))
    require(torch.equal(real, draw_batch(data)), "real_parts() must not change the reals in place")
    for name in architecture.judged_parts:
        require(name in found, f"real_parts() must return '{name}', which is judged")
        require(
            found[name].shape == made[name].shape,
            f"part '{name}' of reals must have the shape of the generator's, "
            f"{tuple(made[name].shape)}, and has {tuple(found[name].shape)}",
        )
        require(
            found[name].requires_grad,
            f"part '{name}' of reals must be differentiable by the reals: do not detach it",
        )
