"""A relativistic loss and a linear architecture."""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ganzoo import Architecture, DataSpec, Discriminator, Loss, Recipe


class Relativistic(Loss):
    r"""Ask whether a real sample is more realistic than a fake one, and the other way around.

    .. math::
        L_D = -E[\log \sigma(C(x) - C(G(z)))], \quad L_G = -E[\log \sigma(C(G(z)) - C(x))]

    Jolicoeur-Martineau 2018, the relativistic standard GAN: the i-th real of a batch is paired
    with its i-th fake.
    """

    paper = "Jolicoeur-Martineau 2018, arXiv:1807.00734"
    recipe = Recipe(generator_lr=2e-4, discriminator_lr=2e-4, betas=(0.5, 0.999), n_critic=1)

    def discriminator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """``softplus(D(fake) - D(real))`` of each pair."""
        return {"relativistic": F.softplus(D(fake) - D(real)).mean()}

    def generator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """``softplus(D(real) - D(fake))`` of each pair."""
        return {"relativistic": F.softplus(D(real) - D(fake)).mean()}


class Linear(Architecture):
    """One linear layer in each network: the smallest GAN there is, for samples of any shape."""

    default_loss = "relativistic"
    default_data = "digits"

    z_dim: int = Field(default=16, gt=0, description="Length of a latent.")

    def generator(self, data: DataSpec) -> nn.Module:
        """Build latents ``(N, z_dim)`` -> samples ``(N, *data.shape)``."""
        squash = nn.Tanh() if data.is_bounded else nn.Identity()
        return nn.Sequential(nn.Linear(self.z_dim, data.size), squash, nn.Unflatten(1, data.shape))

    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build samples ``(N, *data.shape)`` -> logits ``(N,)``."""
        return nn.Sequential(nn.Flatten(), nn.Linear(data.size, 1), nn.Flatten(0))
