"""Checks of evaluators and of feature extractors."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ganzoo.dataset import DataSpec, Samples
from ganzoo.evaluator import Evaluator, Features, LoadedExtractor, SampleSet, Score
from ganzoo.testing.common import ConformanceError, check_options, require, untouched_randomness

COUNT = 400
IMAGES = DataSpec(shape=(1, 8, 8))
POINTS = DataSpec(shape=(2,), modes=((-2.0, 0.0), (2.0, 0.0), (0.0, 3.0)), mode_std=0.1)
ORDER_TOLERANCE = 0.02
"""Relative; scores over random splits move a little with the order."""


def check_scores(evaluator: Evaluator) -> None:
    """Scores are finite and, where there are several, named apart."""
    scores = _judged(evaluator, _reals(evaluator, 1), _reals(evaluator, 2))
    require(
        bool(scores) and all(isinstance(score, Score) for score in scores),
        "evaluate() must return a list of ganzoo.Score",
    )
    for score in scores:
        require(math.isfinite(score.value), f"a score must be finite, not {score.value}")
    names = [score.name for score in scores]
    require(len(set(names)) == len(names), "several scores need names of their own")


def check_order(evaluator: Evaluator) -> None:
    """The order of either set does not matter."""
    fake, real = _reals(evaluator, 1), _reals(evaluator, 2)
    shuffle = torch.randperm(COUNT, generator=torch.Generator().manual_seed(0))
    before = _judged(evaluator, fake, real)
    after = _judged(evaluator, fake.subset(shuffle), real.subset(shuffle))
    for one, other in zip(before, after, strict=True):
        require(
            math.isclose(one.value, other.value, rel_tol=ORDER_TOLERANCE, abs_tol=1e-6),
            f"a score must not depend on the order of samples: {one.value} became {other.value}",
        )


def check_direction(evaluator: Evaluator) -> None:
    """Reals score better than one far-off sample repeated, in the declared direction."""
    real = _reals(evaluator, 1)
    good = _judged(evaluator, real, real)
    bad = _judged(evaluator, _collapsed(evaluator), real)
    sign = 1 if evaluator.higher_is_better else -1
    for one, other in zip(good, bad, strict=True):
        require(
            sign * one.value > sign * other.value,
            f"the reals themselves score {one.value:.4g}, and one far-off sample repeated "
            f"{other.value:.4g}: is higher_is_better the right way around?",
        )


def check_randomness(evaluator: Evaluator) -> None:
    """Judging is repeatable and leaves torch's global random state alone."""
    fake, real = _reals(evaluator, 1), _reals(evaluator, 2)
    with untouched_randomness("evaluate()"):
        first, second = (_judged(evaluator, fake, real) for _ in range(2))
    require(
        [score.value for score in first] == [score.value for score in second],
        "the same samples must score the same each time: seed what is drawn",
    )


evaluator_checks: list[Callable[[Evaluator], None]] = [
    check_options,
    check_scores,
    check_order,
    check_direction,
    check_randomness,
]


def check_features(extractor: LoadedExtractor) -> None:
    """Features are finite, ``(N, d)``, and logits, if there are any, ``(N, k)``."""
    images = _images_for(extractor)
    found = extractor.extract(images)
    for word, tensor in (("features", found.pooled), ("logits", found.logits)):
        if tensor is None:
            continue
        require(
            tensor.dim() == 2 and len(tensor) == len(images),
            f"{word} must be (N, d), one row an image, not {tuple(tensor.shape)}",
        )
        require(
            tensor.dtype == torch.float32 and tensor.device.type == "cpu",
            f"{word} must be float32 on the CPU, not {tensor.dtype} on {tensor.device}",
        )
        require(bool(tensor.isfinite().all()), f"{word} must be finite")


def check_features_by_sample(extractor: LoadedExtractor) -> None:
    """An image's features do not depend on its batch, and are the same each time."""
    images = _images_for(extractor)
    with untouched_randomness("extract()"):
        together = extractor.extract(images).pooled
        alone = extractor.extract(images[:1]).pooled
    require(
        torch.allclose(together[:1], alone, rtol=1e-3, atol=1e-4),
        "an image's features must not depend on its batch: put the network in evaluation mode",
    )


feature_extractor_checks: list[Callable[[LoadedExtractor], None]] = [
    check_features,
    check_features_by_sample,
]


def _images_for(extractor: LoadedExtractor) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    shape = (3, extractor.image_channels, 32, 32)
    return torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)


def _spec(evaluator: Evaluator) -> DataSpec:
    for spec in (IMAGES, POINTS):
        if evaluator.fits(spec):
            return spec
    raise ConformanceError("an evaluator must fit images, or points that know their modes")


def _reals(evaluator: Evaluator, seed: int) -> Samples:
    """Draw samples of a distribution that has several classes, or several modes."""
    spec, rng = _spec(evaluator), torch.Generator().manual_seed(seed)
    if spec.is_image:
        # Dark, grey and light images, so that there are classes to tell apart.
        level = torch.randint(0, 3, (COUNT, 1, 1, 1), generator=rng) * 70
        noise = torch.randint(0, 60, (COUNT, *spec.shape), generator=rng)
        return Samples(spec, (level + noise).byte())
    centres = torch.tensor(spec.modes)
    chosen = torch.randint(len(centres), (COUNT,), generator=rng)
    noise = torch.randn(COUNT, *spec.shape, generator=rng)
    return Samples(spec, centres[chosen] + spec.mode_std * noise)


def _collapsed(evaluator: Evaluator) -> Samples:
    spec = _spec(evaluator)
    far = torch.full((COUNT, *spec.shape), 255 if spec.is_image else 100)
    return Samples(spec, far.byte() if spec.is_image else far.float())


def _judged(evaluator: Evaluator, fake: Samples, real: Samples) -> list[Score]:
    return evaluator.evaluate(SampleSet(fake, _look), SampleSet(real, _look))


def _look(samples: Samples) -> Features:
    """Look through a random projection, and take brightness for a classifier."""
    flat = samples.stored.flatten(1).float() / 255
    projection = torch.randn(flat.shape[1], 6, generator=torch.Generator().manual_seed(0))
    brightness = flat.mean(1, keepdim=True) * 9
    return Features(flat @ projection, -((brightness - torch.arange(10)).square()))
