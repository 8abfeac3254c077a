"""Metrics by nearest neighbours among features that no dependency has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Evaluator, SampleSet, Score
from ganzoo.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

STANDARD = "inception-v3-compat"


class DensityCoverage(Evaluator):
    r"""Density and coverage: precision and recall that outliers do not decide.

    With balls :math:`B_i` around each of N reals, as wide as the way to its k-th nearest other
    real, and fakes :math:`Y_j`, M of them,

    .. math::
        density = \frac{1}{kM} \sum_j \sum_i 1[Y_j \in B_i], \qquad
        coverage = \frac{1}{N} \sum_i 1[\exists j: Y_j \in B_i]

    Naeem et al. 2020, equations 3 and 4. Density is not bounded by one. A ball has no rim, as in
    the authors' code, so that reals judged by themselves have a density of about one.
    """

    paper = "Naeem et al. 2020, arXiv:2002.09797"
    higher_is_better = True
    features = STANDARD

    k: int = Field(default=5, ge=1, description="Which nearest neighbour bounds a real sample.")

    def evaluate(self, fake: SampleSet, real: SampleSet) -> list[Score]:
        """Count the fakes around each real, among the pooled features of both sets."""
        import torch

        from ganzoo_zoo.metrics.neighbours.distances import distance_blocks

        if len(real) <= self.k or not len(fake):
            raise InputError(
                f"density-coverage needs more than {self.k} reals and a fake, "
                f"not {len(real)} and {len(fake)}"
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
    """How near fakes come to single training samples: a generator may repeat what it has seen.

    ``nearest-distance`` is the mean distance of a fake to its nearest real, over that of a real to
    its nearest other real: about 1 for new samples of the same kind, 0 for copies.
    ``authenticity`` is the share of fakes that lie farther from their nearest real than that real
    from its own nearest other real (Alaa et al. 2022, the authenticity classifier): 0 for copies,
    and for new samples a third to nearly one, the more the features; ``--floor`` says what. Both
    grow for bad samples, too, and so say nothing of quality.
    Copies are found only among the reals that are given, which should be all of the training set.
    """

    paper = "Alaa et al. 2022, arXiv:2102.08921"
    higher_is_better = True
    copies_score_best = False
    features = STANDARD
    on_request = True

    def evaluate(self, fake: SampleSet, real: SampleSet) -> list[Score]:
        """Compare nearest neighbours, among the pooled features of both sets."""
        import torch

        from ganzoo_zoo.metrics.neighbours.distances import distance_blocks

        if len(real) < 2 or not len(fake):
            raise InputError(
                f"memorisation needs at least 2 reals and a fake, not {len(real)} and {len(fake)}"
            )
        fakes, reals = fake.features.pooled, real.features.pooled
        apart = _neighbour_distances(real, 1)
        if not apart.any():
            raise InputError("memorisation needs reals that differ, and each of these has a twin")
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
