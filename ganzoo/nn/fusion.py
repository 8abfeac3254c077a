"""Fusion of neighbouring layers: fewer or faster operations, with the same weights and results.

A convolution of upsampled pixels computes most of its products twice or four times, and a
convolution whose outputs are averaged sums much that could be summed before. Either pair is a
single convolution with another kernel. The kernel is computed from the stored weight in each pass,
so parameters keep their names and shapes, and parametrisations such as spectral normalisation
still apply. For 3 x 3 weights this takes 4/9 of the multiplications.

A convolution that sees all pixels at once, and a transposed convolution of a single pixel, are
matrix products, which processors compute several times as fast. Batch normalisation in evaluation
is a factor and a bias for each channel, which the convolution before it can take over.

Only the order of sums changes: results and gradients of any order agree to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeGuard, TypeVar

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

Layer = TypeVar("Layer", bound=nn.Module)
Network = TypeVar("Network", bound=nn.Module)
Convolution = nn.Conv2d | nn.ConvTranspose2d

_UPSAMPLE_MODES = ("nearest", "nearest-exact", "bilinear", "bicubic")
"""Modes in which an upsampled pixel is a weighted mean of others, with weights that sum to one."""


class FusedSequential(nn.Sequential):
    """Layers one after another, as in :class:`torch.nn.Sequential`, in fewer operations.

    - nearest upsampling by 2 and a convolution become one transposed convolution:
      :func:`upsample_conv2d`;
    - a convolution and a mean over 2 x 2 pixels become one convolution of stride 2:
      :func:`conv2d_avg_pool`;
    - 1 x 1 convolutions move before upsampling and behind pooling, where there are fewer pixels;
    - a convolution, transposed or not, and batch normalisation in evaluation become one
      convolution;
    - a convolution of all pixels, and a transposed one of a single pixel, become a matrix product:
      :func:`apply_layer`.

    Layers of nested Sequentials are treated as layers of this one. Fused are plain
    ``nn.Upsample``, ``nn.Conv2d`` with one group, stride 1, dilation 1 and zero padding,
    ``nn.AvgPool2d``, ``nn.ConvTranspose2d`` with one group, and ``nn.BatchNorm2d``; their weights
    may be parametrised. All other layers are called as they are. So are layers with hooks, because
    a hook is to see what its layer takes and returns. The layers decide the shapes of features.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Pass features through the layers, one after another."""
        return _apply_fused(self, features)


class FeatureSequential(nn.Sequential):
    """The layers of a discriminator one after another, which also returns their features.

    Names of parameters are those of one :class:`torch.nn.Sequential` of all layers.

    Args:
        body: Layers from samples to features.
        ending: Layers from features to logits.
    """

    def __init__(self, body: Iterable[nn.Module], ending: Sequence[nn.Module]) -> None:
        super().__init__(*body, *ending)
        self._ending = len(ending)

    def forward(self, samples: Tensor) -> dict[str, Tensor]:
        """Return ``logits`` and ``features`` of samples."""
        layers = list(self)
        features = self._apply_layers(layers[: -self._ending], samples)
        return {
            "logits": self._apply_layers(layers[-self._ending :], features),
            "features": features,
        }

    def _apply_layers(self, layers: Iterable[nn.Module], features: Tensor) -> Tensor:
        for layer in layers:
            features = layer(features)
        return features


class FusedFeatureSequential(FeatureSequential, FusedSequential):  # type: ignore[misc]
    """A :class:`FeatureSequential` in fewer operations, as :class:`FusedSequential`."""

    def _apply_layers(self, layers: Iterable[nn.Module], features: Tensor) -> Tensor:
        return _apply_fused(layers, features)


def fuse(network: Network) -> Network:
    """Make a network fuse the layers of its Sequentials, in place, and return it.

    Each ``nn.Sequential`` with a convolution becomes a :class:`FusedSequential`, and each
    :class:`FeatureSequential` likewise. Other subclasses of ``nn.Sequential`` stay as they are, and
    so do modules, parameters and names. The trainer and :class:`ganzoo.Model` call this on every
    network they build, so an architecture uses plain torch layers.
    """
    for module in network.modules():
        fused = _FUSED.get(type(module))
        # Without a convolution there is nothing to fuse, and looking for it would cost time.
        if fused is not None and isinstance(module, nn.Sequential) and _has_convolution(module):
            module.__class__ = fused
    return network


def apply_layer(layer: nn.Module, features: Tensor) -> Tensor:
    """Apply a layer to features, as a matrix product where that is possible.

    A plain convolution of one group that sees all pixels of features ``(N, C, H, W)`` at once is a
    matrix product, and so is a transposed one of features ``(N, C, 1, 1)``. Any other layer is
    called.
    """
    if not _is_matrix_product(layer, features):
        return layer(features)
    return _multiply(layer, features, layer.weight, layer.bias)


def upsample_conv2d(
    features: Tensor, weight: Tensor, bias: Tensor | None = None, padding: tuple[int, int] = (1, 1)
) -> Tensor:
    """Upsample features by 2, repeating each pixel, and convolve them.

    Args:
        features: Features ``(N, C, H, W)``.
        weight: Weight ``(D, C, K, L)`` of the convolution.
        bias: Bias ``(D,)``.
        padding: Rows of zeros above and below the upsampled pixels, and columns left and right of
            them; less than K and L.

    Returns:
        Features ``(N, D, 2H + 2 padding - K + 1, ...)``: ``(N, D, 2H, 2W)`` for 3 x 3 weights.
    """
    around = [side - 1 - given for side, given in zip(weight.shape[2:], padding, strict=True)]
    kernel = 4 * _average_windows(weight.flip(2, 3)).transpose(0, 1)
    return F.conv_transpose2d(features, kernel, bias, stride=2, padding=around)


def conv2d_avg_pool(
    features: Tensor, weight: Tensor, bias: Tensor | None = None, padding: tuple[int, int] = (1, 1)
) -> Tensor:
    """Convolve features, and take the mean over each 2 x 2 pixels.

    Args:
        features: Features ``(N, C, H, W)``.
        weight: Weight ``(D, C, K, L)`` of the convolution.
        bias: Bias ``(D,)``.
        padding: Rows of zeros above and below the features, and columns left and right of them.

    Returns:
        Features ``(N, D, (H + 2 padding - K + 1) // 2, ...)``: ``(N, D, H // 2, W // 2)`` for
        3 x 3 weights. A last row or column without a partner is dropped.
    """
    return F.conv2d(features, _average_windows(weight), bias, stride=2, padding=padding)


def _average_windows(weight: Tensor) -> Tensor:
    """Average each 2 x 2 of weights ``(D, C, K, L)``, padded by zeros: ``(D, C, K + 1, L + 1)``."""
    return F.avg_pool2d(weight, 2, stride=1, padding=1)


def _multiply(layer: Convolution, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute a layer that :func:`_is_matrix_product`, with a given weight and bias.

    In training weights and features are channels-last. Both are then matrices already, and nothing
    is copied.
    """
    rows = weight.permute(0, 2, 3, 1).flatten(1)
    if isinstance(layer, nn.Conv2d):
        sums = F.linear(features.permute(0, 2, 3, 1).flatten(1), rows, bias)
        return sums.unflatten(1, (-1, 1, 1))
    pixels = (features.flatten(1) @ rows).unflatten(1, (*weight.shape[2:], weight.shape[1]))
    return (pixels if bias is None else pixels + bias).permute(0, 3, 1, 2)


def _conv_batch_norm(layer: Convolution, norm: nn.BatchNorm2d, features: Tensor) -> Tensor:
    """Compute a convolution and batch normalisation by the running statistics as one layer."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
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
    padding = _padding(layer)
    return F.conv_transpose2d(features, weight, bias, layer.stride, padding, layer.output_padding)


_FUSED: dict[type[nn.Module], type[nn.Sequential]] = {
    nn.Sequential: FusedSequential,
    FeatureSequential: FusedFeatureSequential,
}
"""What layers one after another become."""


def _apply_fused(sequence: Iterable[nn.Module], features: Tensor) -> Tensor:
    """Pass features through layers, one after another, in fewer operations."""
    layers = list(_flatten(sequence))
    while layers:
        fused = _fuse_pair(*layers[:2])
        features = fused(features) if fused else apply_layer(layers[0], features)
        del layers[: 2 if fused else 1]
    return features


def _flatten(layers: Iterable[nn.Module]) -> Iterator[nn.Module]:
    for layer in layers:
        if _is_plain(layer, nn.Sequential) or _is_plain(layer, FusedSequential):
            yield from _flatten(layer)
        else:
            yield layer


def _has_convolution(layers: nn.Sequential) -> bool:
    return any(isinstance(layer, Convolution) for layer in _flatten(layers))


def _fuse_pair(
    first: nn.Module, second: nn.Module | None = None
) -> Callable[[Tensor], Tensor] | None:
    """Return one function for two layers, if it takes fewer operations than one after the other."""
    if _is_plain(first, nn.Upsample) and _is_plain(second, nn.Conv2d):
        return _fuse_upsample(first, second)
    if _is_plain(first, nn.Conv2d) and _is_plain(second, nn.AvgPool2d):
        return _fuse_pool(first, second)
    if _is_plain(second, nn.BatchNorm2d) and _has_fixed_stats(second) and _can_scale(first):
        return lambda features: _conv_batch_norm(first, second, features)
    return None


def _fuse_upsample(
    upsample: nn.Upsample, convolution: nn.Conv2d
) -> Callable[[Tensor], Tensor] | None:
    if not _is_upscaling(upsample):
        return None
    if _is_pointwise(convolution):
        return lambda features: upsample(convolution(features))
    if not (_is_doubling(upsample) and _is_dense(convolution) and _has_small_padding(convolution)):
        return None
    padding = _padding(convolution)
    return lambda features: upsample_conv2d(features, convolution.weight, convolution.bias, padding)


def _fuse_pool(convolution: nn.Conv2d, pool: nn.AvgPool2d) -> Callable[[Tensor], Tensor] | None:
    if not _is_plain_mean(pool):
        return None
    if _is_pointwise(convolution):
        return lambda features: convolution(pool(features))
    if not (_is_halving(pool) and _is_dense(convolution)):
        return None
    padding = _padding(convolution)
    return lambda features: conv2d_avg_pool(features, convolution.weight, convolution.bias, padding)


def _is_matrix_product(layer: nn.Module, features: Tensor) -> TypeGuard[Convolution]:
    """Tell whether every output of a layer sees every input, or every input every output."""
    if _is_plain(layer, nn.Conv2d):
        return features.dim() == 4 and features.shape[2:] == layer.kernel_size and _is_bare(layer)
    if _is_plain(layer, nn.ConvTranspose2d):
        return features.dim() == 4 and features.shape[2:] == (1, 1) and _is_bare(layer)
    return False


def _is_bare(layer: Convolution) -> bool:
    """Tell whether a convolution has one group, and neither padding nor dilation."""
    return (
        layer.padding == layer.output_padding == (0, 0)
        and layer.dilation == (1, 1)
        and layer.groups == 1
    )


def _can_scale(layer: nn.Module) -> TypeGuard[Convolution]:
    """Tell whether a factor and a bias for each channel can go into a layer's weight and bias."""
    if _is_plain(layer, nn.ConvTranspose2d):
        return layer.groups == 1 and layer.dilation == (1, 1)
    return _is_plain(layer, nn.Conv2d) and layer.groups == 1 and layer.padding_mode == "zeros"


def _has_fixed_stats(norm: nn.BatchNorm2d) -> bool:
    """Tell whether a layer normalises by its running statistics, not by those of the batch."""
    return not norm.training and norm.running_mean is not None


def _is_plain(layer: nn.Module | None, kind: type[Layer]) -> TypeGuard[Layer]:
    """Tell whether a layer computes what its type does, and nothing else."""
    return (
        isinstance(layer, kind)  # the cheapest question first, as this is asked in every pass
        and (type(layer) is kind or type_before_parametrizations(layer) is kind)
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
    return all(side > zeros for side, zeros in zip(layer.kernel_size, _padding(layer), strict=True))


def _padding(layer: Convolution) -> tuple[int, int]:
    assert not isinstance(layer.padding, str)
    rows, columns = layer.padding
    return rows, columns


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
