"""SAGAN: self-attention, and spectral normalisation of both networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Architecture, DataSpec, Recipe
from ganzoo_zoo.families.tuned import IMAGES

if TYPE_CHECKING:
    from torch import nn


class SAGAN(Architecture):
    """Self-attention GAN for images.

    Zhang et al. 2019. Both networks consist of residual blocks with spectral normalisation of every
    weight, and have self-attention behind the block of one resolution: each pixel attends to all
    others. The generator's batch normalisation has a gain and a bias of each class for each channel
    (Dumoulin et al. 2017, arXiv:1610.07629). The discriminator has no activation before its first
    block, sums its last features over all pixels, and projects them onto an embedding of the class
    (Miyato and Koyama 2018, arXiv:1802.05637).

    The paper's images have 128 pixels: its generator doubles 4 x 4 pixels five times, with 1,024
    channels in the first block, and half as many in each that follows; its discriminator halves
    them five times, with twice as many channels in each block, up to 1,024, and has one more block.
    Here an image is halved until its shorter side is 4 to 7 pixels, and channels double each time
    up to 16 times ``base_channels``, so one class serves 16 x 16, 28 x 28, 32, 48, 64, 96, 128
    pixels and more.

    Attention, weights and blocks are as in the authors' code: keys and values are pooled to half of
    the height and width, values have half of the channels, scores are not scaled, and weights are
    drawn by Glorot and Bengio 2010. The paper's text pools nothing, and gives values an eighth of
    the channels.
    """

    paper = "Zhang et al. 2019, arXiv:1805.08318"
    default_loss = "hinge"
    default_data = "digits"
    recipe = Recipe(
        steps=1_000_000,
        generator_lr=1e-4,
        discriminator_lr=4e-4,
        betas=(0.0, 0.9),
        batch_size=256,
        settings={"arch.base_channels": 64},
        source="Zhang et al. 2019, arXiv:1805.08318, section 4, ImageNet at 128 pixels",
    )
    tuned_recipes = (
        IMAGES.replace(
            steps=2_500,
            generator_lr=2e-4,
            discriminator_lr=8e-4,
            source="a few tries on the digits, by how much samples of a class differ",
        ),
    )
    bounds_slope = True

    z_dim: int = Field(default=128, gt=0, description="Length of a latent; the paper has 128.")
    base_channels: int = Field(
        default=16, gt=0, description="Channels at the highest resolution; the paper has 64."
    )
    attention: int | None = Field(
        default=None,
        ge=0,
        description="Shorter side of the feature maps with attention, in pixels; 0 for no "
        "attention, and None for 32, as in the paper, or the largest below it.",
    )
    conditional: bool = Field(
        default=True,
        description="Whether both networks take the class of each sample as an input.",
    )

    def takes_labels(self, data: DataSpec) -> bool:
        """Tell whether both networks take labels, as the option says."""
        return self.conditional

    def generator(self, data: DataSpec) -> nn.Module:
        """Build the generator: latents ``(N, z_dim)`` -> images ``(N, C, H, W)`` in ``[-1, 1]``."""
        from ganzoo_zoo.families.sagan import networks

        return networks.generator(
            data, self.z_dim, self.base_channels, self._classes(data), self.attention
        )

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build the discriminator: images ``(N, C, H, W)`` -> logits ``(N,)``.

        It never mixes a batch.
        """
        from ganzoo_zoo.families.sagan import networks

        return networks.discriminator(data, self.base_channels, self._classes(data), self.attention)

    def _classes(self, data: DataSpec) -> int | None:
        return data.require_classes() if self.conditional else None
