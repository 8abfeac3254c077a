"""ProGAN's growth, by the images that the discriminator has seen."""

from __future__ import annotations

import math

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ganzoo import Architecture, DataSpec, Progress
from ganzoo.errors import InputError
from ganzoo_families.growing_networks import LEVELS, GrowingDiscriminator, GrowingGenerator


class TinyProGAN(Architecture):
    """Networks that begin at a quarter of the resolution and double it twice."""

    paper = "Karras et al. 2018, arXiv:1710.10196"
    default_loss = "wgan-gp"

    z_dim: int = Field(default=8, gt=0, description="Length of a latent.")
    channels: int = Field(default=8, gt=0, description="Channels.")
    phase_images: int = Field(
        default=600_000, gt=0, description="Images of a phase: a resolution, or its fading in."
    )

    def generator(self, data: DataSpec) -> nn.Module:
        """Build latents ``(N, z_dim)`` -> images ``(N, *data.shape)``."""
        if not data.is_image or any(side % 2**LEVELS for side in data.shape[1:]):
            raise InputError("it makes images whose sides are multiples of 4; give --image-size")
        return GrowingGenerator(data.shape, self.channels, self.z_dim)

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build images ``(N, *data.shape)`` -> logits ``(N,)``."""
        return GrowingDiscriminator(data.shape, self.channels)

    def detail(self, progress: Progress) -> float:
        """Return the level of detail: each resolution stays for a phase and fades in for one."""
        whole, part = divmod(progress.images / self.phase_images, 2)
        return min(whole + max(0.0, part - 1), LEVELS)

    def advance(self, network: nn.Module, progress: Progress) -> None:
        """Set the level of detail of either network."""
        network.detail = self.detail(progress)

    def prepare_real(self, real: Tensor, progress: Progress) -> Tensor:
        """Show reals at that level, faded like the fakes."""
        detail = self.detail(progress)
        top = math.ceil(detail)
        share = detail - top + 1
        fine = self.coarsen(real, LEVELS - top)
        return share * fine + (1 - share) * self.coarsen(fine, min(LEVELS, LEVELS - top + 1))

    def coarsen(self, images: Tensor, times: int) -> Tensor:
        """Halve the resolution some times, at the same size."""
        size = 2**times
        return F.interpolate(F.avg_pool2d(images, size), scale_factor=float(size))
