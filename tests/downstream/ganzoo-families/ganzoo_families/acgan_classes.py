"""ACGAN's term: both networks want samples to be told as what they are."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ganzoo import DataSpec, Discriminator, Penalty


class TinyClasses(Penalty):
    """The cross-entropy of classes, of reals and fakes alike."""

    paper = "Odena et al. 2017, arXiv:1610.09585"
    needs_discriminator_parts = ("classes",)

    def discriminator_terms(
        self, D: Discriminator, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Teach the discriminator the classes of reals and of fakes."""
        return {"real_classes": self.miss(D, real), "fake_classes": self.miss(D, fake)}

    def generator_terms(self, D: Discriminator, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Teach the generator to make samples of their classes."""
        return {"fake_classes": self.miss(D, fake)}

    def miss(self, D: Discriminator, samples: Tensor) -> Tensor:
        """Return the cross-entropy of samples."""
        return F.cross_entropy(D.judge(samples)["classes"], D.labels)

    def fits(self, data: DataSpec) -> bool:
        """Serve samples with classes."""
        return data.classes is not None
