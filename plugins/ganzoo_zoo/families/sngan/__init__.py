"""Spectral normalisation GAN: each layer of the discriminator has a slope of about one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ganzoo import Architecture, DataSpec, Recipe
from ganzoo_zoo.families.tuned import IMAGES

if TYPE_CHECKING:
    from torch import nn


class SNGAN(Architecture):
    """Spectral normalisation GAN for images: the standard CNN.

    The networks of Miyato et al. 2018, table 3. The generator is a dense layer, transposed
    convolutions with batch normalisation and ReLU, and a 3 x 3 convolution with tanh. The
    discriminator halves the image by pairs of a 3 x 3 and a strided 4 x 4 convolution with leaky
    ReLU of slope 0.1. Each of its weights is divided by its largest singular value, found by one
    power iteration in each training pass (algorithm 1), so it never mixes a batch.

    The paper's images are 32 and 48 pixels, halved three times. Here an image is halved until its
    shorter side is 4 to 7 pixels, so one class serves 28 x 28, 32, 48, 64, 96 and 128 pixels.
    Channels double each time, up to eight times ``base_channels``. Weights are drawn from
    N(0, 0.02) as in Radford et al. 2016, because the paper does not say.
    """

    paper = "Miyato et al. 2018, arXiv:1802.05957"
    default_loss = "hinge"
    default_data = "digits"
    tuned_recipes = (IMAGES.replace(steps=4_000, settings={"arch.base_channels": 32}),)
    recipe = Recipe(
        steps=100_000,
        generator_lr=2e-4,
        discriminator_lr=2e-4,
        betas=(0.5, 0.999),
        n_critic=1,
        batch_size=64,
        source="Miyato et al. 2018, arXiv:1802.05957, section 4 and table 1, setting C",
    )
    bounds_slope = True

    z_dim: int = Field(default=128, gt=0, description="Length of a latent.")
    base_channels: int = Field(
        default=64, gt=0, description="Channels at the highest resolution; the paper has 64."
    )

    def generator(self, data: DataSpec) -> nn.Module:
        """Build the generator: latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
        from ganzoo_zoo.families.sngan import cnn

        return cnn.generator(data, self.z_dim, self.base_channels)

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build the discriminator: images ``(N, C, H, W)`` -> logits ``(N,)``."""
        from ganzoo_zoo.families.sngan import cnn

        return cnn.discriminator(data, self.base_channels)


class SNGANResNet(Architecture):
    """Spectral normalisation GAN for images: the ResNet.

    The networks of Miyato et al. 2018, appendix B.4: residual blocks of two 3 x 3 convolutions
    behind activations. The generator has batch normalisation and nearest upsampling. The
    discriminator has spectral normalisation of every weight, mean pooling, and a sum over all
    pixels before the last layer. Its first block has no activation before it.

    By default they are those for CIFAR-10, whose blocks all have as many channels (table 4). The
    generator starts from a shorter side of 4 to 7 pixels and doubles it, three times for the
    paper's 32 pixels. The discriminator halves an image while at least 7 pixels are left, twice for
    the paper's, and then has two more blocks. One class serves 28 x 28, 32, 48, 64, 96 and 128
    pixels.

    With ``tapered`` they are those for STL-10 of 48 pixels and ImageNet of 128 (tables 5 and 6):
    channels are ``base_channels`` at the highest resolution, and double where the size halves, up
    to 16 times as many. The discriminator halves an image until 3 to 5 pixels are left, and has one
    more block. The second convolution of its blocks sees as many channels as it returns.

    With ``conditional`` they are those of cGANs with a projection discriminator (Miyato and Koyama
    2018, arXiv:1802.05637): the blocks' batch normalisation has a gain and a bias of each class,
    and the discriminator projects its features onto an embedding of the class.

    Weights are drawn as in the authors' code (pfnet-research/sngan_projection): by Glorot and
    Bengio 2010, with the variance doubled before ReLU.
    """

    paper = "Miyato et al. 2018, arXiv:1802.05957"
    default_loss = "hinge"
    default_data = "digits"
    tuned_recipes = (
        IMAGES.replace(
            steps=1_500,
            generator_lr=5e-4,
            discriminator_lr=5e-4,
            settings={"arch.base_channels": 32},
        ),
    )
    recipe = Recipe(
        generator_lr=2e-4,
        discriminator_lr=2e-4,
        betas=(0.0, 0.9),
        n_critic=5,
        batch_size=64,
        lr_decay="linear",
        steps=50_000,
        source="pfnet-research/sngan_projection, CIFAR-10 without labels; there the generator "
        "learns from 128 samples",
    )
    bounds_slope = True

    z_dim: int = Field(default=128, gt=0, description="Length of a latent.")
    base_channels: int = Field(
        default=128,
        gt=0,
        description="Channels of the discriminator; the generator has twice as many. "
        "The paper has 128. If tapered, channels of both at the highest resolution; the paper has "
        "64.",
    )
    tapered: bool = Field(
        default=False,
        description="Whether channels double where the size halves, up to 16 times as many.",
    )
    upsampling: Literal["nearest", "bilinear"] = Field(
        default="nearest",
        description="How the generator doubles the size: by repeating pixels, as in the paper, or "
        "between them.",
    )
    conditional: bool = Field(
        default=False,
        description="Whether both networks take the class of each sample as an input.",
    )

    def takes_labels(self, data: DataSpec) -> bool:
        """Tell whether both networks take labels, as the option says."""
        return self.conditional

    def generator(self, data: DataSpec) -> nn.Module:
        """Build the generator: latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
        from ganzoo_zoo.families.sngan import resnet

        return resnet.generator(
            data,
            self.z_dim,
            self.base_channels,
            tapered=self.tapered,
            upsampling=self.upsampling,
            classes=self._classes(data),
        )

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build the discriminator: images ``(N, C, H, W)`` -> logits ``(N,)``."""
        from ganzoo_zoo.families.sngan import resnet

        return resnet.discriminator(
            data, self.base_channels, tapered=self.tapered, classes=self._classes(data)
        )

    def _classes(self, data: DataSpec) -> int | None:
        return data.require_classes() if self.conditional else None
