"""The standard CNN of the paper's table 3."""

from __future__ import annotations

import itertools

from pydantic import Field
from torch import nn

from ganzoo import Architecture, DataSpec, Recipe
from ganzoo_sngan.spectral import normalise

MOST_DOUBLED = 8


class SNGAN(Architecture):
    """Spectral normalisation GAN for images of 1, 3 or 4 channels: the standard CNN.

    The networks of Miyato et al. 2018, table 3. The generator is a dense layer, transposed
    convolutions with batch normalisation and ReLU, and a 3 x 3 convolution to tanh. The
    discriminator halves the image by pairs of a 3 x 3 and a strided 4 x 4 convolution with leaky
    ReLU of slope 0.1, and every weight of it is divided by its largest singular value, found by
    one power iteration for each pass in training (algorithm 1): it mixes no samples of a batch.

    The paper's images are 32 and 48 pixels, halved three times. Here an image is halved until its
    shorter side is 4 to 7 pixels, so that 28 x 28, 32, 48, 64, 96 and 128 are all one class, and
    channels double each time up to eight times ``base_channels``. Weights are drawn from
    N(0, 0.02) as in Radford et al. 2016; the paper does not say. Recipe: setting C of table 1, in
    batches of 64.
    """

    paper = "Miyato et al. 2018, arXiv:1802.05957"
    default_loss = "hinge"
    default_data = "digits"
    recipe = Recipe(
        generator_lr=2e-4, discriminator_lr=2e-4, betas=(0.5, 0.999), n_critic=1, batch_size=64
    )
    bounds_slope = True

    z_dim: int = Field(128, gt=0, description="Length of a latent.")
    base_channels: int = Field(
        64, gt=0, description="Channels at the highest resolution; the paper has 64."
    )

    def generator(self, data: DataSpec) -> nn.Module:
        """Build latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
        halvings, height, width = data.halved("SN-GAN")
        channels = self._channels(halvings)[::-1]
        layers: list[nn.Module] = [
            nn.Linear(self.z_dim, channels[0] * height * width),
            nn.Unflatten(1, (channels[0], height, width)),
        ]
        for before, after in itertools.pairwise(channels):
            layers += [
                nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        layers += [nn.Conv2d(channels[-1], data.image_channels, 3, padding=1), nn.Tanh()]
        return nn.Sequential(*layers).apply(_draw_narrow)

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build images ``(N, C, H, W)`` -> logits ``(N,)``."""
        halvings, height, width = data.halved("SN-GAN")
        *channels, last = self._channels(halvings)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise([data.image_channels, *channels]):
            layers += [
                nn.Conv2d(before, after, 3, padding=1),
                nn.LeakyReLU(0.1),
                nn.Conv2d(after, after, 4, stride=2, padding=1),
                nn.LeakyReLU(0.1),
            ]
        layers += [
            nn.Conv2d(channels[-1], last, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Flatten(),
            nn.Linear(last * height * width, 1),
            nn.Flatten(0),
        ]
        return nn.Sequential(*layers).apply(_draw_narrow).apply(normalise)

    def _channels(self, halvings: int) -> list[int]:
        """Return the channels at each resolution, the highest first."""
        return [self.base_channels * min(2**i, MOST_DOUBLED) for i in range(halvings + 1)]


def _draw_narrow(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
