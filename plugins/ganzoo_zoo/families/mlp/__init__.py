"""Multilayer perceptrons, the networks of the first GAN (Goodfellow et al. 2014)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ganzoo import Architecture, DataSpec, Recipe
from ganzoo_zoo.families.mlp.recipes import TUNED

if TYPE_CHECKING:
    from torch import nn

Widths = tuple[Annotated[int, Field(gt=0)], ...]


class MLP(Architecture):
    """Fully connected generator and discriminator, for images, signals and vectors of any size.

    The generator has ReLU hidden layers, as in Goodfellow et al. 2014 (section 5), and ends in
    tanh for images and signals, and in a linear layer for vectors. The discriminator has leaky
    ReLUs of slope 0.2 instead of the paper's maxout. Neither has normalisation, so they suit every
    loss.

    With ``conditional``, the generator takes a learnt embedding of the class beside the latent
    (Mirza and Osindero 2014, arXiv:1411.1784, section 3.2), and the discriminator projects its last
    hidden layer onto one (Miyato and Koyama 2018, arXiv:1802.05637, equation 4).
    """

    paper = "Goodfellow et al. 2014, arXiv:1406.2661"
    default_loss = "r3gan"
    default_data = "digits"
    discriminator_parts = ("features",)
    earlier_defaults = {"discriminator_hidden": None}
    tuned_recipes = TUNED
    recipe = Recipe(
        loss="non-saturating",
        generator_lr=2e-4,
        discriminator_lr=2e-4,
        betas=(0.5, 0.999),
        batch_size=100,
        settings={"arch.prior": "uniform"},
        source="goodfeli/adversarial for batch and prior, Radford et al. 2016, arXiv:1511.06434, "
        "for Adam; Goodfellow et al. 2014 have maxout, dropout and momentum",
    )

    z_dim: int = Field(default=64, gt=0, description="Length of a latent.")
    prior: Literal["normal", "uniform"] = Field(
        default="normal",
        description="Distribution of latents: standard normal, or uniform from -1 to 1 as in the "
        "paper's code.",
    )
    hidden: Widths = Field(
        default=(256, 256),
        min_length=1,
        description="Units of each hidden layer of the generator, from its input on.",
    )
    discriminator_hidden: Widths | None = Field(
        default=None,
        min_length=1,
        description="Those of the discriminator, from its input on; by default the generator's, "
        "in reverse.",
    )
    conditional: bool = Field(
        default=False,
        description="Whether both networks take the class of each sample as an input.",
    )

    def takes_labels(self, data: DataSpec) -> bool:
        """Tell whether both networks take labels, as the option says."""
        return self.conditional

    def generator(self, data: DataSpec) -> nn.Module:
        """Build the generator: latents ``(N, z_dim)`` -> samples ``(N, *data.shape)``."""
        from ganzoo_zoo.families.mlp import networks

        return networks.generator(data, self.z_dim, self.hidden, self.conditional)

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build the discriminator: samples ``(N, *data.shape)`` -> logits ``(N,)``.

        It never mixes a batch. Its ``features`` ``(N, W)`` are those of the last hidden layer, of W
        units.
        """
        from ganzoo_zoo.families.mlp import networks

        widths = self.discriminator_hidden or self.hidden[::-1]
        return networks.discriminator(data, widths, self.conditional)
