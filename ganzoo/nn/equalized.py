"""Layers with an equalised learning rate."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Equalized(nn.Module):
    """A layer whose weights are stored with standard deviation 1 and scaled in each pass.

    Adam's steps do not depend on the size of gradients, so that all layers learn at the same speed
    (Karras et al. 2018, arXiv:1710.10196, section 4.1).
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        bias: bool,
        bias_start: float,
        gain: float,
        output_gain: float,
        lr_multiplier: float,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape) / lr_multiplier)
        self.bias = (
            nn.Parameter(torch.full(shape[:1], bias_start / lr_multiplier)) if bias else None
        )
        fan_in = self.weight[0].numel()
        self.bias_scale = output_gain * lr_multiplier
        self.weight_scale = self.bias_scale * gain / fan_in**0.5

    def scaled_weight(self) -> Tensor:
        """Return the weight as the layer uses it."""
        return self.weight * self.weight_scale

    def scaled_bias(self) -> Tensor | None:
        """Return the bias as the layer uses it; None if there is none."""
        if self.bias is None or self.bias_scale == 1:
            return self.bias
        return self.bias * self.bias_scale

    def extra_repr(self) -> str:
        shape = ", ".join(map(str, self.weight.shape))
        return f"{shape}, bias={self.bias is not None}, scale={self.weight_scale:.4g}"


class EqualizedLinear(_Equalized):
    """A linear layer with an equalised learning rate: ``(N, before)`` to ``(N, after)``.

    Args:
        before: Numbers that it takes.
        after: Numbers that it returns.
        bias: Whether it has a bias.
        bias_start: What each bias begins at.
        gain: Factor on the scale of the weights, such as ``2**0.5`` before a ReLU (He et al. 2015,
            arXiv:1502.01852).
        output_gain: Factor on what the layer returns, bias included. A gain behind a leaky ReLU can
            stand here at no cost, as both are positively homogeneous.
        lr_multiplier: Factor on the layer's learning rate, and none on what it returns at first.
    """

    def __init__(
        self,
        before: int,
        after: int,
        *,
        bias: bool = True,
        bias_start: float = 0.0,
        gain: float = 1.0,
        output_gain: float = 1.0,
        lr_multiplier: float = 1.0,
    ) -> None:
        super().__init__(
            (after, before),
            bias=bias,
            bias_start=bias_start,
            gain=gain,
            output_gain=output_gain,
            lr_multiplier=lr_multiplier,
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(N, after)`` of features ``(N, before)``."""
        return F.linear(features, self.scaled_weight(), self.scaled_bias())


class EqualizedConv2d(_Equalized):
    """A convolution with an equalised learning rate.

    Args:
        before: Channels that it takes.
        after: Channels that it returns.
        size: Height and width of its kernel.
        stride: Pixels from one place of the kernel to the next.
        padding: Rows and columns of zeros on each side; by default as many as keep the size, for a
            kernel of an odd size and stride 1.
        bias: As for :class:`EqualizedLinear`.
        gain: As there.
        output_gain: As there.
    """

    def __init__(
        self,
        before: int,
        after: int,
        size: int,
        *,
        stride: int = 1,
        padding: int | None = None,
        bias: bool = True,
        gain: float = 1.0,
        output_gain: float = 1.0,
    ) -> None:
        super().__init__(
            (after, before, size, size),
            bias=bias,
            bias_start=0.0,
            gain=gain,
            output_gain=output_gain,
            lr_multiplier=1.0,
        )
        self.stride = stride
        self.padding = size // 2 if padding is None else padding

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(N, after, ...)`` of features ``(N, before, H, W)``."""
        weight, bias = self.scaled_weight(), self.scaled_bias()
        return F.conv2d(features, weight, bias, self.stride, self.padding)
