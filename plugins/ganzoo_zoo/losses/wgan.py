"""The Wasserstein loss with weight clipping (Arjovsky et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Discriminator, Loss, Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn


class WGAN(Loss):
    r"""Wasserstein GAN with weight clipping.

    .. math::
        L_D = E[D(G(z))] - E[D(x)], \quad L_G = -E[D(G(z))]

    with each of the critic's parameters clipped to ``[-clip, clip]`` after each of its updates.
    Arjovsky et al. 2017, algorithm 1.
    """

    paper = "Arjovsky et al. 2017, arXiv:1701.07875"
    recipe = Recipe(
        optimizer="rmsprop",
        generator_lr=5e-5,
        discriminator_lr=5e-5,
        n_critic=5,
        batch_size=64,
        source="Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1",
    )
    bounds_slope = True

    clip: float = Field(
        default=0.01,
        gt=0,
        le=1e6,
        description="Largest absolute value of a parameter of the critic.",
    )

    def discriminator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return minus the estimate of the Wasserstein distance."""
        return {"wasserstein": D(fake).mean() - D(real).mean()}

    def generator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return minus the mean logit of the fakes."""
        return {"adversarial": -D(fake).mean()}

    def constrain(self, discriminator: nn.Module) -> None:
        """Clip every parameter of the critic, in place."""
        for parameter in discriminator.parameters():
            parameter.detach().clamp_(-self.clip, self.clip)
