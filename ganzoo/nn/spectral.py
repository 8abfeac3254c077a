"""Spectral normalisation of whole networks (Miyato et al. 2018, section 2.1)."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganzoo.nn.projection import ClassProjection


def normalise_spectrum(network: nn.Module, *, eps: float = 1e-12) -> nn.Module:
    """Divide the weight of each convolution and linear layer by its largest singular value.

    Miyato et al. 2018 (arXiv:1802.05957, algorithm 1), with one power iteration in each training
    pass. So is the embedding of a :class:`ClassProjection`, which must not be 0: it is a linear map
    of features, with a row for each class. Other embeddings and layers stay as they are.

    Args:
        network: The network, which changes in place.
        eps: What keeps the norms of the power iteration from 0.

    Returns:
        The network.
    """
    for module in list(network.modules()):
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            spectral_norm(module, eps=eps)
        elif isinstance(module, ClassProjection):
            spectral_norm(module, "embedding", eps=eps)
    return network
