"""ACGAN: a generator that is told the class, and a discriminator that names it (Odena et al.)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Architecture, DataSpec, Recipe
from ganzoo.errors import InputError
from ganzoo_zoo.families.tuned import IMAGES

if TYPE_CHECKING:
    from torch import nn

PENALTY = {"train.penalty": ["auxiliary-classifier"]}
"""What trains both networks by the classes; without it they mean nothing."""


class ACGAN(Architecture):
    """Auxiliary classifier GAN for images that have classes.

    The networks of Odena et al. 2017, table 2, for CIFAR-10. The generator takes the class as a
    one-hot vector beside the latent: a dense layer, and 5 x 5 transposed convolutions of stride 2
    with batch normalisation, ReLU and tanh. The discriminator is pairs of 3 x 3 convolutions, the
    first of stride 2, with batch normalisation, leaky ReLU of slope 0.2 and dropout. It is not told
    the class: beside logits it gives ``classes`` ``(N, classes)``, scores before the softmax. The
    penalty ``auxiliary-classifier``, which the recipes bring, trains both networks by them.

    The paper's images are 32 x 32. Here an image is halved until its shorter side is 4 to 7 pixels.
    Channels double each time in the generator, up to eight times those at the highest resolution,
    and from layer to layer in the discriminator, up to 32 times. Kernels of transposed convolutions
    are padded so that each doubles the image. Weights are drawn from N(0, 0.02) and biases are 0,
    as in the paper; its noise on activations is left out, as its search has 0 among the choices.
    """

    paper = "Odena et al. 2017, arXiv:1610.09585"
    default_loss = "non-saturating"
    default_data = "digits"
    discriminator_parts = ("classes",)
    tuned_recipes = (
        IMAGES.replace(
            steps=4_500,
            generator_lr=1e-3,
            discriminator_lr=5e-4,
            betas=(0.5, 0.999),
            settings={**PENALTY, "arch.base_channels": 48, "arch.dropout": 0.2},
            source="a first try on the digits, not a search",
        ),
    )
    recipe = Recipe(
        steps=50_000,
        generator_lr=2e-4,
        discriminator_lr=2e-4,
        betas=(0.5, 0.999),
        batch_size=100,
        settings={**PENALTY, "penalty.auxiliary-classifier.fakes": True},
        source="Odena et al. 2017, arXiv:1610.09585, table 2",
    )

    z_dim: int = Field(default=100, gt=0, description="Length of a latent, without the class.")
    base_channels: int = Field(
        default=96,
        gt=0,
        description="Channels of the generator at the highest resolution; the paper has 96.",
    )
    discriminator_channels: int = Field(
        default=16, gt=0, description="Channels of the discriminator's first layer; the paper: 16."
    )
    dropout: float = Field(
        default=0.5,
        ge=0,
        lt=1,
        description="Share of the discriminator's features that are dropped in training.",
    )

    def takes_labels(self, data: DataSpec) -> bool:
        """Tell that classes are needed."""
        return True

    def generator(self, data: DataSpec) -> nn.Module:
        """Build latents ``(N, z_dim)`` and labels ``(N,)`` -> images ``(N, C, H, W)``."""
        from ganzoo_zoo.families.acgan import networks

        return networks.generator(data, _require_classes(data), self.z_dim, self.base_channels)

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build images ``(N, C, H, W)`` -> logits ``(N,)`` and ``classes``.

        Normalisation is batch, or layer if each sample must be judged independently.
        """
        from ganzoo_zoo.families.acgan import networks

        return networks.discriminator(
            data,
            _require_classes(data),
            self.discriminator_channels,
            self.dropout,
            by_layer=independent_samples,
        )


def _require_classes(data: DataSpec) -> int:
    if data.classes is None:
        raise InputError(
            "classes are what it learns, and these data have none; give data with classes, such as "
            "a folder with a folder for each, or train dcgan"
        )
    return data.classes
