"""Reconstruction: the discriminator can tell from its features what it saw (Liu et al. 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ganzoo import Discriminator, Penalty

if TYPE_CHECKING:
    from torch import Tensor


class Reconstruction(Penalty):
    r"""Reals can be painted again from the discriminator's features, so that all is in these.

    .. math::
        \lambda E_x[\| \mathcal{G}(f(x)) - \mathcal{T}(x) \|]

    Liu et al. 2021, equation 2, a self-supervised task against overfitting to few images. The
    discriminator has a network ``decoder``. It takes all that the discriminator returned for reals,
    a dict, and returns pairs: a reconstruction, and what it should be, of the same shape. Distances
    are means over all numbers, and those of several pairs are added. What should be reconstructed
    is what the discriminator saw: reals behind augmentations. So the discriminator returns its
    input as well, as a part. Fakes are not reconstructed.

    In the paper the distance is LPIPS. Here it is one of pixels, for which no weights need be
    downloaded.
    """

    paper = "Liu et al. 2021, arXiv:2101.04775"
    needs_networks = ("decoder",)

    weight: float = Field(default=1.0, ge=0, description="Weight of the penalty, lambda.")
    distance: Literal["absolute", "squared"] = Field(
        default="absolute", description="Whether differences of pixels are squared."
    )

    def discriminator_terms(
        self, D: Discriminator, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Return the weighted mean distance of reals from their reconstructions."""
        import torch
        import torch.nn.functional as F

        decoder = D.network.get_submodule("decoder")
        distance = F.l1_loss if self.distance == "absolute" else F.mse_loss
        costs = [
            distance(found.to(wanted), wanted.detach())
            for found, wanted in D.call(decoder, D.recall_all(real))
        ]
        return {"reconstruction": self.weight * torch.stack(costs).sum()}
