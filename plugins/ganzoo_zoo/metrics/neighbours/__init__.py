"""Nearest-neighbour metrics that torch-fidelity lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Evaluator, SampleSet, Score
from ganzoo.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

STANDARD = "inception-v3-compat"


class DensityCoverage(Evaluator):
    r"""Density and coverage: precision and recall that are robust to outliers.

    For N reals with balls :math:`B_i` around them, whose radius is the distance to the k-th nearest
    other real, and M fakes :math:`Y_j`,

    .. math::
        density = \frac{1}{kM} \sum_j \sum_i 1[Y_j \in B_i], \qquad
        coverage = \frac{1}{N} \sum_i 1[\exists j: Y_j \in B_i]

    Naeem et al. 2020, equations 3 and 4. Density is not bounded by one. The balls are open, as in
    the authors' code, so that reals compared with themselves have a density of about one.
    """

    paper = "Naeem et al. 2020, arXiv:2002.09797"
    score_names = ("density", "coverage")
    higher_is_better = True
    features = STANDARD
    takes_values = True

    k: int = Field(default=5, ge=1, description="Which nearest neighbour bounds a real sample.")

    def evaluate(self, fake: SampleSet, real: SampleSet) -> list[Score]:
        """Count the fakes around each real, among the pooled features of both sets."""
        import torch

        from ganzoo_zoo.metrics.neighbours.distances import distance_blocks

        if len(real) <= self.k or not len(fake):
            raise InputError(
                f"needs more than {self.k} reals and a fake, not {len(real)} and {len(fake)}"
            )
        fakes, reals = fake.features.pooled, real.features.pooled
        reach = _neighbour_distances(real, self.k)
        away = distance_blocks(reals, fakes, "distances of reals to fakes")
        inside = torch.cat([(block < reach[rows, None]).sum(dim=1) for rows, block in away])
        return [
            Score(inside.sum().item() / (self.k * len(fakes)), name="density"),
            Score((inside > 0).double().mean().item(), name="coverage"),
        ]


class Memorisation(Evaluator):
    """Memorisation: the distance of fakes to single training samples, which a generator may repeat.

    ``nearest-distance`` is the mean distance of a fake to its nearest real, divided by that of a
    real to its nearest other real: about 1 for new samples of the same kind, 0 for copies.
    ``authenticity`` is the share of fakes that lie farther from their nearest real than that real
    from its own nearest other real (Alaa et al. 2022, the authenticity classifier). It is 0 for
    copies; for new samples it is between a third and nearly one, growing with the number of
    features, and ``--floor`` measures it. Both grow for bad samples as well, and do not measure
    quality. Copies are found only among the given reals, which should be the whole training set.
    """

    paper = "Alaa et al. 2022, arXiv:2102.08921"
    score_names = ("nearest-distance", "authenticity")
    higher_is_better = True
    copies_score_best = False
    features = STANDARD
    takes_values = True
    on_request = True

    def evaluate(self, fake: SampleSet, real: SampleSet) -> list[Score]:
        """Compare nearest neighbours, among the pooled features of both sets."""
        import torch

        from ganzoo_zoo.metrics.neighbours.distances import distance_blocks

        if len(real) < 2 or not len(fake):
            raise InputError(f"needs at least 2 reals and a fake, not {len(real)} and {len(fake)}")
        fakes, reals = fake.features.pooled, real.features.pooled
        apart = _neighbour_distances(real, 1)
        if not apart.any():
            raise InputError("needs reals that differ, and each of these has a duplicate")
        away = distance_blocks(fakes, reals, "distances of fakes to reals")
        found = [block.min(dim=1) for _, block in away]
        nearest = torch.cat([part.values for part in found])
        authentic = nearest > apart[torch.cat([part.indices for part in found])]
        return [
            Score((nearest.mean() / apart.mean()).item(), name="nearest-distance"),
            Score(authentic.double().mean().item(), name="authenticity"),
        ]


def _neighbour_distances(real: SampleSet, k: int) -> Tensor:
    from ganzoo_zoo.metrics.neighbours.distances import neighbour_distances

    return real.derive((__name__, k), lambda: neighbour_distances(real.features.pooled, k))
