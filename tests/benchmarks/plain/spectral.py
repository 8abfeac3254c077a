"""Spectral normalisation (Miyato et al. 2018), by torch's own."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


def normalised(network: nn.Module, *others: nn.Module) -> nn.Module:
    """Divide every weight of a network by its largest singular value, and those of other layers."""
    for layer in others:
        spectral_norm(layer)
    kinds = nn.Conv2d, nn.ConvTranspose2d, nn.Linear
    return network.apply(lambda layer: spectral_norm(layer) if isinstance(layer, kinds) else 0)
