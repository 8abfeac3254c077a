"""The architecture of FastGAN: its options, and how its generator draws."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Architecture, DataSpec
from ganzoo_zoo.families.fastgan.recipes import PAPER, TUNED

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

STANDING_BATCH = 16
"""Samples in each batch that standing statistics are taken of."""


class FastGAN(Architecture):
    """FastGAN for few square images of 16 to 1024 pixels by powers of two.

    Liu et al. 2021, section 3. The generator doubles maps of 4 x 4 pixels, by one convolution with
    batch normalisation and a gated linear unit or by two that also add noise, in turn. Skip-layer
    excitation lets maps of a low resolution scale the channels of a high one. The discriminator
    halves an image to 8 x 8 pixels by blocks of two paths, has skip-layer excitation too, and
    judges 25 patches. Every convolution has spectral normalisation and no bias.

    From 256 pixels on, networks are the paper's: the generator makes a second picture of 128 x 128
    pixels from the features of that size, and the discriminator judges it by a second, small path,
    in 25 further patches. Smaller images have no second picture. Skip-layer excitation then leads
    from 4 to 32 pixels, 8 to 64 and 16 to 128, where it leads from 4 to 64, 8 to 128, 16 to 256 and
    32 to 512 in the paper. All pictures end in tanh, which the authors' code leaves out at 256 and
    512 pixels.

    The discriminator's ``decoder`` paints what it saw from its features: the whole image from maps
    of 8 x 8, one quarter, drawn at random for each sample, from those of 16 x 16, and the second
    picture. The penalty ``reconstruction``, which the recipes bring, compares; nothing else calls
    the decoder. The paper's distance is LPIPS, and the penalty's here one of pixels, so that no
    weights need be downloaded. The authors mirror images at random: ``--set data.flip=true``.

    Noise is drawn for each sample in training. A model draws with noise maps that are the same for
    all its samples, and with standing statistics, as BigGAN does (Brock et al. 2019,
    arXiv:1809.11096, appendix D): batch normalisation uses means and variances of batches of
    samples, drawn from a fixed seed and without truncation. The authors normalise by the batch that
    is being drawn, so that a sample depends on the others. If each sample must be judged
    independently, the discriminator has layer normalisation in place of batch normalisation.
    """

    paper = "Liu et al. 2021, arXiv:2101.04775"
    default_loss = "hinge"
    default_data = "digits"
    recipe = PAPER
    tuned_recipes = TUNED
    generator_parts = ("small",)
    judged_parts = ("small",)
    discriminator_parts = ("features", "details", "seen", "small_features", "small_seen")
    extra_networks = ("decoder",)

    z_dim: int = Field(default=256, gt=0, description="Length of a latent; the paper has 256.")
    base_channels: int = Field(
        default=64,
        gt=0,
        description="Channels of the generator at 128 pixels, the unit of all others; the paper "
        "has 64.",
    )
    standing_batches: int = Field(
        default=8,
        ge=0,
        description="Batches of 16 samples of which standing statistics are taken; 0 for the "
        "running statistics of the training.",
    )

    def generator(self, data: DataSpec) -> nn.Module:
        """Build the generator: latents ``(N, z_dim)`` -> a dict of ``samples`` and ``small``.

        Samples are images ``(N, C, H, W)`` in ``[-1, 1]``. The second picture ``small`` is
        ``(N, C, 128, 128)``, or ``(N, 0)`` for samples below 256 pixels.
        """
        from ganzoo_zoo.families.fastgan import networks

        return networks.generator(data, self.z_dim, self.base_channels)

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build the discriminator: ``samples`` and ``small`` -> a dict with ``logits``.

        Logits are ``(N, 25)``, or ``(N, 50)`` with the second picture. ``features`` are the maps
        ``(N, D, 8, 8)`` that the image is judged by, and ``details`` those of 16 x 16 pixels;
        ``seen`` is the image as it came. ``small_features`` and ``small_seen`` are the same of the
        second picture, or ``(N, 0)``.
        """
        from ganzoo_zoo.families.fastgan import networks

        return networks.discriminator(data, self.base_channels, by_layer=independent_samples)

    def real_parts(self, real: Tensor) -> dict[str, Tensor]:
        """Return ``small``: reals at 128 x 128 pixels by the mean, or ``(N, 0)``."""
        from ganzoo_zoo.families.fastgan import networks

        return {"small": networks.shrink(real)}

    def sampler(
        self,
        generator: nn.Module,
        data: DataSpec,
        *,
        truncation: float | None = None,
        rng: torch.Generator,
    ) -> nn.Module:
        """Return a copy of the generator with fixed noise, and standing statistics."""
        from ganzoo.nn import standing_statistics
        from ganzoo_zoo.families.fastgan import networks

        drawing = networks.fix_noise(copy.deepcopy(generator), rng)
        if self.standing_batches:
            device = next(generator.parameters()).device
            batches = (
                (self.latents(STANDING_BATCH, rng).to(device),)
                for _ in range(self.standing_batches)
            )
            # Of whole latents: those of truncated ones would undo truncation in the first layer.
            drawing = standing_statistics(drawing, batches)
        return super().sampler(drawing, data, truncation=truncation, rng=rng)
