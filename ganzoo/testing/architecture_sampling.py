"""Conformance checks of truncation and interpolation."""

from __future__ import annotations

import torch

from ganzoo.errors import InputError
from ganzoo.protocols.architecture import Architecture
from ganzoo.testing.common import require, untouched_randomness
from ganzoo.testing.networks import (
    _build_fitting,
    _draw_inputs,
    _draw_latents,
    _draw_raw_samples,
    _perturb_weights,
)

SMALL_TRUNCATION = 0.1
LARGE_TRUNCATION = 10.0
"""One that all of the normal distribution but a share of 1e-23 is within."""


def check_truncation(architecture: Architecture) -> None:
    """Truncated samples stay in range: others than without, but for a truncation of 10."""
    if architecture.takes_images:
        return
    for data, generator, _ in _build_fitting(architecture):
        generator, inputs = _perturb_weights(generator).eval(), _draw_inputs(architecture, data)
        plain = _draw_raw_samples(generator, inputs, data)
        for truncation in (SMALL_TRUNCATION, LARGE_TRUNCATION):
            try:
                with untouched_randomness("truncated()"):
                    drawn = _draw_raw_samples(
                        architecture.truncate(generator, truncation), inputs, data, "truncated()"
                    )
            except InputError:
                continue
            require(
                torch.equal(_draw_raw_samples(generator, inputs, data), plain),
                "truncated() must leave the generator that it is given as it is",
            )
            require(
                drawn.shape == plain.shape and bool(drawn.isfinite().all()),
                f"truncated samples must be finite, and of shape {tuple(plain.shape)}",
            )
            require(
                not data.is_image or float(drawn.abs().max()) <= 1.0,
                "truncated images must lie in [-1, 1], as others do",
            )
            # Rounding may show in networks that divide by what they find.
            same = torch.allclose(drawn, plain, rtol=1e-2, atol=1e-2)
            require(
                same == (truncation == LARGE_TRUNCATION),
                "truncated() must give other samples the smaller the truncation, and nearly the "
                f"same at {LARGE_TRUNCATION:g}, or refuse by an InputError: at {truncation:g} they "
                f"were {'the same' if same else 'others'}",
            )


def check_interpolation(architecture: Architecture) -> None:
    """A walk begins at the one latents and ends at the other, or is refused."""
    if architecture.takes_images:
        return
    start, end = (_draw_latents(architecture, seed) for seed in (1, 2))
    given = start.clone(), end.clone()
    for share, wanted in ((0.0, start), (0.5, None), (1.0, end)):
        try:
            with untouched_randomness("interpolated()"):
                found = architecture.interpolate(start, end, share)
        except InputError:
            return
        require(
            torch.equal(start, given[0]) and torch.equal(end, given[1]),
            "interpolated() must not change in place what it is given",
        )
        require(
            found.shape == start.shape and found.dtype == start.dtype,
            f"interpolated() must give latents of shape {tuple(start.shape)} and {start.dtype}",
        )
        require(bool(found.isfinite().all()), "interpolated() must give finite latents")
        require(
            wanted is None or torch.allclose(found, wanted, rtol=1e-3, atol=1e-3),
            "interpolated() must begin at the first latents, for a share of 0, and end at the "
            f"second ones, for 1: at {share:g} there were others",
        )
