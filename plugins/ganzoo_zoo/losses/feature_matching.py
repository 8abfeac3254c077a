"""Feature matching: fakes have the mean features of reals (Salimans et al. 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ganzoo import Discriminator, Loss, Recipe
from ganzoo_zoo.losses.cross_entropy import cross_entropy

if TYPE_CHECKING:
    from torch import Tensor


class FeatureMatching(Loss):
    r"""The generator matches the mean of the discriminator's features over a batch.

    .. math::
        L_D = -E[\log D(x)] - E[\log(1 - D(G(z)))], \quad
        L_G = \| E[f(x)] - E[f(G(z))] \|_2^2

    with the features f of an intermediate layer of the discriminator, its part ``features``.
    Salimans et al. 2016, section 3.1. The authors' code (openai/improved-gan) has the mean of
    absolute differences instead, whose size does not depend on the number of features; so it is
    the default here. The generator never sees logits. It suits semi-supervised classifiers, and
    samples of other losses are often sharper.
    """

    paper = "Salimans et al. 2016, arXiv:1606.03498"
    adversarial = False
    needs_discriminator_parts = ("features",)
    needs_whole_batch = True
    recipe = Recipe(
        generator_lr=3e-4,
        discriminator_lr=3e-4,
        betas=(0.5, 0.999),
        n_critic=1,
        batch_size=100,
        source="openai/improved-gan, CIFAR-10 with feature matching",
    )

    distance: Literal["absolute", "squared"] = Field(
        default="absolute",
        description="Distance of the means: the mean absolute difference as in the authors' code, "
        "or the squared norm as in the paper.",
    )

    def discriminator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return the binary cross-entropy of reals and of fakes."""
        return cross_entropy(D, real, fake)

    def generator_loss(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return the distance of the mean features of reals and of fakes."""
        import torch

        with torch.no_grad():
            wanted = D.judge(real)["features"].mean(0)
        away = wanted - D.judge(fake)["features"].mean(0)
        found = away.abs().mean() if self.distance == "absolute" else away.square().sum()
        return {"feature_matching": found}
