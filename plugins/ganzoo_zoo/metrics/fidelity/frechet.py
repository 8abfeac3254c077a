"""The Fréchet inception distance, and its extrapolation to infinitely many samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganzoo import DataSpec, Evaluator, SampleSet, Score
from ganzoo.errors import InputError
from ganzoo.progress import report_progress
from ganzoo_zoo.metrics.fidelity.extractors import STANDARD

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

CHUNK = 4096
"""Samples whose features are held as float64 at once."""
COUNTS = 15
"""Sample counts that the line is fitted to."""
SEED = 2020
"""Seed of the choice of samples at each count."""


class FID(Evaluator):
    r"""Fréchet inception distance between the features of fakes and reals.

    .. math::
        \|\mu_r - \mu_f\|^2 + \mathrm{tr}(\Sigma_r + \Sigma_f - 2 (\Sigma_r \Sigma_f)^{1/2})

    Heusel et al. 2017, equation 6. It is biased upwards for few samples, so that only scores at
    equal sample counts compare. Means and covariances are computed in float64.
    """

    paper = "Heusel et al. 2017, arXiv:1706.08500"
    higher_is_better = False
    features = STANDARD

    def ranks(self, data: DataSpec) -> bool:
        """Rank snapshots by it if they make images."""
        return data.is_plain_image

    def evaluate(self, fake: SampleSet, real: SampleSet) -> list[Score]:
        """Compare Gaussians fitted to the pooled features of both sets."""
        fewest = min(len(fake), len(real))
        if fewest < 2:
            raise InputError(f"needs at least 2 samples of each kind, not {fewest}")
        value = distance(*(_set_statistics(samples) for samples in (fake, real)))
        width = fake.features.pooled.shape[1]
        note = f"{fewest} samples are few for {width} features" if fewest < 2 * width else None
        return [Score(value, note=note)]


class FIDInfinity(Evaluator):
    r"""FID extrapolated to infinitely many fakes: a line in 1/N fitted at 15 counts, at zero.

    The bias of FID falls as 1/N, by an amount that depends on the generator (Chong and Forsyth
    2020, section 3), so that equal counts alone do not make two generators comparable. The counts
    are evenly spaced up to all fakes, from a tenth of them or twice the number of features: 5,000
    to 50,000 in the paper. The fakes at each count are a random choice with a fixed seed, without
    the paper's Sobol sequences. All reals are used, and their bias remains.
    """

    paper = "Chong and Forsyth 2020, arXiv:1911.07023"
    higher_is_better = False
    features = STANDARD
    on_request = True

    def evaluate(self, fake: SampleSet, real: SampleSet) -> list[Score]:
        """Extrapolate the distance between growing subsets of the fakes and all reals."""
        import numpy as np

        features, count = fake.features.pooled, len(fake)
        width = features.shape[1]
        if count < 4 * width or len(real) < 2:
            raise InputError(
                f"needs at least {4 * width} fakes, four for each of {width} features, "
                f"and 2 reals, not {count} and {len(real)}"
            )
        fewest = max(count // 10, 2 * width)
        counts = np.linspace(fewest, count, COUNTS).round().astype(int)
        reals, rng = _set_statistics(real), np.random.default_rng(SEED)
        # Ordered by their features, so that the order of the samples does not matter.
        ordered = features.numpy().sum(axis=1, dtype=np.float64).argsort(kind="stable")
        values: list[float] = []
        for part in counts:
            chosen = ordered[rng.permutation(count)[:part]]
            values.append(distance(statistics(features, chosen), reals))
            report_progress("distances at growing counts", len(values), COUNTS)
        line = np.polynomial.Polynomial.fit(1 / counts, values, 1)
        residual = np.sqrt(np.mean((line(1 / counts) - values) ** 2))
        note = (
            f"a line through {COUNTS} counts from {fewest:,} to {count:,}, which misses them by "
            f"{residual:.2g} on average; {values[-1]:.4g} with all"
        )
        return [Score(float(line(0.0)), note=note)]


def _set_statistics(samples: SampleSet) -> dict[str, np.ndarray]:
    return samples.derive((__name__, "gaussian"), lambda: statistics(samples.features.pooled))


def statistics(features: Tensor, chosen: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return mean and covariance of features as float64, by torch-fidelity's names.

    Args:
        features: ``(N, d)`` on the CPU; they are never copied as a whole.
        chosen: Rows to look at; all if None.
    """
    import numpy as np

    rows = features.numpy()
    order = np.arange(len(rows)) if chosen is None else chosen
    # Sorted, so that rows that are read together lie together in memory.
    parts = np.array_split(np.sort(order), -(-len(order) // CHUNK))
    mean = sum(rows[part].sum(axis=0, dtype=np.float64) for part in parts) / len(order)
    covariance = np.zeros((rows.shape[1], rows.shape[1]))
    for part in parts:
        centred = rows[part] - mean
        covariance += centred.T @ centred
    covariance /= len(order) - 1
    return {"mu": mean, "sigma": covariance}


def distance(fakes: dict[str, np.ndarray], reals: dict[str, np.ndarray]) -> float:
    """Return the Fréchet distance of two Gaussians, at least zero despite rounding."""
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    found = fid_statistics_to_metric(fakes, reals, verbose=False)["frechet_inception_distance"]
    return max(found, 0.0)
