"""The picture of an imported model: samples, or what it makes of test patterns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ganzoo.media.images import match_images, pair_grid, to_uint8
from ganzoo.models.sample_files import render_model_samples

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.models.model import Model

SEED = 0
SMALL, MIDDLE = 64, 256
"""Pixels of the longer side up to which a picture has 64 samples, and 16; larger ones have 4."""


def draw_picture(model: Model) -> Tensor:
    """Draw what shows a model: a picture ``(C, H, W)`` of uint8."""
    side = max(model.config.spec.shape[1:])
    count = 64 if side <= SMALL else 16 if side <= MIDDLE else 4
    if model.architecture.takes_latents:
        stored = model.generate(model.inputs.draw(count, SEED), stored=True)
        return render_model_samples(model, stored, None)
    sources = draw_patterns(min(count, 8), model.inputs.source_shape)
    label = 0 if model.architecture.takes_images else None
    stored = model.generate(model.inputs.from_images(sources, label), stored=True)
    if sources.dim() != 4:
        return render_model_samples(model, stored, None)
    return pair_grid(*match_images(to_uint8(sources), stored))


def draw_patterns(count: int, shape: Sequence[int]) -> Tensor:
    """Return test patterns ``(count, *shape)`` in ``[-1, 1]``: rings and stripes, of all widths.

    Vectors are drawn from a normal distribution.
    """
    import torch

    if len(shape) != 3:
        return torch.randn(count, *shape, generator=torch.Generator().manual_seed(SEED))
    channels, height, width = shape
    rows = torch.linspace(-1, 1, height)[:, None].expand(height, width)
    columns = torch.linspace(-1, 1, width)[None, :].expand(height, width)
    patterns = []
    for i in range(count):
        along = (rows**2 + columns**2).sqrt() if i % 2 else rows + (i - count / 2) / 2 * columns
        waves = [torch.cos(along * (4 + 3 * i) + channel) for channel in range(channels)]
        patterns.append(torch.stack(waves))
    return torch.stack(patterns)
