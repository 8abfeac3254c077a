"""WGAN-GP's ResNet: residual blocks, and a critic without normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Architecture, DataSpec, Recipe
from ganzoo_zoo.families.tuned import IMAGES

if TYPE_CHECKING:
    from torch import nn


class ResNet(Architecture):
    """WGAN-GP's residual networks for images.

    The CIFAR-10 networks of Gulrajani et al. 2017 (appendix, CIFAR ResNet architecture): residual
    blocks of two 3 x 3 convolutions behind activations, all of one width. The generator has nearest
    upsampling and batch normalisation. The critic has mean pooling and no normalisation, so it
    suits every loss. The critic's first block has no activation before it and pools its shortcut
    first; its last layer sees the mean over all pixels.

    The generator starts from a shorter side of 4 to 7 pixels and doubles it, three times for the
    paper's 32 pixels. The critic halves an image while at least 7 pixels are left, twice for the
    paper's, and then has two more blocks. One class serves 28 x 28, 32, 48, 64, 96 and 128 pixels.

    Weights are drawn as in the authors' code (igul222/improved_wgan_training): uniformly by Glorot
    and Bengio 2010, with the variance doubled behind ReLU as in He et al. 2015.
    """

    paper = "Gulrajani et al. 2017, arXiv:1704.00028"
    default_loss = "wgan-gp"
    default_data = "digits"
    tuned_recipes = (IMAGES.replace(steps=1_500, settings={"arch.base_channels": 32}),)
    recipe = Recipe(
        generator_lr=2e-4,
        discriminator_lr=2e-4,
        betas=(0.0, 0.9),
        n_critic=5,
        batch_size=64,
        lr_decay="linear",
        steps=100_000,
        source="Gulrajani et al. 2017, arXiv:1704.00028, appendix, CIFAR ResNet, and its code; "
        "there the generator learns from 128 samples, and images are dequantised",
    )

    z_dim: int = Field(default=128, gt=0, description="Length of a latent.")
    base_channels: int = Field(
        default=128, gt=0, description="Channels of every block; the paper has 128."
    )

    def generator(self, data: DataSpec) -> nn.Module:
        """Build the generator: latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
        from ganzoo_zoo.families.resnet import networks

        return networks.generator(data, self.z_dim, self.base_channels)

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build the critic: images ``(N, C, H, W)`` -> logits ``(N,)``.

        It never mixes a batch.
        """
        from ganzoo_zoo.families.resnet import networks

        return networks.discriminator(data, self.base_channels)
