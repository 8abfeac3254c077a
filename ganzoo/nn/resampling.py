"""Resampling: the filter [1, 3, 3, 1], alone and by 2, and bicubic reduction."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.errors import InputError


class BinomialBlur(nn.Module):
    """The filter [1, 3, 3, 1] / 8 in each direction, with zeros around.

    Karras et al. 2020 (arXiv:1912.04958), after Zhang 2019 (arXiv:1904.11486).

    Args:
        padding: Rows and columns of zeros on each side; what it returns has 3 less than there are.
        stride: Pixels from one place of the filter to the next.
        gain: Factor on what it returns.
    """

    kernel: Tensor

    def __init__(self, *, padding: int, stride: int = 1, gain: float = 1.0) -> None:
        super().__init__()
        self.padding = padding
        self.stride = stride
        line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        kernel = gain * torch.outer(line, line)[None, None]
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return filtered features ``(N, C, ...)`` of features ``(N, C, H, W)``."""
        kernels = self._kernels(features)
        return F.conv2d(
            features, kernels, stride=self.stride, padding=self.padding, groups=len(kernels)
        )

    def _kernels(self, features: Tensor) -> Tensor:
        return self.kernel.to(features).expand(features.shape[1], -1, -1, -1)


class BinomialUpsample(BinomialBlur):
    """Doubles the height and the width of features, with the filter [1, 3, 3, 1] / 4."""

    def __init__(self) -> None:
        # Of 4 new pixels, 3 lie where there was none.
        super().__init__(stride=2, padding=1, gain=4.0)

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(N, C, 2H, 2W)`` of features ``(N, C, H, W)``."""
        kernels = self._kernels(features)
        return F.conv_transpose2d(
            features, kernels, stride=self.stride, padding=self.padding, groups=len(kernels)
        )


class BinomialDownsample(BinomialBlur):
    """Halves the height and the width of features, with the filter [1, 3, 3, 1] / 8.

    It returns ``(N, C, H/2, W/2)`` of features ``(N, C, H, W)``.
    """

    def __init__(self) -> None:
        super().__init__(stride=2, padding=1)


def reduce_bicubic(images: Tensor, scale: int) -> Tensor:
    """Reduce images ``(N, C, H, W)`` by a whole factor, with antialiased bicubic interpolation.

    What lies beyond [-1, 1] is clamped, as a file of the image would be.

    Raises:
        ganzoo.errors.InputError: the sides are not multiples of the factor, ``arch.scale``.
    """
    height, width = images.shape[2:]
    if height % scale or width % scale:
        raise InputError(
            f"images of {height} x {width} cannot be reduced by arch.scale={scale}: resize them "
            f"with --image-size, to multiples of arch.scale={scale}"
        )
    size = (height // scale, width // scale)
    return F.interpolate(images, size, mode="bicubic", antialias=True).clamp(-1, 1)
