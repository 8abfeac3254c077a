"""Random changes of colour, composed as one affine map of the colours of each image.

Karras et al. 2020, arXiv:2006.06676, appendix B. With v = (1, 1, 1) / sqrt(3), the luma axis,
u uniform in [0, 1) and n normal:

- brightness: adds 0.2 n to each channel;
- contrast: multiplies by 2^(0.5 n);
- lumaflip, of every other image: I - 2 v v^T;
- hue: a rotation about v by (2 u - 1) pi;
- saturation: v v^T + 2^n (I - v v^T).

Grey images have neither hue nor saturation. Their one channel is mapped as three equal ones are,
whose mean is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ganzoo_zoo.augmentations.ada.draws import draw_applied, draw_normal, draw_uniform
from ganzoo_zoo.augmentations.ada.matrices import multiply

BRIGHTNESS = 0.2
CONTRAST = 0.5


def change_colors(images: Tensor, chances: Mapping[str, Tensor]) -> Tensor:
    """Return images ``(N, 1 or 3, H, W)`` in other colours."""
    maps = draw_color_maps(images, chances)
    if images.shape[1] == 1:
        gain, shift = maps[..., :3].sum(2).mean(1), maps[..., 3].mean(1)
        return images * gain[:, None, None, None] + shift[:, None, None, None]
    # Sums of products, which are exact for the identity; a matrix product may be in TF32.
    return (maps[:, :, :3, None, None] * images[:, None]).sum(2) + maps[:, :, 3, None, None]


def draw_color_maps(images: Tensor, chances: Mapping[str, Tensor]) -> Tensor:
    """Draw the map of each image, ``(N, 3, 4)``: a matrix, and what is added."""
    maps = torch.eye(3, 4, dtype=images.dtype, device=images.device).repeat(len(images), 1, 1)
    if "brightness" in chances:
        applied = draw_applied(images, chances["brightness"])
        maps[..., 3] = (BRIGHTNESS * draw_normal(images) * applied)[:, None]
    for name, draw in LINEAR.items():
        if name not in chances or (name in COLORFUL and images.shape[1] == 1):
            continue
        applied = draw_applied(images, chances[name])[:, None, None]
        maps = torch.where(applied, multiply(draw(images), maps), maps)
    return maps


def _draw_contrast(images: Tensor) -> Tensor:
    factors = torch.exp2(CONTRAST * draw_normal(images))
    return factors[:, None, None] * _identity(images)


def _draw_luma_flip(images: Tensor) -> Tensor:
    flips = (2 * draw_uniform(images)).floor()[:, None, None]
    return _identity(images) - 2 * flips * _luma(images)


def _draw_hue(images: Tensor) -> Tensor:
    angles = ((2 * draw_uniform(images) - 1) * math.pi)[:, None, None]
    luma = _luma(images)
    # The cross product with v: Rodrigues' formula.
    cross = (torch.roll(_identity(images), 1, 0) - torch.roll(_identity(images), 1, 1)) / 3**0.5
    return luma + angles.cos() * (_identity(images) - luma) + angles.sin() * cross


def _draw_saturation(images: Tensor) -> Tensor:
    luma = _luma(images)
    return luma + torch.exp2(draw_normal(images))[:, None, None] * (_identity(images) - luma)


def _identity(images: Tensor) -> Tensor:
    return torch.eye(3, dtype=images.dtype, device=images.device)


def _luma(images: Tensor) -> Tensor:
    """Return the projection v v^T onto the luma axis."""
    return torch.full((3, 3), 1 / 3, dtype=images.dtype, device=images.device)


LINEAR: dict[str, Callable[[Tensor], Tensor]] = {
    "contrast": _draw_contrast,
    "lumaflip": _draw_luma_flip,
    "hue": _draw_hue,
    "saturation": _draw_saturation,
}
"""What draws the matrices of a transform ``(N, 3, 3)``, by its name, in order."""
COLORFUL = ("hue", "saturation")
"""Transforms that grey images lack."""
