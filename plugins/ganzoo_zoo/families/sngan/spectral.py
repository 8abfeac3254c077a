"""Spectral normalisation of whole networks (Miyato et al. 2018, section 2.1)."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


def normalise(module: nn.Module) -> None:
    """Divide the weight of a convolution or a linear layer by its largest singular value, in place.

    Other modules stay as they are.
    """
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        spectral_norm(module)
