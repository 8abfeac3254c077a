"""Checks of latents, of how samples are drawn, and of interpolation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganzoo.errors import InputError
from ganzoo.models.generation import build_sampler
from ganzoo.protocols.architecture import Architecture, GeneratorInput
from ganzoo.protocols.dataset import DataSpec
from ganzoo.testing.common import require, untouched_randomness
from ganzoo.testing.networks import (
    COUNT,
    build_fitting,
    draw_inputs,
    draw_latents,
    draw_raw_samples,
    perturb_weights,
)

SMALL_TRUNCATION = 0.1
LARGE_TRUNCATION = 10.0
"""All but a share of 1e-23 of the normal distribution lies within it."""
DISTRIBUTIONS = ("normal", "uniform", "category")


def check_latent_parts(architecture: Architecture) -> None:
    """Parts of latents have names of their own, known distributions, and the latents' length."""
    is_own = type(architecture).latents is not Architecture.latents
    if is_own or not architecture.takes_latents:
        return
    parts = architecture.latent_parts()
    for part in parts:
        require(
            part.size > 0 and part.distribution in DISTRIBUTIONS,
            f"a part of a latent must have a size above 0, and a distribution of {DISTRIBUTIONS}: "
            f"not {part}",
        )
    names = [part.name for part in parts]
    require(len(set(names)) == len(names), f"parts of a latent need different names, not {names}")
    drawn, length = draw_latents(architecture), sum(part.size for part in parts)
    require(
        tuple(drawn.shape) == (COUNT, length),
        f"latents must have the length of their parts, {(COUNT, length)}, not {tuple(drawn.shape)}",
    )


def check_sampler(architecture: Architecture) -> None:
    """``sampler()`` builds the same network each time, and changes nothing."""
    for data, generator, _ in build_fitting(architecture):
        generator, inputs = perturb_weights(generator).eval(), draw_inputs(architecture, data)
        drawn, again = (_draw(architecture, generator, inputs, data, None) for _ in range(2))
        require(
            torch.equal(drawn, again),
            "sampler() must draw from the generator in its argument rng alone: built twice with "
            "the same seed, it gave other samples",
        )


def check_truncation(architecture: Architecture) -> None:
    """Truncation changes samples and keeps their range; a truncation of 10 hardly changes them."""
    if not architecture.takes_latents:
        return
    for data, generator, _ in build_fitting(architecture):
        generator, inputs = perturb_weights(generator).eval(), draw_inputs(architecture, data)
        plain = _draw(architecture, generator, inputs, data, None)
        for truncation in (SMALL_TRUNCATION, LARGE_TRUNCATION):
            try:
                drawn = _draw(architecture, generator, inputs, data, truncation)
            except InputError:
                continue
            # The tolerance allows for rounding in networks that normalise by their activations.
            same = torch.allclose(drawn, plain, rtol=1e-2, atol=1e-2)
            require(
                same == (truncation == LARGE_TRUNCATION),
                f"truncate() must change the samples at {SMALL_TRUNCATION:g} and hardly change "
                f"them at {LARGE_TRUNCATION:g}, or raise an InputError: at {truncation:g} they "
                f"{'stayed the same' if same else 'changed'}",
            )


def _draw(
    architecture: Architecture,
    generator: nn.Module,
    inputs: GeneratorInput,
    data: DataSpec,
    truncation: float | None,
) -> Tensor:
    """Draw samples as a model does, and require that the generator stays as it is."""
    by, what = ("sampler()", "") if truncation is None else ("truncate()", "truncated ")
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    with untouched_randomness(by):
        sampler = build_sampler(architecture, generator, data, truncation)
        drawn = draw_raw_samples(sampler, inputs, data, by)
    after = generator.state_dict()
    require(
        all(torch.equal(value, after[name]) for name, value in before.items())
        and not any(module.training for module in generator.modules()),
        f"{by} must not change the generator that it takes: change a copy",
    )
    require(
        tuple(drawn.shape) == (COUNT, *data.shape) and bool(drawn.isfinite().all()),
        f"{what}samples must be finite, and of shape {(COUNT, *data.shape)}",
    )
    require(
        not data.is_bounded or float(drawn.abs().max()) <= 1.0,
        f"{what}{data.kind} must lie in [-1, 1], as all {data.kind} do",
    )
    return drawn


def check_interpolation(architecture: Architecture) -> None:
    """Interpolation begins at the first latents and ends at the second, or raises an InputError."""
    if not architecture.takes_latents:
        return
    start, end = (draw_latents(architecture, seed) for seed in (1, 2))
    given = start.clone(), end.clone()
    for share, wanted in ((0.0, start), (0.5, None), (1.0, end)):
        try:
            with untouched_randomness("interpolate()"):
                found = architecture.interpolate(start, end, share)
        except InputError:
            return
        require(
            torch.equal(start, given[0]) and torch.equal(end, given[1]),
            "interpolate() must not change its arguments in place",
        )
        require(
            found.shape == start.shape and found.dtype == start.dtype,
            f"interpolate() must return latents of shape {tuple(start.shape)} and {start.dtype}",
        )
        require(bool(found.isfinite().all()), "interpolate() must return finite latents")
        require(
            wanted is None or torch.allclose(found, wanted, rtol=1e-3, atol=1e-3),
            "interpolate() must return the first latents for a share of 0, and the second for 1: "
            f"at {share:g} it returned others",
        )
