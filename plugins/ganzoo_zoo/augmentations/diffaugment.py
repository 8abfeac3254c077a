"""DiffAugment: what the discriminator sees is changed in colour, moved and cut out at random.

Zhao et al. 2020, arXiv:2006.10738. Whatever comes into an image or is taken out of it is 0, which
is mid-grey in [-1, 1], and half transparent in a fourth channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Augmentation

if TYPE_CHECKING:
    from torch import Tensor

COLOURS = 3
"""Channels of an image that are colours, at most; a fourth one is transparency."""
DIFFAUGMENT = "Zhao et al. 2020, arXiv:2006.10738"


class Color(Augmentation):
    r"""Brightness, saturation and contrast, drawn for each image, in this order.

    .. math::
        x \leftarrow x + b, \quad
        x \leftarrow \bar{x}_{hw} + s \, (x - \bar{x}_{hw}), \quad
        x \leftarrow \bar{x} + c \, (x - \bar{x})

    with the mean over the channels of a pixel, and over the image. Zhao et al. 2020, section 3,
    with the strengths of the published settings. Nothing is clipped, so that colours may leave
    [-1, 1]. Saturation does nothing to grey images, and transparency is left as it is.
    """

    paper = DIFFAUGMENT

    brightness: float = Field(
        default=0.5,
        ge=0,
        le=2,
        description="Largest shift of brightness, where images lie in [-1, 1].",
    )
    saturation: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Largest change of the factor of saturation, which is 1.",
    )
    contrast: float = Field(
        default=0.5, ge=0, le=1, description="Largest change of the factor of contrast, which is 1."
    )

    def augment(self, samples: Tensor) -> Tensor:
        """Return images ``(N, C, H, W)`` with other colours."""
        import torch

        colours, transparency = samples[:, :COLOURS], samples[:, COLOURS:]
        colours = colours + _draw_uniform(samples, self.brightness)
        colours = _scale_about_mean(colours, 1 + _draw_uniform(samples, self.saturation), (1,))
        colours = _scale_about_mean(colours, 1 + _draw_uniform(samples, self.contrast), (1, 2, 3))
        return torch.cat([colours, transparency], 1)


class Translation(Augmentation):
    """Each image moved by whole pixels, down or up and across, with 0 where nothing was.

    Zhao et al. 2020, section 3: by up to an eighth of its height and of its width.
    """

    paper = DIFFAUGMENT

    shift: float = Field(
        default=0.125,
        ge=0,
        le=1,
        description="Furthest that an image moves, as a share of each side.",
    )

    def augment(self, samples: Tensor) -> Tensor:
        """Return images ``(N, C, H, W)`` elsewhere."""
        rows, rows_within = self._sources(samples, 2)
        columns, columns_within = self._sources(samples, 3)
        # As rolled, so that no pixel has two sources, and a gradient nothing to add up.
        pixels = rows[:, :, None] * samples.shape[3] + columns[:, None]
        rolled = samples.flatten(2).gather(
            2, pixels.flatten(1)[:, None].expand(-1, samples.shape[1], -1)
        )
        within = rows_within[:, None, :, None] & columns_within[:, None, None]
        return rolled.unflatten(2, samples.shape[2:]) * within

    def _sources(self, samples: Tensor, dim: int) -> tuple[Tensor, Tensor]:
        """Return where along a side each pixel comes from, ``(N, side)``, and if from within."""
        import torch

        side = samples.shape[dim]
        furthest = _to_pixels(self.shift, side)
        shifts = torch.randint(-furthest, furthest + 1, (len(samples), 1), device=samples.device)
        sources = torch.arange(side, device=samples.device) - shifts
        return sources % side, (sources >= 0) & (sources < side)


class Cutout(Augmentation):
    """A rectangle of each image replaced by 0, in a place of its own.

    Zhao et al. 2020, section 3, after DeVries and Taylor 2017, arXiv:1708.04552: of half the
    height and half the width, around any point of the image, so that some of it may lie outside.
    """

    paper = DIFFAUGMENT

    size: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Height and width of what is cut out, as a share of each side.",
    )

    def augment(self, samples: Tensor) -> Tensor:
        """Return images ``(N, C, H, W)`` with a hole."""
        rows, columns = self._cut_mask(samples, 2), self._cut_mask(samples, 3)
        return samples * ~(rows[:, None, :, None] & columns[:, None, None])

    def _cut_mask(self, samples: Tensor, dim: int) -> Tensor:
        """Tell which pixels along a side are cut out, ``(N, side)``."""
        import torch

        side = samples.shape[dim]
        length = _to_pixels(self.size, side)
        # An even length is centred between two pixels, of which an edge is one.
        centres = torch.randint(side + 1 - length % 2, (len(samples), 1), device=samples.device)
        places = torch.arange(side, device=samples.device) - (centres - length // 2)
        return (places >= 0) & (places < length)


def _draw_uniform(samples: Tensor, most: float) -> Tensor:
    """Draw a number from -most to most for each sample, ``(N, 1, 1, 1)``."""
    import torch

    uniform = torch.rand(len(samples), 1, 1, 1, dtype=samples.dtype, device=samples.device)
    return most * (2 * uniform - 1)


def _scale_about_mean(images: Tensor, factor: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Move images away from their mean over some dimensions, by a factor."""
    mean = images.mean(dims, keepdim=True)
    return mean + factor * (images - mean)


def _to_pixels(share: float, side: int) -> int:
    return int(share * side + 0.5)
