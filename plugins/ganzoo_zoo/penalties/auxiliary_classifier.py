"""An auxiliary classifier: the discriminator tells classes as well (Odena et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import DataSpec, Discriminator, Penalty

if TYPE_CHECKING:
    from torch import Tensor


class AuxiliaryClassifier(Penalty):
    r"""The discriminator names the class of reals, and the generator makes fakes that it can name.

    .. math::
        R_D = -\lambda_D E[\log P(c \mid x)], \quad R_G = -\lambda_G E[\log P(c \mid G(z, c))]

    Odena et al. 2017, equation 3, as the cross-entropy of the discriminator's part ``classes``
    ``(N, classes)``, which are scores before the softmax. In the paper the discriminator learns
    classes from fakes as well. Both networks then work for the same term, fakes become what is
    easiest to name, and those of a class become alike; so here it learns from reals alone, unless
    ``fakes`` asks for the paper's way.
    """

    paper = "Odena et al. 2017, arXiv:1610.09585"
    needs_discriminator_parts = ("classes",)

    discriminator_weight: float = Field(
        default=1.0, ge=0, description="Weight for the discriminator, lambda_D."
    )
    generator_weight: float = Field(
        default=1.0, ge=0, description="Weight for the generator, lambda_G."
    )
    fakes: bool = Field(
        default=False,
        description="Whether the discriminator learns the classes of fakes as well, as in the "
        "paper.",
    )

    def fits(self, data: DataSpec) -> bool:
        """Tell whether the samples have classes."""
        return data.classes is not None

    def discriminator_terms(
        self, D: Discriminator, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Return the weighted cross-entropy of the classes of reals, and of fakes if asked for."""
        terms = {"class_real": self.discriminator_weight * _cross_entropy(D, real)}
        if self.fakes:
            terms["class_fake"] = self.discriminator_weight * _cross_entropy(D, fake)
        return terms

    def generator_terms(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return the weighted cross-entropy of the classes that the fakes were to have."""
        return {"class": self.generator_weight * _cross_entropy(D, fake)}


def _cross_entropy(D: Discriminator, samples: Tensor) -> Tensor:
    import torch.nn.functional as F

    assert D.labels is not None, "what gives classes takes labels"
    return F.cross_entropy(D.recall(samples, "classes"), D.labels)
