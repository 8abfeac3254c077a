"""Deep convolutional GAN: strided convolutions in both networks."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ganzoo import Architecture, DataSpec

WEIGHT_STD = 0.02
"""Standard deviation of weights as they are drawn."""


class DCGAN(Architecture):
    """Deep convolutional GAN for images of 1, 3 or 4 channels.

    Follows the guidelines of Radford et al. 2016 (section 3): strided convolutions in place of
    pooling, no hidden fully connected layers, ReLU in the generator and tanh at its end, leaky
    ReLU of slope 0.2 in the discriminator, batch normalisation in both but for the generator's
    output and the discriminator's input, weights drawn from N(0, 0.02). The image is halved until
    its shorter side is 4 to 7 pixels, and channels double each time, so that 28 x 28, 32, 48, 64,
    96 and 128 are all one class. Kernels are 4 x 4, which tile a stride of 2 evenly, in place of
    the paper's 5 x 5.

    With ``conditional``, the generator's batch normalisation has gains and biases of each class
    (Dumoulin et al. 2017, arXiv:1610.07629, equation 5; de Vries et al. 2017, arXiv:1707.00683),
    linear in one learnt embedding for all layers (Brock et al. 2019, arXiv:1809.11096, section 3).
    The embedding also stands beside the latent (Mirza and Osindero 2014, arXiv:1411.1784): gains
    and biases alone say nothing of where, and these few layers are slow to find it out. The
    discriminator projects the sum over pixels of its last feature map onto an embedding of the
    class (Miyato and Koyama 2018, arXiv:1802.05637, equation 4).
    """

    paper = "Radford et al. 2016, arXiv:1511.06434"
    default_loss = "non-saturating"
    default_data = "digits"

    z_dim: int = Field(100, gt=0, description="Length of a latent.")
    base_channels: int = Field(
        32, gt=0, description="Channels at the highest resolution; the paper has 128."
    )
    discriminator_norm: Literal["auto", "batch", "layer", "none"] = Field(
        "auto",
        description="Normalisation of the discriminator; auto is batch, or layer where the loss "
        "needs samples judged independently.",
    )
    conditional: bool = Field(
        False, description="Whether both networks take the class of each sample."
    )

    def takes_labels(self, data: DataSpec) -> bool:
        """Answer as the option says."""
        return self.conditional

    def generator(self, data: DataSpec) -> nn.Module:
        """Build latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
        halvings, height, width = data.halved("dcgan")
        channels = [self.base_channels * 2**i for i in reversed(range(halvings))]
        norm, network, given = nn.BatchNorm2d, nn.Sequential, self.z_dim
        if self.conditional:
            norm, given = partial(_ClassBatchNorm, self.z_dim), 2 * self.z_dim
            network = partial(_ByClass, data.classes_for("dcgan"), self.z_dim)
        layers: list[nn.Module] = [
            # A transposed convolution over one pixel is the paper's "project and reshape".
            nn.Unflatten(1, (given, 1, 1)),
            nn.ConvTranspose2d(given, channels[0], (height, width), bias=False),
            norm(channels[0]),
            nn.ReLU(),
        ]
        for before, after in itertools.pairwise(channels):
            layers += [
                nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
                norm(after),
                nn.ReLU(),
            ]
        layers += [
            nn.ConvTranspose2d(channels[-1], data.image_channels, 4, stride=2, padding=1),
            nn.Tanh(),
        ]
        return network(*layers).apply(_draw_weights)

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build images ``(N, C, H, W)`` -> logits ``(N,)``."""
        halvings, height, width = data.halved("dcgan")
        norm = _NORMS[self._discriminator_norm(independent_samples)]
        channels = [self.base_channels * 2**i for i in range(halvings)]
        layers: list[nn.Module] = [
            nn.Conv2d(data.image_channels, channels[0], 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
        ]
        for before, after in itertools.pairwise(channels):
            layers += [
                # Without normalisation behind it the convolution keeps its bias.
                nn.Conv2d(before, after, 4, stride=2, padding=1, bias=norm is _NORMS["none"]),
                norm(after),
                nn.LeakyReLU(0.2),
            ]
        ending = [nn.Conv2d(channels[-1], 1, (height, width)), nn.Flatten(0)]
        if not self.conditional:
            return nn.Sequential(*layers, *ending).apply(_draw_weights)
        parts = nn.Sequential(*layers), nn.Sequential(*ending)
        return _Projection(data.classes_for("dcgan"), channels[-1], *parts).apply(_draw_weights)

    def _discriminator_norm(self, independent_samples: bool) -> str:
        if self.discriminator_norm != "auto":
            return self.discriminator_norm
        return "layer" if independent_samples else "batch"


class _ClassBatchNorm(nn.Module):
    """Batch normalisation with gains and biases of the class; it begins as the plain one."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain, self.bias = (nn.Linear(width, channels, bias=False) for _ in range(2))
        for linear in (self.gain, self.bias):
            nn.init.zeros_(linear.weight)

    def forward(self, features: Tensor, classes: Tensor) -> Tensor:
        gain, bias = (linear(classes)[:, :, None, None] for linear in (self.gain, self.bias))
        return (1 + gain) * self.norm(features) + bias


class _ByClass(nn.Module):
    """Layers of a latent and an embedding of its class, which normalisation is told again."""

    def __init__(self, classes: int, width: int, *layers: nn.Module) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(classes, width))
        self.layers = nn.ModuleList(layers)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        classes = self.embedding[labels]
        features = torch.cat([latents, classes], dim=1)
        for layer in self.layers:
            told = isinstance(layer, _ClassBatchNorm)
            features = layer(features, classes) if told else layer(features)
        return features


class _Projection(nn.Module):
    """A discriminator of two parts, with a direction for each class between them."""

    def __init__(self, classes: int, channels: int, body: nn.Module, ending: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.ending = ending
        self.embedding = nn.Parameter(torch.empty(classes, channels).normal_(0.0, WEIGHT_STD))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        features = self.body(images)
        return self.ending(features) + (self.embedding[labels] * features.sum((2, 3))).sum(1)


_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    # One group is layer normalisation over channels and pixels, with a gain for each channel.
    "layer": lambda channels: nn.GroupNorm(1, channels),
    "none": lambda channels: nn.Identity(),
}


def _draw_weights(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, WEIGHT_STD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d) and module.affine:
        nn.init.normal_(module.weight, 1.0, WEIGHT_STD)
