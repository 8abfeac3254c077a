"""Style mixing: the styles of some layers from one sample, and those of the others from another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganzoo.arguments import require_positive
from ganzoo.compute import memory
from ganzoo.errors import InputError
from ganzoo.models.generation import evaluation_mode, generate
from ganzoo.protocols.architecture import GeneratorInput

if TYPE_CHECKING:
    from ganzoo.protocols.dataset import DataSpec
    from ganzoo.protocols.styles import Styles

MAPPED = 1024
"""Most latents that are mapped to styles at once."""


def require_styles(styles: Styles | None) -> Styles:
    """Return the styles of a model.

    Raises:
        InputError: the model has none.
    """
    if styles is None:
        raise InputError(
            "this model has no styles: its generator does not map latents to them first"
        )
    return styles


def require_layers(layers: Sequence[int], count: int) -> list[int]:
    """Return layers as a list.

    Args:
        layers: The layers, from 0.
        count: Number of layers that the model has.

    Raises:
        InputError: there are none, or one that the model does not have.
    """
    wrong = [layer for layer in layers if not 0 <= layer < count]
    if wrong or not layers:
        has = f"this model's layers are 0 to {count - 1}"
        raise InputError(f"{has}: there is no layer {wrong[0]}" if wrong else f"{has}: give some")
    return list(layers)


def map_latents(styles: Styles, inputs: GeneratorInput, truncation: float | None = None) -> Tensor:
    """Return the styles ``(N, L, W)`` of inputs, on the CPU.

    Args:
        styles: The styles of a model.
        inputs: Latents, and labels if any.
        truncation: As for :meth:`ganzoo.Model.mix`.

    Raises:
        InputError: the truncation is not a number above 0.
    """
    with evaluation_mode(styles.mapping), torch.inference_mode():
        parts = [
            part.through(styles.mapping).float().cpu()
            for part in inputs.parts(MAPPED, styles.mean.device)
        ]
    found = torch.cat(parts)
    if truncation is None:
        return found
    share = min(require_positive("truncation", truncation), 1.0)
    return styles.mean.detach().float().cpu().lerp(found, share)


def mix_styles(rows: Tensor, columns: Tensor, layers: Sequence[int]) -> Tensor:
    """Return styles ``(R, C, L, W)``: those of a row with some layers of a column's.

    Args:
        rows: Styles ``(R, L, W)``.
        columns: Styles ``(C, L, W)``.
        layers: The layers that are taken from the columns.
    """
    mixed = rows[:, None].repeat(1, len(columns), 1, 1)
    mixed[:, :, list(layers)] = columns[None, :, list(layers)]
    return mixed


def draw_mix(
    styles: Styles | None,
    inputs: GeneratorInput,
    layers: Sequence[int],
    spec: DataSpec,
    truncation: float | None = None,
    *,
    stored: bool = False,
) -> Tensor:
    """Draw samples and what is mixed of them; see :meth:`ganzoo.Model.mix`.

    Args:
        styles: The styles of a model; None without.
        inputs: Inputs of the samples of the first row, followed by as many of the first column.
        layers: The layers that have the styles of the first row.
        spec: The data that the model was built for.
        truncation: As for :meth:`ganzoo.Model.mix`.
        stored: As for :func:`ganzoo.models.generation.generate`.

    Returns:
        Images ``(count + 1, count + 1, C, H, W)`` on the CPU.

    Raises:
        InputError: there are no styles or no such layer, the samples are no images, or they would
            not fit into memory.
    """
    styles, count = require_styles(styles), len(inputs.given) // 2
    if not spec.is_image:
        raise InputError(f"only images are mixed, and this model's samples are {spec.kind}")
    whole = (count + 1) ** 2
    memory.require(8 * whole * spec.size, f"{whole:,} samples")
    columns, rows = map_latents(styles, inputs, truncation).split(count)
    mixed = mix_styles(rows, columns, require_layers(layers, rows.shape[1]))
    below = torch.cat([rows[:, None], mixed], 1).flatten(0, 1)
    given = GeneratorInput(torch.cat([columns, below]))
    made = generate(styles.synthesis, given, spec, stored=stored)
    white = torch.full_like(made[:1], 255 if stored else 1)
    return torch.cat([white, made]).unflatten(0, (count + 1, count + 1))
