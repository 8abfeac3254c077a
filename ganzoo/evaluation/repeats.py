"""Search for samples that repeat a training image, cheap enough to be made while a run trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.protocols.dataset import Samples

SIDE = 8
"""Side of the thumbnails that are compared, in pixels: at it a copy that is a little shifted, noisy
or blurred still lies close to its original."""
CLOSER = 0.5
"""A sample repeats a training image if it lies closer to it than this share of its distance to the
next one. Yoon et al. 2023 (Diffusion Probabilistic Models Generalize when They Fail to Memorize)
take a third, without thumbnails. Of images that were held out, none to 3% lie that close."""
IMAGES_AT_ONCE = 64


class TrainingImages:
    """Thumbnails of training images, among which copies of single ones are found.

    Args:
        samples: The images; mirrored ones count as the same if training mirrors them.
    """

    def __init__(self, samples: Samples) -> None:
        places = torch.arange(len(samples), device=samples.stored.device)
        parts = [_shrink(samples.select(some)) for some in places.split(IMAGES_AT_ONCE)]
        # Of equal images, all but one would hide that a sample repeats them.
        self._small = torch.cat(parts).unique(dim=0)
        self._flip = samples.flip

    def find_repeats(self, images: Tensor) -> Tensor:
        """Tell which images repeat a single training image, as booleans ``(N,)``.

        Args:
            images: uint8 ``(N, C, H, W)``, as the training images are stored.
        """
        away = self._measure_distances(_shrink(images))
        if away.shape[1] < 2:
            return torch.zeros(len(images), dtype=torch.bool)
        nearest = away.topk(2, largest=False, sorted=True).values
        return nearest[:, 0] < CLOSER * nearest[:, 1]

    def _measure_distances(self, small: Tensor) -> Tensor:
        away = torch.cdist(small.flatten(1), self._small.flatten(1))
        if not self._flip:
            return away
        return torch.minimum(away, torch.cdist(small.flip(-1).flatten(1), self._small.flatten(1)))


def _shrink(images: Tensor) -> Tensor:
    """Return thumbnails of uint8 images ``(N, C, H, W)``, float64 on the CPU."""
    height, width = images.shape[2:]
    size = min(SIDE, height), min(SIDE, width)
    return nn.functional.adaptive_avg_pool2d(images.float(), size).cpu().double()
