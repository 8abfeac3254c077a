"""Resampling by 2 with the filter [1, 3, 3, 1]."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Binomial(nn.Module):
    """The kernel of resampling by 2, [1, 3, 3, 1] / 8 in each direction, with zeros around.

    Karras et al. 2020 (arXiv:1912.04958), after Zhang 2019 (arXiv:1904.11486).
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        weights = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(weights, weights)[None, None], persistent=False)

    def _kernels(self, features: Tensor) -> Tensor:
        return self.kernel.expand(features.shape[1], -1, -1, -1)


class BinomialUpsample(_Binomial):
    """Doubles the height and the width of features, with the filter [1, 3, 3, 1] / 4."""

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(N, C, 2H, 2W)`` of features ``(N, C, H, W)``."""
        # Of 4 new pixels, 3 lie where there was none.
        kernels = 4 * self._kernels(features)
        return F.conv_transpose2d(features, kernels, stride=2, padding=1, groups=len(kernels))


class BinomialDownsample(_Binomial):
    """Halves the height and the width of features, with the filter [1, 3, 3, 1] / 8."""

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(N, C, H/2, W/2)`` of features ``(N, C, H, W)``."""
        kernels = self._kernels(features)
        return F.conv2d(features, kernels, stride=2, padding=1, groups=len(kernels))
