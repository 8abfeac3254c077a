"""Inception score, kernel distance, precision and recall, by torch-fidelity's functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import Evaluator, SampleSet, Score
from ganzoo.errors import InputError
from ganzoo.progress import report_progress
from ganzoo_zoo.metrics.fidelity.extractors import STANDARD

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

BLOCK, ROWS = 10_000_000, 500
"""Distances that are held at once, 40 MB and four times that while they are sorted; and the fewest
samples whose distances are computed together, as fewer would be slow."""


class InceptionScore(Evaluator):
    r"""Inception score of the fakes: sharp and varied class predictions score high.

    .. math::
        \exp(E_x[KL(p(y|x) \,\|\, p(y))])

    Salimans et al. 2016, section 4: mean and standard deviation over splits. The splits are drawn
    with a fixed seed, as torch-fidelity draws them.
    """

    paper = "Salimans et al. 2016, arXiv:1606.03498"
    higher_is_better = True
    features = STANDARD
    needs_logits = True

    splits: int = Field(
        default=10, ge=1, description="Number of splits that mean and deviation are taken over."
    )

    def evaluate(self, fake: SampleSet, real: SampleSet) -> list[Score]:
        """Score the class logits of the fakes; the reals are not used."""
        from torch_fidelity.metric_isc import isc_features_to_metric

        if len(fake) < self.splits:
            raise InputError(f"needs at least {self.splits} samples, one for each split")
        result = isc_features_to_metric(fake.features.logits, splits=self.splits)
        return [Score(result["inception_score_mean"], std=result["inception_score_std"])]


class KID(Evaluator):
    r"""Kernel inception distance: squared maximum mean discrepancy of the features.

    .. math::
        k(x, y) = (x^\top y / d + 1)^3

    Binkowski et al. 2018, section 4, with the unbiased estimator of equation 4: mean and standard
    deviation over random subsets, which are drawn with a fixed seed, as torch-fidelity draws them.
    Unlike FID it is unbiased for any number of samples, and may be negative. The kernel is computed
    in float64.
    """

    paper = "Binkowski et al. 2018, arXiv:1801.01401"
    higher_is_better = False
    features = STANDARD

    subsets: int = Field(
        default=100, ge=1, description="Number of subsets that mean and deviation are taken over."
    )
    subset_size: int = Field(
        default=1000,
        ge=2,
        description="Samples of each kind in a subset; all of them if there are fewer.",
    )

    def evaluate(self, fake: SampleSet, real: SampleSet) -> list[Score]:
        """Compare random subsets of the pooled features of both sets."""
        import numpy as np
        from torch_fidelity.defaults import DEFAULTS
        from torch_fidelity.metric_kid import kernel_mmd

        fewest = min(len(fake), len(real))
        if fewest < 2:
            raise InputError(f"needs at least 2 samples of each kind, not {fewest}")
        size = min(self.subset_size, fewest)
        # Every subset of all samples would be the same.
        subsets = 1 if size == len(fake) == len(real) else self.subsets
        rng = np.random.RandomState(DEFAULTS["rng_seed"])
        # Subset by subset, so that the features are never all held as float64.
        found: list[float] = []
        while len(found) < subsets:
            chosen = (_draw_subset(samples.features.pooled, size, rng) for samples in (fake, real))
            found.append(kernel_mmd(*chosen))
            report_progress("distances of subsets", len(found), subsets)
        note = (
            f"subsets of {size} samples, not {self.subset_size}"
            if size < self.subset_size
            else None
        )
        std = float(np.std(found)) if len(found) > 1 else None
        return [Score(float(np.mean(found)), std=std, note=note)]


class PrecisionRecall(Evaluator):
    """Improved precision and recall: shares of fakes among reals, and of reals among fakes.

    Kynkäänniemi et al. 2019, equations 1 and 2: a sample is among a set if it is no farther from
    some sample of that set than that one's ``neighborhood``-th nearest neighbour. The paper uses
    VGG16 (``--features vgg16``, with 50,000 samples of each kind). By default the features are
    those of the standard Inception, as in many published tables, so that one pass serves every
    metric. The f-score is the harmonic mean of the two.
    """

    paper = "Kynkäänniemi et al. 2019, arXiv:1904.06991"
    score_names = ("precision", "recall", "f-score")
    higher_is_better = True
    features = STANDARD
    takes_values = True

    neighborhood: int = Field(
        default=3, ge=1, description="Which nearest neighbour bounds a sample."
    )

    def evaluate(self, fake: SampleSet, real: SampleSet) -> list[Score]:
        """Compare the manifolds of the pooled features of both sets."""
        from torch_fidelity.metric_prc import prc_features_to_metric

        fewest, most = sorted((len(fake), len(real)))
        if fewest <= self.neighborhood:
            raise InputError(
                f"needs more than {self.neighborhood} samples of each kind, not {fewest}"
            )
        found = prc_features_to_metric(
            fake.features.pooled,
            real.features.pooled,
            prc_neighborhood=self.neighborhood,
            prc_batch_size=max(ROWS, BLOCK // most),
            save_cpu_ram=True,
            verbose=False,
        )
        note = f"{len(fake)} fakes and {len(real)} reals; counts must be equal to compare"
        return [
            Score(found["precision"], name="precision", note=note if fewest < most else None),
            Score(found["recall"], name="recall"),
            Score(found["f_score"], name="f-score"),
        ]


def _draw_subset(features: Tensor, size: int, rng: np.random.RandomState) -> np.ndarray:
    chosen = rng.choice(len(features), size, replace=False)
    return features.numpy()[chosen].astype("float64")
