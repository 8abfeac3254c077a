"""The check of styles: a generator in two halves."""

from __future__ import annotations

import torch
from torch import nn

from ganzoo.protocols.architecture import Architecture, GeneratorInput
from ganzoo.protocols.dataset import DataSpec
from ganzoo.protocols.outputs import pick
from ganzoo.protocols.styles import Styles
from ganzoo.testing.common import explain_errors, require, untouched_randomness
from ganzoo.testing.networks import (
    COUNT,
    build_fitting,
    draw_inputs,
    generate,
    generator_arguments,
    perturb_weights,
)


def check_styles(architecture: Architecture) -> None:
    """``styles()`` returns a mapping and a synthesis that together are the generator."""
    for data, generator, _ in build_fitting(architecture):
        generator = perturb_weights(generator).eval().requires_grad_(False)
        before = {name: value.clone() for name, value in generator.state_dict().items()}
        asked = "styles() must return ganzoo.Styles of a generator, or None"
        with untouched_randomness("styles()"), explain_errors(asked):
            styles = architecture.styles(generator)
        if styles is None:
            return
        require(isinstance(styles, Styles), f"{asked}, not {type(styles).__name__}")
        _require_halves(styles, generator, architecture, data)
        after = generator.state_dict()
        require(
            all(torch.equal(value, after[name]) for name, value in before.items()),
            "styles() must not change the generator, and neither may its halves in evaluation mode",
        )


def _require_halves(
    styles: Styles, generator: nn.Module, architecture: Architecture, data: DataSpec
) -> None:
    inputs = draw_inputs(architecture, data)
    with explain_errors("the mapping must take the generator's arguments"):
        w = styles.mapping(*generator_arguments(inputs)).detach()
    require(
        w.dim() == 3 and len(w) == COUNT,
        f"the mapping must return styles ({COUNT}, L, W), not {tuple(w.shape)}",
    )
    _require_shapes(styles, *w.shape[1:])
    w.requires_grad_()
    with explain_errors("the synthesis must take styles (N, L, W)"):
        made = pick(styles.synthesis(w), "samples")
    wanted = generate(generator, inputs)
    require(
        made.shape == wanted.shape and torch.allclose(made, wanted, rtol=1e-4, atol=1e-5),
        "synthesis(mapping(latents)) must be what the generator returns in evaluation mode",
    )
    require(made.requires_grad, "samples must be differentiable by their styles")
    (slope,) = torch.autograd.grad(made.sum(), w)
    require(
        bool((slope != 0).any(2).any(0).all()),
        "samples must depend on the styles of each of the L layers",
    )
    swapped = GeneratorInput(w.detach().roll(1, 0))
    require(
        torch.allclose(swapped.through(styles.synthesis), made.roll(1, 0), rtol=1e-4, atol=1e-5),
        "a sample must depend on its own styles alone, not on the rest of its batch",
    )


def _require_shapes(styles: Styles, layers: int, width: int) -> None:
    mean, affine = styles.mean, styles.affine
    require(
        tuple(mean.shape) == (width,) and bool(mean.isfinite().all()),
        f"the mean style must be finite and of shape {(width,)}, not {tuple(mean.shape)}",
    )
    require(
        affine.dim() == 2 and affine.shape[1] == width and len(affine) > 0,
        f"affine must hold weights (K, {width}), not {tuple(affine.shape)}",
    )
    rows = styles.affine_layers
    require(
        isinstance(rows, tuple) and len(rows) == len(affine),
        f"affine_layers must name the layer of each of {len(affine)} rows of affine, as a tuple",
    )
    require(
        set(rows) <= set(range(layers)),
        f"affine_layers must be layers from 0 to {layers - 1}, not {sorted(set(rows))}",
    )
