"""How weights are drawn."""

from __future__ import annotations

from torch import nn


def draw_normal(module: nn.Module, std: float = 0.02) -> None:
    """Draw the weight of a convolution or linear layer from N(0, std), with biases of 0, in place.

    Radford et al. 2016 (arXiv:1511.06434, section 4). Other modules stay as they are, so that a
    whole network is drawn by ``network.apply(draw_normal)``.

    Args:
        module: The layer.
        std: The standard deviation.
    """
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0.0, std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
