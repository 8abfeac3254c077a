"""Mode coverage: of toy sets with known modes, and of the classes of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ganzoo import DataSpec, Evaluator, SampleSet, Score
from ganzoo.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

STDS = 3.0
"""Reach of a mode of points, in standard deviations, unless another is chosen."""


class Modes(Evaluator):
    """Number of captured modes, and how the samples are distributed over them.

    For points whose true modes are known, a sample is of high quality if it lies within ``stds``
    standard deviations of its nearest mode. A mode is captured if it is the nearest to a
    high-quality sample. They are counted as in VEEGAN (Srivastava et al. 2017,
    section 4.1) and PacGAN (Lin et al. 2018, section 4.1), which evaluate 2,500 samples.

    For images with classes and a classifier of their own, the modes are the classes. A class is
    captured if the classifier assigns a fake to it, and ``reverse-kl`` is the divergence of the
    fakes' classes from the reals', in nats,

    .. math::
        KL(p_f \\,\\|\\, p_r) = \\sum_c p_f(c) \\log \\frac{p_f(c)}{p_r(c)}

    as in Metz et al. 2017, section 3.3.1, and PacGAN, section 4.2, which evaluate 26,000 samples
    of stacked MNIST. The reals' classes are their labels, or the classifier's if they have none.
    """

    paper = "Srivastava et al. 2017, arXiv:1705.07761; Lin et al. 2018, arXiv:1712.04086"
    score_names = ("modes", "high-quality", "reverse-kl")
    higher_is_better = True

    stds: float = Field(
        default=STDS, gt=0, description="Reach of a mode of points, in standard deviations."
    )

    def extractor(self, data: DataSpec) -> str | None:
        """Return the data's own classifier for classes, and none for points."""
        return data.features if data.modes is None else None

    def ranks(self, data: DataSpec) -> bool:
        """Rank points, which have no other metric."""
        return data.modes is not None

    def fits(self, data: DataSpec) -> bool:
        """Accept data with known modes, or with classes and a classifier of their own."""
        return data.modes is not None or bool(data.classes and data.features)

    def evaluate(self, fake: SampleSet, real: SampleSet) -> list[Score]:
        """Count the modes of the reals that the fakes capture."""
        spec = real.samples.spec
        if not self.fits(spec):
            raise InputError(
                "needs data with known modes, such as ring, or data with classes and a "
                "classifier of their own, such as digits"
            )
        if spec.modes is not None:
            return self._score_points(fake, spec)
        return _score_classes(fake, real)

    def _score_points(self, fake: SampleSet, spec: DataSpec) -> list[Score]:
        captured, good = count_modes(fake.samples.stored, spec, self.stds)
        return [
            Score(float(captured), name="modes", note=f"of {len(spec.modes or ())}"),
            Score(good, name="high-quality", note="share of the samples"),
        ]


def count_modes(points: Tensor, spec: DataSpec, stds: float = STDS) -> tuple[int, float]:
    """Return how many modes points capture, and the share of them that are of high quality.

    Args:
        points: Generated points ``(N, D)``.
        spec: The data, with known modes.
        stds: Reach of a mode, in standard deviations.
    """
    import torch

    assert spec.modes is not None
    assert spec.mode_std is not None  # a DataSpec has both or neither
    # The faster matrix product loses digits, which narrow modes far from zero need.
    plain = "donot_use_mm_for_euclid_dist"
    distances = torch.cdist(points, torch.tensor(spec.modes), compute_mode=plain)
    distance, nearest = distances.min(dim=1)
    good = distance <= stds * spec.mode_std
    return len(nearest[good].unique()), good.float().mean().item()


def _score_classes(fake: SampleSet, real: SampleSet) -> list[Score]:
    classes = real.samples.spec.classes
    assert classes is not None  # as evaluate has checked
    labels = real.samples.labels
    shares = _shares(_predict_classes(fake, classes), classes)
    wanted = _shares(_predict_classes(real, classes) if labels is None else labels, classes)
    there = shares > 0
    # A class without a real would make the divergence infinite.
    floored = wanted.clamp(min=1 / len(real))
    divergence = (shares * (shares / floored).log())[there].sum().item()
    source = "what the classifier takes the reals for" if labels is None else "the reals' labels"
    absent = int((there & (wanted == 0)).sum())
    more = f"; {absent} of the classes have no real, and count as one" if absent else ""
    return [
        Score(float(there.sum()), name="modes", note=f"of {classes} classes"),
        Score(divergence, name="reverse-kl", note=f"from {source}{more}", higher_is_better=False),
    ]


def _predict_classes(samples: SampleSet, classes: int) -> Tensor:
    logits = samples.features.logits
    if logits is None or logits.shape[1] != classes:
        found = "no classifier" if logits is None else f"a classifier of {logits.shape[1]}"
        raise InputError(
            f"needs a classifier of the data's {classes} classes, and the feature extractor is "
            f"{found}; drop --features"
        )
    return logits.argmax(dim=1)


def _shares(labels: Tensor, classes: int) -> Tensor:
    return labels.bincount(minlength=classes).double() / len(labels)
