"""Checks of truncation and interpolation."""

from __future__ import annotations

import torch

from ganzoo.errors import InputError
from ganzoo.protocols.architecture import Architecture
from ganzoo.testing.common import require, untouched_randomness
from ganzoo.testing.networks import (
    build_fitting,
    draw_inputs,
    draw_latents,
    draw_raw_samples,
    perturb_weights,
)

SMALL_TRUNCATION = 0.1
LARGE_TRUNCATION = 10.0
"""All but a share of 1e-23 of the normal distribution lies within it."""


def check_truncation(architecture: Architecture) -> None:
    """Truncation changes samples and keeps their range; a truncation of 10 hardly changes them."""
    if not architecture.takes_latents:
        return
    for data, generator, _ in build_fitting(architecture):
        generator, inputs = perturb_weights(generator).eval(), draw_inputs(architecture, data)
        plain = draw_raw_samples(generator, inputs, data)
        for truncation in (SMALL_TRUNCATION, LARGE_TRUNCATION):
            try:
                with untouched_randomness("truncate()"):
                    drawn = draw_raw_samples(
                        architecture.truncate(generator, truncation), inputs, data, "truncate()"
                    )
            except InputError:
                continue
            require(
                torch.equal(draw_raw_samples(generator, inputs, data), plain),
                "truncate() must not change the generator that it takes",
            )
            require(
                drawn.shape == plain.shape and bool(drawn.isfinite().all()),
                f"truncated samples must be finite, and of shape {tuple(plain.shape)}",
            )
            require(
                not data.is_image or float(drawn.abs().max()) <= 1.0,
                "truncated images must lie in [-1, 1], as all images do",
            )
            # The tolerance allows for rounding in networks that normalise by their activations.
            same = torch.allclose(drawn, plain, rtol=1e-2, atol=1e-2)
            require(
                same == (truncation == LARGE_TRUNCATION),
                f"truncate() must change the samples at {SMALL_TRUNCATION:g} and hardly change "
                f"them at {LARGE_TRUNCATION:g}, or raise an InputError: at {truncation:g} they "
                f"{'stayed the same' if same else 'changed'}",
            )


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
