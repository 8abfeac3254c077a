"""InfoGAN: categories and numbers that a person can set, found without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from ganzoo import Architecture, DataSpec, LatentPart, Recipe
from ganzoo_zoo.families.tuned import IMAGES

if TYPE_CHECKING:
    from torch import nn

PENALTY = {"train.penalty": ["mutual-information"]}
"""What gives codes a meaning; without it the networks are a plain GAN."""


class InfoGAN(Architecture):
    """InfoGAN for images: latents with codes, and a head that guesses them.

    The networks of Chen et al. 2016, appendix C.1, for MNIST. A latent has noise ``z``, a
    ``category`` and numbers ``code1``, ``code2`` and so on, all uniform. The generator is two dense
    layers and transposed convolutions of stride 2 with batch normalisation and ReLU. The
    discriminator is convolutions of stride 2 and a dense layer with leaky ReLU of slope 0.1; one
    more layer gives logits, and two more give ``codes`` ``(N, categories + numbers)``: scores of
    the categories before the softmax, and guesses of the numbers. The penalty
    ``mutual-information``, which the recipes bring, trains both networks by them.

    The paper's images are 28 x 28, halved twice. Here an image is halved until its shorter side is
    4 to 7 pixels, and channels double each time. Images lie in [-1, 1] and the generator ends in
    tanh, where the paper has [0, 1] and a sigmoid. Weights are drawn from N(0, 0.02) as in the
    authors' code (openai/InfoGAN), whose leaky ReLU has slope 0.01.
    """

    paper = "Chen et al. 2016, arXiv:1606.03657"
    default_loss = "non-saturating"
    default_data = "digits"
    discriminator_parts = ("codes",)
    tuned_recipes = (
        IMAGES.replace(
            steps=4_000,
            generator_lr=1e-3,
            discriminator_lr=2e-4,
            betas=(0.5, 0.999),
            batch_size=64,
            settings={**PENALTY, "arch.dense": 256, "arch.base_channels": 32},
            source="a first try on the digits, not a search",
        ),
    )
    recipe = Recipe(
        steps=5_000,
        generator_lr=1e-3,
        discriminator_lr=2e-4,
        betas=(0.5, 0.999),
        batch_size=128,
        settings=PENALTY,
        source="Chen et al. 2016, arXiv:1606.03657, appendix C.1, and openai/InfoGAN",
    )

    z_dim: int = Field(default=62, gt=0, description="Numbers of noise in a latent.")
    prior: Literal["normal", "uniform"] = Field(
        default="uniform",
        description="Distribution of the noise: uniform from -1 to 1 as in the paper, or standard "
        "normal. Codes that are numbers are always uniform.",
    )
    categories: int = Field(
        default=10, ge=0, le=100_000, description="Categories of the code 'category'; 0 for none."
    )
    codes: int = Field(
        default=2,
        ge=0,
        le=1000,
        description="Codes that are numbers from -1 to 1: code1, code2, ...; 0 for none.",
    )
    base_channels: int = Field(
        default=64, gt=0, description="Channels at the highest resolution; the paper has 64."
    )
    dense: int = Field(
        default=1024, gt=0, description="Units of the dense layers; the paper has 1024."
    )

    @model_validator(mode="after")
    def _check(self) -> InfoGAN:
        if not self.categories and not self.codes:
            raise ValueError("categories or codes must be above 0: without codes this is a dcgan")
        return self

    def latent_parts(self) -> tuple[LatentPart, ...]:
        """Name noise, category and numbers."""
        parts = [LatentPart("z", self.z_dim, self.prior)]
        if self.categories:
            parts.append(LatentPart("category", self.categories, "category"))
        parts += [LatentPart(f"code{i + 1}", 1, "uniform") for i in range(self.codes)]
        return tuple(parts)

    def generator(self, data: DataSpec) -> nn.Module:
        """Build latents ``(N, z_dim + categories + codes)`` -> images ``(N, C, H, W)``."""
        from ganzoo_zoo.families.infogan import networks

        length = self.z_dim + self.categories + self.codes
        return networks.generator(data, length, self.dense, self.base_channels)

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build images ``(N, C, H, W)`` -> logits ``(N,)`` and ``codes``.

        Normalisation is batch, or layer if each sample must be judged independently.
        """
        from ganzoo_zoo.families.infogan import networks

        guessed = self.categories + self.codes
        return networks.discriminator(
            data, guessed, self.dense, self.base_channels, by_layer=independent_samples
        )
