"""Mutual information of codes and samples, bounded from below (Chen et al. 2016)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Discriminator, LatentPart, Penalty

if TYPE_CHECKING:
    from torch import Tensor

NOISE = "z"
"""The part of a latent that nobody guesses."""
HALF_LOG_TWO_PI = math.log(2 * math.pi) / 2


class MutualInformation(Penalty):
    r"""The codes that a sample was made from can be guessed from it.

    .. math::
        L_I = E_{c, x \sim G(z, c)}[\log Q(c \mid x)] + H(c) \le I(c; G(z, c))

    Chen et al. 2016, equation 5. Both networks minimise :math:`-\lambda E[\log Q(c \mid x)]`, one
    term for each code. The entropy H of the codes is a constant and left out: what is guessed of
    ten categories is log 10 = 2.30 nats minus their term. That the discriminator minimises it too,
    and not its head for codes alone, is in the authors' code (openai/InfoGAN).

    Codes are all parts of a latent but ``z``, in their order. The discriminator's part ``codes``
    ``(N, K)`` guesses them side by side: a score of each category before the softmax, and the mean
    of each number, whose density is Gaussian with standard deviation 1.
    """

    paper = "Chen et al. 2016, arXiv:1606.03657"
    needs_discriminator_parts = ("codes",)

    weight: float = Field(default=1.0, ge=0, description="Weight of the penalty, lambda.")

    def discriminator_terms(
        self, D: Discriminator, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Return the weighted cost of each code, for the head that guesses and what it sees by."""
        return self._find_costs(D, fake)

    def generator_terms(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return the weighted cost of each code, for the generator that shows them."""
        return self._find_costs(D, fake)

    def _find_costs(self, D: Discriminator, fake: Tensor) -> dict[str, Tensor]:
        """Return minus the mean log-density of each code by what is guessed, weighted."""
        parts = [part for part in D.latent_parts if part.name != NOISE]
        guessed = D.recall(fake, "codes").split([part.size for part in parts], dim=1)
        drawn = D.split_latents(D.inputs.given)
        return {
            f"code_{part.name}": self.weight * _find_cost(part, guess, drawn[part.name])
            for part, guess in zip(parts, guessed, strict=True)
        }


def _find_cost(part: LatentPart, guess: Tensor, drawn: Tensor) -> Tensor:
    import torch.nn.functional as F

    if part.distribution == "category":
        return F.cross_entropy(guess, drawn)
    return (0.5 * (drawn - guess).square() + HALF_LOG_TWO_PI).sum(1).mean()
