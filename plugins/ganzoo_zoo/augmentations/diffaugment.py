"""DiffAugment: random changes of colour, translations and cutouts of the discriminator's input.

Zhao et al. 2020, arXiv:2006.10738. Pixels that enter an image or are cut out of it are 0, which is
mid-grey in [-1, 1], and half transparent in a fourth channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Augmentation

if TYPE_CHECKING:
    from torch import Tensor

COLOURS, WITH_TRANSPARENCY = 3, 4
"""Channels of a colour image without and with transparency. All of other images are colours."""
DIFFAUGMENT = "Zhao et al. 2020, arXiv:2006.10738"


class Color(Augmentation):
    r"""Random brightness, saturation and contrast of each image, in this order.

    .. math::
        x \leftarrow x + b, \quad
        x \leftarrow \bar{x}_{hw} + s \, (x - \bar{x}_{hw}), \quad
        x \leftarrow \bar{x} + c \, (x - \bar{x})

    with the mean over the channels of a pixel, and over the image. Zhao et al. 2020, section 3,
    with the strengths of the published settings. Nothing is clipped, so colours may leave [-1, 1].
    Saturation does not change grey images. Transparency stays as it is.
    """

    paper = DIFFAUGMENT

    brightness: float = Field(
        default=0.5,
        ge=0,
        le=2,
        description="Largest shift of brightness, for images in [-1, 1].",
    )
    saturation: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Largest change of the saturation factor from 1.",
    )
    contrast: float = Field(
        default=0.5, ge=0, le=1, description="Largest change of the contrast factor from 1."
    )

    def augment(self, samples: Tensor) -> Tensor:
        """Change the colours of images ``(N, C, H, W)``."""
        import torch

        count = samples.shape[1]
        colours, transparency = samples.split(
            [COLOURS, 1] if count == WITH_TRANSPARENCY else [count, 0], dim=1
        )
        colours = colours + _draw_uniform(samples, self.brightness)
        colours = _scale_about_mean(colours, 1 + _draw_uniform(samples, self.saturation), (1,))
        colours = _scale_about_mean(colours, 1 + _draw_uniform(samples, self.contrast), (1, 2, 3))
        return torch.cat([colours, transparency], 1)


class Translation(Augmentation):
    """Random translation of each image by whole pixels, in both directions, padded by 0.

    Zhao et al. 2020, section 3: by up to an eighth of its height and of its width.
    """

    paper = DIFFAUGMENT

    shift: float = Field(
        default=0.125,
        ge=0,
        le=1,
        description="Largest translation, as a share of each side.",
    )

    def augment(self, samples: Tensor) -> Tensor:
        """Translate images ``(N, C, H, W)``."""
        rows, rows_within = self._sources(samples, 2)
        columns, columns_within = self._sources(samples, 3)
        # Rolled, so that each pixel is a source once, and gradients need no summation.
        pixels = rows[:, :, None] * samples.shape[3] + columns[:, None]
        rolled = samples.flatten(2).gather(
            2, pixels.flatten(1)[:, None].expand(-1, samples.shape[1], -1)
        )
        within = rows_within[:, None, :, None] & columns_within[:, None, None]
        return rolled.unflatten(2, samples.shape[2:]) * within

    def _sources(self, samples: Tensor, dim: int) -> tuple[Tensor, Tensor]:
        """Return the source of each pixel along a side ``(N, side)``, and if it is in the image."""
        import torch

        side = samples.shape[dim]
        furthest = _to_pixels(self.shift, side)
        shifts = torch.randint(-furthest, furthest + 1, (len(samples), 1), device=samples.device)
        sources = torch.arange(side, device=samples.device) - shifts
        return sources % side, (sources >= 0) & (sources < side)


class Cutout(Augmentation):
    """A rectangle of 0 at a random place in each image.

    Zhao et al. 2020, section 3, after DeVries and Taylor 2017, arXiv:1708.04552. It has half the
    height and half the width of the image. Its centre is any point of the image, so part of it may
    lie outside.
    """

    paper = DIFFAUGMENT

    size: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Height and width of the rectangle, as a share of each side.",
    )

    def augment(self, samples: Tensor) -> Tensor:
        """Cut a rectangle out of each of the images ``(N, C, H, W)``."""
        rows, columns = self._cut_mask(samples, 2), self._cut_mask(samples, 3)
        return samples * ~(rows[:, None, :, None] & columns[:, None, None])

    def _cut_mask(self, samples: Tensor, dim: int) -> Tensor:
        """Return which pixels along a side are cut out, booleans ``(N, side)``."""
        import torch

        side = samples.shape[dim]
        length = _to_pixels(self.size, side)
        # An even length is centred between two pixels, or at an edge of the image.
        centres = torch.randint(side + 1 - length % 2, (len(samples), 1), device=samples.device)
        places = torch.arange(side, device=samples.device) - (centres - length // 2)
        return (places >= 0) & (places < length)


def _draw_uniform(samples: Tensor, most: float) -> Tensor:
    """Draw a number from -most to most for each sample: ``(N, 1, 1, 1)``."""
    import torch

    uniform = torch.rand(len(samples), 1, 1, 1, dtype=samples.dtype, device=samples.device)
    return most * (2 * uniform - 1)


def _scale_about_mean(images: Tensor, factor: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Scale images by a factor about their mean over some dimensions."""
    mean = images.mean(dims, keepdim=True)
    return mean + factor * (images - mean)


def _to_pixels(share: float, side: int) -> int:
    return int(share * side + 0.5)
