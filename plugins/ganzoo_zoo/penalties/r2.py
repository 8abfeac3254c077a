"""R2: a penalty on the discriminator's slope at the fakes (Mescheder et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Discriminator, Penalty

if TYPE_CHECKING:
    from torch import Tensor


class R2(Penalty):
    r"""Zero-centred gradient penalty on the fakes.

    .. math::
        R_2 = \tfrac{\gamma}{2} E_z[\|\nabla D(G(z))\|^2]

    with the norm taken over each sample. Mescheder et al. 2018, equation 10.
    """

    paper = "Mescheder et al. 2018, arXiv:1801.04406"
    independent_samples = True
    second_order = True
    bounds_slope = True

    gamma: float = Field(default=10.0, ge=0, description="Weight of the penalty, gamma.")

    def discriminator_terms(
        self, D: Discriminator, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Return half of gamma times the mean squared slope at the fakes."""
        from ganzoo.nn import mean_squared_slope, track_samples

        fake = track_samples(fake)
        return {"r2": self.gamma / 2 * mean_squared_slope(D(fake), fake)}
