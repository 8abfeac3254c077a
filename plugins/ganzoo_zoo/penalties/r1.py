"""R1: a penalty on the discriminator's slope at the reals (Mescheder et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Discriminator, Penalty

if TYPE_CHECKING:
    from torch import Tensor


class R1(Penalty):
    r"""Zero-centred gradient penalty on the reals.

    .. math::
        R_1 = \tfrac{\gamma}{2} E_x[\|\nabla D(x)\|^2]

    with the norm taken over each sample. Mescheder et al. 2018, equation 9. Lazily, as StyleGAN2
    has it, the interval is 16; on points and small data, a lazy penalty may fail (Huang et al.
    2024, arXiv:2501.05441, appendix E).
    """

    paper = "Mescheder et al. 2018, arXiv:1801.04406"
    independent_samples = True
    second_order = True
    bounds_slope = True

    gamma: float = Field(default=10.0, ge=0, description="Weight of the penalty, gamma.")
    by_size: bool = Field(
        default=False,
        description="Multiply gamma by the pixels of an image over the batch size. With gamma "
        "0.0002 it is the rule of Karras et al. 2020 (arXiv:2006.06676, appendix C).",
    )

    def discriminator_terms(
        self, D: Discriminator, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Return half of gamma times the mean squared slope at the reals."""
        from ganzoo.nn import mean_squared_slope, track_samples

        real = track_samples(real)
        gamma = self.gamma
        if self.by_size:
            gamma *= real.shape[2:].numel() / D.progress.batch_size
        return {"r1": gamma / 2 * mean_squared_slope(D(real), real)}
