"""Conditional batch normalisation, and networks whose layers see the class of each sample."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from ganzoo.nn.fusion import apply_layer
from ganzoo.nn.residual import double_branch, double_shortcut


class ConditionalBatchNorm2d(nn.Module):
    """Batch normalisation whose gain and bias are linear in an embedding of the class.

    Dumoulin et al. 2017 (arXiv:1610.07629, equation 5) and de Vries et al. 2017
    (arXiv:1707.00683), with one embedding for all layers (Brock et al. 2019, arXiv:1809.11096,
    section 3). Gains begin at 1 and biases at 0, as in plain batch normalisation.

    Args:
        channels: Channels C of the features.
        width: Numbers in an embedding.
        size: Height and width of the gains and biases: 1 x 1 for one of each channel, or those of
            the features for one of each channel at each pixel.
    """

    def __init__(self, channels: int, width: int, size: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.shape = channels, *size
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain, self.bias = (
            nn.Linear(width, math.prod(self.shape), bias=False) for _ in range(2)
        )
        for linear in (self.gain, self.bias):
            nn.init.zeros_(linear.weight)

    def forward(self, features: Tensor, classes: Tensor) -> Tensor:
        """Normalise features ``(N, C, H, W)`` by the embeddings ``(N, width)`` of their classes."""
        gain, bias = (linear(classes).unflatten(1, self.shape) for linear in (self.gain, self.bias))
        return (1 + gain) * self.norm(features) + bias


class ClassBatchNorm2d(nn.Module):
    """Batch normalisation with a gain and a bias of each class for each channel.

    Dumoulin et al. 2017 (arXiv:1610.07629, equation 5). Gains begin at 1 and biases at 0.

    Args:
        channels: Channels C of the features.
        classes: Number of classes.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain, self.bias = (nn.Embedding(classes, channels) for _ in range(2))
        for table in (self.gain, self.bias):
            nn.init.zeros_(table.weight)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Normalise features ``(N, C, H, W)`` of the classes ``labels`` ``(N,)``."""
        gain, bias = (table(labels)[:, :, None, None] for table in (self.gain, self.bias))
        return torch.addcmul(bias, self.norm(features), 1 + gain)


class ConditionalUpBlock(nn.Module):
    """A generator's block that doubles the size, as :func:`ganzoo.nn.up_block`, on a condition.

    Args:
        before: Channels that it takes.
        after: Channels that it returns.
        norm: Builds the normalisation of so many channels, whose module takes features and a
            condition: the embeddings of :class:`ConditionalBatchNorm2d`, or the labels of
            :class:`ClassBatchNorm2d`.
        upsampling: As there.
    """

    def __init__(
        self,
        before: int,
        after: int,
        norm: Callable[[int], nn.Module],
        upsampling: str = "nearest",
    ) -> None:
        super().__init__()
        self.first_norm, self.second_norm = norm(before), norm(after)
        self.first, self.second = double_branch(before, after, upsampling)
        self.shortcut = double_shortcut(before, after, upsampling)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Return ``(N, after, 2H, 2W)`` of features ``(N, before, H, W)``."""
        branch = self.first(self.first_norm(features, condition))
        branch = self.second(self.second_norm(branch, condition))
        return self.shortcut(features) + branch


class ConditionalSequential(nn.Module):
    """Layers one after another, of which conditional normalisation sees the class of each sample.

    Args:
        classes: Number of classes.
        width: Numbers in the learnt embedding of a class.
        layers: The layers. A :class:`ConditionalBatchNorm2d` is given the embedding as well.
    """

    def __init__(self, classes: int, width: int, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(classes, width))
        self.layers = nn.ModuleList(layers)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Pass features ``(N, ...)`` of the classes ``labels`` ``(N,)`` through the layers."""
        classes = self.embedding[labels]
        for layer in self.layers:
            if isinstance(layer, ConditionalBatchNorm2d):
                features = layer(features, classes)
            else:
                features = apply_layer(layer, features)
        return features
