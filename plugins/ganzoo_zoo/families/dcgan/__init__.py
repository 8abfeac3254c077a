"""DCGAN: strided convolutions in both networks (Radford et al. 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ganzoo import Architecture, DataSpec, Recipe
from ganzoo_zoo.families.dcgan.recipes import TUNED

if TYPE_CHECKING:
    from torch import nn


class DCGAN(Architecture):
    """Deep convolutional GAN for images.

    Follows the guidelines of Radford et al. 2016 (section 3): strided convolutions instead of
    pooling, no hidden fully connected layers, ReLU in the generator with tanh at its end, and leaky
    ReLU of slope 0.2 in the discriminator. Both have batch normalisation, except at the generator's
    output and the discriminator's input. Weights are drawn from N(0, 0.02). An image is halved
    until its shorter side is 4 to 7 pixels, and channels double each time, so one class serves
    28 x 28, 32, 48, 64, 96 and 128 pixels. Kernels are 4 x 4, which tile a stride of 2 evenly; the
    paper has 5 x 5.

    With ``conditional``, gains and biases of the generator's batch normalisation depend on the
    class (Dumoulin et al. 2017, arXiv:1610.07629, equation 5; de Vries et al. 2017,
    arXiv:1707.00683). They are linear in one learnt embedding for all layers (Brock et al. 2019,
    arXiv:1809.11096, section 3). The first layer has them for each pixel, because otherwise no
    layer could tell where in an image a class differs. The discriminator projects the sum over
    pixels of its last feature map onto an embedding of the class (Miyato and Koyama 2018,
    arXiv:1802.05637, equation 4).

    With ``minibatch_discrimination`` the discriminator also sees how near each sample is to the
    others of its batch (Salimans et al. 2016, arXiv:1606.03498, section 3.2), so that fakes that
    are all alike give themselves away. Its normalisation is then by layer.
    """

    paper = "Radford et al. 2016, arXiv:1511.06434"
    default_loss = "wgan-gp"
    default_data = "digits"
    discriminator_parts = ("features",)
    mixes_batch = property(lambda self: self.minibatch_discrimination > 0)
    tuned_recipes = TUNED
    recipe = Recipe(
        loss="non-saturating",
        generator_lr=2e-4,
        discriminator_lr=2e-4,
        betas=(0.5, 0.999),
        batch_size=128,
        settings={"arch.prior": "uniform", "arch.base_channels": 128},
        source="Radford et al. 2016, arXiv:1511.06434, section 4",
    )

    z_dim: int = Field(default=100, gt=0, description="Length of a latent.")
    prior: Literal["normal", "uniform"] = Field(
        default="normal",
        description="Distribution of latents: standard normal, or uniform from -1 to 1 as in the "
        "paper.",
    )
    base_channels: int = Field(
        default=32, gt=0, description="Channels at the highest resolution; the paper has 128."
    )
    discriminator_norm: Literal["auto", "batch", "layer", "none"] = Field(
        default="auto",
        description="Normalisation of the discriminator; auto is batch, or layer if the loss needs "
        "each sample judged independently, and with minibatch discrimination.",
    )
    minibatch_discrimination: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Kernels by which the discriminator compares the samples of a batch; 0 for "
        "none. The paper's code has 100.",
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
        from ganzoo_zoo.families.dcgan import networks

        return networks.generator(data, self.z_dim, self.base_channels, self.conditional)

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build the discriminator: images ``(N, C, H, W)`` -> logits ``(N,)``.

        Its ``features`` are those before the last layer, and before minibatch discrimination.
        """
        from ganzoo_zoo.families.dcgan import networks

        norm = self.discriminator_norm
        if norm == "auto":
            norm = "layer" if independent_samples or self.mixes_batch else "batch"
        kernels = 0 if independent_samples else self.minibatch_discrimination
        return networks.discriminator(data, self.base_channels, norm, self.conditional, kernels)
