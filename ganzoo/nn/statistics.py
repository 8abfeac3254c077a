"""Normalisation of each pixel, and statistics of batches."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

EPS = 1e-8


class PixelNorm(nn.Module):
    """Divides the features of each pixel, or each latent, by the root of their mean square.

    Karras et al. 2018 (arXiv:1710.10196, section 4.2).
    """

    def forward(self, features: Tensor) -> Tensor:
        """Return features ``(N, C, ...)`` of mean square 1 over their C channels."""
        return features * (features.square().mean(1, keepdim=True) + EPS).rsqrt()


class MinibatchStd(nn.Module):
    """Adds a channel with the standard deviation of each feature over a group, on average.

    Karras et al. 2018 (arXiv:1710.10196, section 3), in groups as in their code. A group takes
    every so many-th sample of the batch, and its size divides that of the batch. In evaluation
    mode each sample is on its own: the channel has the moving average of what it had in training.

    Args:
        size: Samples in a group, at most.
        decay: Share by which the average follows a batch.
    """

    average: Tensor

    def __init__(self, size: int = 4, decay: float = 0.01) -> None:
        super().__init__()
        self.size = size
        self.decay = decay
        self.register_buffer("average", torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        """Return features ``(N, C + 1, H, W)`` of features ``(N, C, H, W)``."""
        count = len(features)
        if self.training:
            size = next(each for each in range(min(self.size, count), 0, -1) if not count % each)
            groups = features.float().unflatten(0, (size, count // size))
            deviation = (groups.var(0, correction=0) + EPS).sqrt().mean((1, 2, 3))
            with torch.no_grad():
                self.average.lerp_(deviation.mean().to(self.average), self.decay)
            added = deviation.to(features).repeat(size)
        else:
            added = self.average.to(features).expand(count)
        shape = (count, 1, *features.shape[2:])
        return torch.cat([features, added[:, None, None, None].expand(shape)], dim=1)


def standing_statistics(network: nn.Module, batches: Iterable[tuple[Tensor, ...]]) -> nn.Module:
    """Return a copy whose batch normalisation uses statistics of given batches.

    Brock et al. 2019 (arXiv:1809.11096, appendix D). The means and variances of a channel are those
    of each batch, on average. Running statistics are of the network in training instead, of
    earlier weights and of latents without truncation.

    Args:
        network: The network, in evaluation mode, which does not change.
        batches: Arguments of the network for each batch.
    """
    found = copy.deepcopy(network).eval()
    norms = [module for module in found.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # averages all batches alike
        norm.train()
    with torch.no_grad():
        for batch in batches:
            found(*batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
    return found


class MinibatchDiscrimination(nn.Module):
    r"""Adds how near each sample is to the others of its batch, as several kernels see it.

    .. math::
        o(x_i)_b = \sum_{j \ne i} \exp(-\| M_{i,b} - M_{j,b} \|_1), \quad M_{i} = f(x_i) T

    Salimans et al. 2016 (arXiv:1606.03498, section 3.2). As in their code (openai/improved-gan) a
    sample is not compared with itself, the tensor T has a learnt scale for each direction, and a
    bias that begins at -1 is added; there the first batch sets scales and biases as well. In
    evaluation mode each sample is on its own: it gets the moving average of what there was in
    training.

    Args:
        size: Numbers of a sample's features.
        kernels: Kernels, each of which gives one number.
        dims: Numbers that a kernel sees of a sample.
        decay: Share by which the average follows a batch.
    """

    average: Tensor

    def __init__(self, size: int, kernels: int, dims: int = 5, decay: float = 0.01) -> None:
        super().__init__()
        self.shape = kernels, dims
        self.decay = decay
        self.direction = nn.Parameter(torch.randn(kernels * dims, size))
        self.log_scale = nn.Parameter(torch.zeros(kernels * dims))
        self.bias = nn.Parameter(-torch.ones(kernels))
        self.register_buffer("average", torch.zeros(kernels))

    def forward(self, features: Tensor) -> Tensor:
        """Return features ``(N, size + kernels)`` of features ``(N, ...)`` of ``size`` numbers."""
        features = features.flatten(1)
        if self.training:
            weight = F.normalize(self.direction, dim=1) * self.log_scale.exp()[:, None]
            seen = F.linear(features, weight).unflatten(1, self.shape)
            seen = seen.to(torch.promote_types(seen.dtype, torch.float32))
            away = (seen[:, None] - seen).abs().sum(3)
            near = (-away).exp().sum(1) - 1  # its own distance is 0
            with torch.no_grad():
                self.average.lerp_(near.mean(0).to(self.average), self.decay)
        else:
            near = self.average.expand(len(features), -1)
        return torch.cat([features, (near + self.bias).to(features)], dim=1)
