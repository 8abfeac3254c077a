"""Normalisation of each pixel, and statistics of batches."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
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
