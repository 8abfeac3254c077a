"""Resampling and convolutions in fewer operations, with the same weights and the same results.

A convolution of pixels that were doubled computes most of its products twice or four times, and
one whose results are averaged sums many that could be summed before. Both are single convolutions
with another kernel, made of the stored one in each pass, so that names and shapes of parameters,
and what normalises them, stay as they are. For 3 x 3 weights they need 4/9 of the multiplications.

Nothing changes but the order of sums: numbers agree to rounding, gradients of any order too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

_WHOLE = ("nearest", "nearest-exact", "bilinear", "bicubic")
"""How pixels may be made of others, where the shares of these sum to one."""


class Folded(nn.Sequential):
    """Layers one after another, as :class:`torch.nn.Sequential`, computed in fewer operations.

    - nearest doubling and a convolution are one transposed convolution: :func:`conv2d_of_doubled`;
    - a convolution and the mean of 2 x 2 pixels are one of stride 2: :func:`halved_conv2d`;
    - 1 x 1 convolutions go before upsampling and behind pooling, to where there are fewer pixels.

    Layers in nested Sequentials count as their own. What is folded are plain ``nn.Upsample``,
    ``nn.Conv2d`` of one group, stride and dilation and with zeros around it, and ``nn.AvgPool2d``;
    their weights may be parametrised. All others are called as they are, and so is a layer with
    hooks, as hooks are to see what it is given and gives. The shapes of features are up to the
    layers.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Return what the layers make of features, one after another."""
        layers = [*_flat(self), None]
        while len(layers) > 1:
            first, second, *_ = layers
            folded = _folded(first, second)
            features = (folded or first)(features)
            del layers[: 2 if folded else 1]
        return features


def conv2d_of_doubled(
    features: Tensor, weight: Tensor, bias: Tensor | None = None, padding: tuple[int, int] = (1, 1)
) -> Tensor:
    """Double the pixels of features, each to 2 x 2 that are equal, and convolve them.

    Args:
        features: Of shape ``(N, C, H, W)``.
        weight: Of shape ``(D, C, K, L)``.
        bias: Of shape ``(D,)``.
        padding: Zeros above and below, and left and right of the doubled pixels; less than K, L.

    Returns:
        Features ``(N, D, 2H + 2 padding - K + 1, ...)``: ``(N, D, 2H, 2W)`` for 3 x 3 weights.
    """
    around = [side - 1 - given for side, given in zip(weight.shape[2:], padding, strict=True)]
    kernel = 4 * _windows(weight.flip(2, 3)).transpose(0, 1)
    return F.conv_transpose2d(features, kernel, bias, stride=2, padding=around)


def halved_conv2d(
    features: Tensor, weight: Tensor, bias: Tensor | None = None, padding: tuple[int, int] = (1, 1)
) -> Tensor:
    """Convolve features, and take the mean of each 2 x 2 pixels.

    Args:
        features: Of shape ``(N, C, H, W)``.
        weight: Of shape ``(D, C, K, L)``.
        bias: Of shape ``(D,)``.
        padding: Zeros above and below, and left and right of the features.

    Returns:
        Features ``(N, D, (H + 2 padding - K + 1) // 2, ...)``: ``(N, D, H // 2, W // 2)`` for
        3 x 3 weights. A last row or column without a partner is left out.
    """
    return F.conv2d(features, _windows(weight), bias, stride=2, padding=padding)


def _windows(weight: Tensor) -> Tensor:
    """Average each 2 x 2 of weights ``(D, C, K, L)`` and zeros around: ``(D, C, K + 1, L + 1)``."""
    return F.avg_pool2d(weight, 2, stride=1, padding=1)


def _flat(layers: nn.Sequential) -> Iterator[nn.Module]:
    for layer in layers:
        if type(layer) in (nn.Sequential, Folded) and not _hooked(layer):
            yield from _flat(layer)
        else:
            yield layer


def _folded(first: nn.Module, second: nn.Module | None) -> Callable[[Tensor], Tensor] | None:
    """Return what two layers do together, if that takes fewer operations than one by one."""
    if _is(first, nn.Upsample) and _is(second, nn.Conv2d) and _grows(first):
        if _pointwise(second):
            return lambda features: first(second(features))
        if _doubles(first) and _dense(second) and _inside(second):
            return lambda features: conv2d_of_doubled(
                features, second.weight, second.bias, second.padding
            )
    if _is(first, nn.Conv2d) and _is(second, nn.AvgPool2d) and _averages(second):
        if _pointwise(first):
            return lambda features: first(second(features))
        if _halves(second) and _dense(first):
            return lambda features: halved_conv2d(features, first.weight, first.bias, first.padding)
    return None


def _is(layer: nn.Module | None, kind: type[nn.Module]) -> bool:
    """Tell whether calling a layer does what its kind does, and nothing else."""
    return (
        layer is not None
        and type_before_parametrizations(layer) is kind
        and "forward" not in vars(layer)
        and not _hooked(layer)
    )


def _hooked(layer: nn.Module) -> bool:
    return bool(
        layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._backward_hooks
        or layer._backward_pre_hooks
    )


def _pointwise(layer: nn.Conv2d) -> bool:
    same = layer.padding in ((0, 0), "valid", "same")
    return layer.kernel_size == layer.stride == (1, 1) and same


def _dense(layer: nn.Conv2d) -> bool:
    return (
        layer.stride == layer.dilation == (1, 1)
        and layer.groups == 1
        and layer.padding_mode == "zeros"
        and isinstance(layer.padding, tuple)
    )


def _inside(layer: nn.Conv2d) -> bool:
    return all(side > given for side, given in zip(layer.kernel_size, layer.padding, strict=True))


def _grows(layer: nn.Upsample) -> bool:
    return layer.mode in _WHOLE and min(_factors(layer)) > 1


def _doubles(layer: nn.Upsample) -> bool:
    return layer.mode.startswith("nearest") and set(_factors(layer)) == {2}


def _factors(layer: nn.Upsample) -> tuple[float, ...]:
    given = layer.scale_factor
    return given if isinstance(given, tuple) else (given or 0,)


def _averages(layer: nn.AvgPool2d) -> bool:
    return layer.padding in (0, (0, 0)) and layer.divisor_override is None


def _halves(layer: nn.AvgPool2d) -> bool:
    sides = {_pair(layer.kernel_size), _pair(layer.stride)}
    return sides == {(2, 2)} and not layer.ceil_mode


def _pair(side: int | tuple[int, int]) -> tuple[int, int]:
    return side if isinstance(side, tuple) else (side, side)
