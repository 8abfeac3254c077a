"""What both networks share: spectral normalisation, and how often an image is halved."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganzoo import DataSpec
from ganzoo.errors import InputError

SMALLEST_SIDES = (4, 7)


def normalise(module: nn.Module) -> None:
    """Divide the weight of a layer by its largest singular value, in place; others stay."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        spectral_norm(module)


def smallest(data: DataSpec) -> tuple[int, int, int]:
    """Return how often the image is halved, and the height and width that are left."""
    low, high = SMALLEST_SIDES
    if not data.is_image:
        raise InputError(f"SN-GAN makes images, and these samples are vectors of {data.size}")
    height, width = data.shape[1:]
    halvings = 0
    while min(height, width) // 2 >= low and height % 2 == 0 and width % 2 == 0:
        height, width, halvings = height // 2, width // 2, halvings + 1
    if not halvings or not low <= min(height, width) <= high:
        raise InputError(
            f"SN-GAN halves an image until its shorter side is {low} to {high} pixels, and "
            f"{data.shape[1]} x {data.shape[2]} stops at {height} x {width}; "
            "resize it with --image-size, to 32 or 64 for example"
        )
    return halvings, height, width
