"""Layers in fewer or faster operations, with the same weights and the same results.

A convolution of pixels that were doubled computes most of its products twice or four times, and
one whose results are averaged sums many that could be summed before. Both are single convolutions
with another kernel, made of the stored one in each pass, so that names and shapes of parameters,
and what normalises them, stay as they are. For 3 x 3 weights they need 4/9 of the multiplications.

A convolution that sees all pixels at once, and a transposed one of a single pixel, are products of
matrices, which processors compute several times as fast. Batch normalisation that no longer learns
is a factor and a bias of each channel, which a convolution before it takes into its own.

Nothing changes but the order of sums: numbers agree to rounding, gradients of any order too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

_UPSAMPLE_MODES = ("nearest", "nearest-exact", "bilinear", "bicubic")
"""How pixels may be made of others, where the shares of these sum to one."""


class FusedSequential(nn.Sequential):
    """Layers one after another, as :class:`torch.nn.Sequential`, computed in fewer operations.

    - nearest doubling and a convolution are one transposed convolution: :func:`upsample_conv2d`;
    - a convolution and the mean of 2 x 2 pixels are one of stride 2: :func:`conv2d_avg_pool`;
    - 1 x 1 convolutions go before upsampling and behind pooling, to where there are fewer pixels;
    - a convolution, transposed or not, and batch normalisation in evaluation are one convolution;
    - a convolution of all pixels, and a transposed one of a single pixel, are :func:`apply_layer`.

    Layers in nested Sequentials count as their own. What is folded are plain ``nn.Upsample``,
    ``nn.Conv2d`` of one group, stride and dilation and with zeros around it, ``nn.AvgPool2d``,
    ``nn.ConvTranspose2d`` of one group and ``nn.BatchNorm2d``; their weights may be parametrised.
    All others are called as they are, and so is a layer with hooks, as hooks are to see what it is
    given and gives. The shapes of features are up to the layers.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Return what the layers make of features, one after another."""
        layers = [*_flatten(self), None]
        while len(layers) > 1:
            first, second, *_ = layers
            folded = _fuse(first, second)
            features = folded(features) if folded else apply_layer(first, features)
            del layers[: 2 if folded else 1]
        return features


def apply_layer(layer: nn.Module, features: Tensor) -> Tensor:
    """Return what a layer makes of features.

    A plain convolution of one group that sees all pixels of features ``(N, C, H, W)`` at once, or a
    transposed one of features ``(N, C, 1, 1)``, is a product of matrices; anything else is called.
    """
    if not _is_matrix_product(layer, features):
        return layer(features)
    return _multiply(layer, features, layer.weight, layer.bias)


def upsample_conv2d(
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
    kernel = 4 * _average_windows(weight.flip(2, 3)).transpose(0, 1)
    return F.conv_transpose2d(features, kernel, bias, stride=2, padding=around)


def conv2d_avg_pool(
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
    return F.conv2d(features, _average_windows(weight), bias, stride=2, padding=padding)


def _average_windows(weight: Tensor) -> Tensor:
    """Average each 2 x 2 of weights ``(D, C, K, L)`` and zeros around: ``(D, C, K + 1, L + 1)``."""
    return F.avg_pool2d(weight, 2, stride=1, padding=1)


def _multiply(
    layer: nn.Conv2d | nn.ConvTranspose2d, features: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """Compute a layer that :func:`_is_matrix_product`, with some weight and bias, channels-last.

    In that order of numbers what training has is a matrix already, and nothing is copied.
    """
    rows = weight.permute(0, 2, 3, 1).flatten(1)
    if isinstance(layer, nn.Conv2d):
        sums = F.linear(features.permute(0, 2, 3, 1).flatten(1), rows, bias)
        return sums.unflatten(1, (-1, 1, 1))
    pixels = (features.flatten(1) @ rows).unflatten(1, (*weight.shape[2:], weight.shape[1]))
    return (pixels if bias is None else pixels + bias).permute(0, 3, 1, 2)


def _conv_batch_norm(
    layer: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d, features: Tensor
) -> Tensor:
    """Compute a convolution and what normalises its channels by numbers that stand fast."""
    factor = (norm.running_var + norm.eps).rsqrt()
    if norm.weight is not None:
        factor = factor * norm.weight
    bias = -norm.running_mean * factor
    if norm.bias is not None:
        bias = bias + norm.bias
    if layer.bias is not None:
        bias = bias + layer.bias * factor
    channels = (-1, 1, 1, 1) if isinstance(layer, nn.Conv2d) else (-1, 1, 1)
    weight = layer.weight * factor.view(channels)
    if _is_matrix_product(layer, features):
        return _multiply(layer, features, weight, bias)
    if isinstance(layer, nn.Conv2d):
        return F.conv2d(features, weight, bias, layer.stride, layer.padding, layer.dilation)
    return F.conv_transpose2d(
        features, weight, bias, layer.stride, layer.padding, layer.output_padding
    )


def _flatten(layers: nn.Sequential) -> Iterator[nn.Module]:
    for layer in layers:
        if type(layer) in (nn.Sequential, FusedSequential) and not _has_hooks(layer):
            yield from _flatten(layer)
        else:
            yield layer


def _fuse(first: nn.Module, second: nn.Module | None) -> Callable[[Tensor], Tensor] | None:
    """Return what two layers do together, if that takes fewer operations than one by one."""
    if _is_plain(first, nn.Upsample) and _is_plain(second, nn.Conv2d) and _is_upscaling(first):
        if _is_pointwise(second):
            return lambda features: first(second(features))
        if _is_doubling(first) and _is_dense(second) and _has_small_padding(second):
            return lambda features: upsample_conv2d(
                features, second.weight, second.bias, second.padding
            )
    if _is_plain(first, nn.Conv2d) and _is_plain(second, nn.AvgPool2d) and _is_plain_mean(second):
        if _is_pointwise(first):
            return lambda features: first(second(features))
        if _is_halving(second) and _is_dense(first):
            return lambda features: conv2d_avg_pool(
                features, first.weight, first.bias, first.padding
            )
    if _is_plain(second, nn.BatchNorm2d) and _has_fixed_stats(second) and _can_scale(first):
        return lambda features: _conv_batch_norm(first, second, features)
    return None


def _is_matrix_product(layer: nn.Module, features: Tensor) -> bool:
    """Tell whether each output of a layer is of all its input, or all its output of one pixel."""
    if (
        not (_is_plain(layer, nn.Conv2d) or _is_plain(layer, nn.ConvTranspose2d))
        or features.dim() != 4
    ):
        return False
    plain = layer.padding == (0, 0) and layer.dilation == (1, 1) and layer.groups == 1
    if isinstance(layer, nn.ConvTranspose2d):
        return plain and layer.output_padding == (0, 0) and features.shape[2:] == (1, 1)
    return plain and features.shape[2:] == layer.kernel_size


def _can_scale(layer: nn.Module) -> bool:
    """Tell whether a layer may have a factor and a bias for each of its channels."""
    if _is_plain(layer, nn.ConvTranspose2d):
        return layer.groups == 1 and layer.dilation == (1, 1)
    return _is_plain(layer, nn.Conv2d) and layer.groups == 1 and layer.padding_mode == "zeros"


def _has_fixed_stats(norm: nn.BatchNorm2d) -> bool:
    """Tell whether normalisation is by stored numbers, and not by those of the batch."""
    return not norm.training and norm.running_mean is not None


def _is_plain(layer: nn.Module | None, kind: type[nn.Module]) -> bool:
    """Tell whether calling a layer does what its kind does, and nothing else."""
    return (
        layer is not None
        and type_before_parametrizations(layer) is kind
        and "forward" not in vars(layer)
        and not _has_hooks(layer)
    )


def _has_hooks(layer: nn.Module) -> bool:
    return bool(
        layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._backward_hooks
        or layer._backward_pre_hooks
    )


def _is_pointwise(layer: nn.Conv2d) -> bool:
    same = layer.padding in ((0, 0), "valid", "same")
    return layer.kernel_size == layer.stride == (1, 1) and same


def _is_dense(layer: nn.Conv2d) -> bool:
    return (
        layer.stride == layer.dilation == (1, 1)
        and layer.groups == 1
        and layer.padding_mode == "zeros"
        and isinstance(layer.padding, tuple)
    )


def _has_small_padding(layer: nn.Conv2d) -> bool:
    return all(side > given for side, given in zip(layer.kernel_size, layer.padding, strict=True))


def _is_upscaling(layer: nn.Upsample) -> bool:
    return layer.mode in _UPSAMPLE_MODES and min(_factors(layer)) > 1


def _is_doubling(layer: nn.Upsample) -> bool:
    return layer.mode.startswith("nearest") and set(_factors(layer)) == {2}


def _factors(layer: nn.Upsample) -> tuple[float, ...]:
    given = layer.scale_factor
    return given if isinstance(given, tuple) else (given or 0,)


def _is_plain_mean(layer: nn.AvgPool2d) -> bool:
    return layer.padding in (0, (0, 0)) and layer.divisor_override is None


def _is_halving(layer: nn.AvgPool2d) -> bool:
    sides = {_pair(layer.kernel_size), _pair(layer.stride)}
    return sides == {(2, 2)} and not layer.ceil_mode


def _pair(side: int | tuple[int, int]) -> tuple[int, int]:
    return side if isinstance(side, tuple) else (side, side)
