"""WaveGAN: one-dimensional convolutions, for audio and other signals (Donahue et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from ganzoo import Architecture, DataSpec, Recipe

if TYPE_CHECKING:
    from torch import nn


class WaveGAN(Architecture):
    """WaveGAN for signals: DCGAN with long kernels along time in place of square ones.

    The networks of Donahue et al. 2018 (appendix D): kernels of 25, and strides of 4 by which a
    layer makes the signal four times as long, or as short, while channels halve or double. There
    is no normalisation, so they suit every loss. The discriminator shuffles the phase of its
    features while it trains: it shifts them along time by up to ``phase_shuffle`` places, each
    sample on its own, reflected at the ends, so that it cannot know real signals by the phase of
    artefacts of strides (section 3.3).

    A signal is cut to a quarter until 8 to 31 numbers are left, and to a half where a quarter does
    not go. So one class serves 16,384 numbers, as in the paper, as well as 64, 96, 1,000 or 65,536.
    """

    paper = "Donahue et al. 2018, arXiv:1802.04208"
    default_loss = "wgan-gp"
    default_data = "sines"
    discriminator_parts = ("features",)
    tuned_recipes = (
        Recipe(
            data="signals",
            steps=3_000,
            generator_lr=5e-4,
            discriminator_lr=5e-4,
            betas=(0.0, 0.9),
            batch_size=64,
            lr_decay="cosine",
            source="trials on sine waves",
        ),
    )
    recipe = Recipe(
        loss="wgan-gp",
        steps=200_000,
        generator_lr=1e-4,
        discriminator_lr=1e-4,
        betas=(0.5, 0.9),
        batch_size=64,
        n_critic=5,
        settings={"arch.prior": "uniform", "arch.base_channels": 64},
        source="Donahue et al. 2018, arXiv:1802.04208, appendix D and section 5",
    )

    z_dim: int = Field(default=100, gt=0, description="Length of a latent.")
    prior: Literal["normal", "uniform"] = Field(
        default="normal",
        description="Distribution of latents: standard normal, or uniform from -1 to 1 as in the "
        "paper.",
    )
    base_channels: int = Field(
        default=16, gt=0, description="Channels at the full length; the paper has 64."
    )
    kernel_size: int = Field(
        default=25, ge=5, le=1001, description="Length of each kernel, an odd number."
    )
    phase_shuffle: int = Field(
        default=2,
        ge=0,
        le=7,
        description="Places by which features are shifted along time, at most; 0 for none.",
    )

    @field_validator("kernel_size")
    @classmethod
    def _check_kernel_size(cls, size: int) -> int:
        if size % 2 == 0:
            raise ValueError("a kernel has a middle: give an odd number")
        return size

    def generator(self, data: DataSpec) -> nn.Module:
        """Build the generator: latents ``(N, z_dim)`` -> signals ``(N, C, T)`` in ``[-1, 1]``."""
        from ganzoo_zoo.families.wavegan import networks

        return networks.generator(data, self.z_dim, self.base_channels, self.kernel_size)

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build the discriminator: signals ``(N, C, T)`` -> logits ``(N,)``.

        It never mixes a batch. Its ``features`` are those before the last layer.
        """
        from ganzoo_zoo.families.wavegan import networks

        return networks.discriminator(
            data, self.base_channels, self.kernel_size, self.phase_shuffle
        )
