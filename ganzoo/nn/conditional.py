"""Conditional batch normalisation, and networks whose layers see the class of each sample."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ganzoo.nn.fusion import apply_layer


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
