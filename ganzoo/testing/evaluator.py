"""Checks of evaluators and of feature extractors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo.protocols.dataset import DataSpec, Samples
from ganzoo.protocols.evaluator import Evaluator, Features, LoadedExtractor, SampleSet, Score
from ganzoo.testing.common import check_options, explain_errors, require, untouched_randomness

COUNT = 400
"""Samples in a set."""
LEVELS = (30.0, 100.0, 170.0)
"""Mean brightness of the images of each class."""
IMAGES = DataSpec(shape=(1, 8, 8))
LABELLED = DataSpec(shape=(1, 8, 8), classes=len(LEVELS), features="brightness")
MODE_STD = 0.1
LARGER = DataSpec(shape=(1, 16, 16))
ROWS = DataSpec(shape=(3,))
POINTS = DataSpec(shape=(2,), modes=((-2.0, 0.0), (2.0, 0.0), (0.0, 3.0)), mode_std=MODE_STD)
ORDER_TOLERANCE = 0.02
"""Relative; a score over random splits may change a little with the order."""
REAL_DRAWS = 6
"""Other draws of reals to compare with a copy of the reals."""
MAX_DEVIATIONS = 3
"""Standard deviations between draws by which a score may fall short."""


def check_scores(evaluator: Evaluator) -> None:
    """Scores are finite, and several scores have different names, which are those declared."""
    for spec in _specs(evaluator):
        scores = _score_samples(evaluator, _draw_reals(spec, 1), _draw_reals(spec, 2))
        for score in scores:
            require(math.isfinite(score.value), f"a score must be finite, not {score.value}")
        names = [score.name for score in scores]
        require(len(set(names)) == len(names), "several scores need different names")
        declared = type(evaluator).score_names
        require(
            not declared or set(names) <= {*declared, None},
            f"score_names declares {', '.join(declared)}, and the scores are called "
            f"{', '.join(map(str, names))}",
        )


def check_order(evaluator: Evaluator) -> None:
    """Scores do not depend on the order of either set."""
    for spec in _specs(evaluator):
        fake, real = _draw_reals(spec, 1), _draw_reals(spec, 2)
        before = _score_samples(evaluator, fake, real)
        if evaluator.needs_pairs:  # which stay together
            order = _brightness(fake).argsort()
            after = _score_samples(evaluator, fake.subset(order), real.subset(order))
        else:
            # Sort them in opposite directions, so that every part and every pair changes.
            ours, theirs = _brightness(fake).argsort(), _brightness(real).argsort(descending=True)
            after = _score_samples(evaluator, fake.subset(ours), real.subset(theirs))
        for one, other in _pair_scores(before, after):
            same = math.isclose(one.value, other.value, rel_tol=ORDER_TOLERANCE, abs_tol=1e-6)
            require(
                same,
                "a score must not depend on the order of samples: "
                f"{one.value} became {other.value}",
            )


def check_direction(evaluator: Evaluator) -> None:
    """Reals score better than one repeated outlier; worse if ``copies_score_best`` is False."""
    for spec in _specs(evaluator):
        real = _draw_reals(spec, 1)
        good = _score_samples(evaluator, real, real)
        bad = _score_samples(evaluator, _build_collapsed(spec), real)
        for one, other in _pair_scores(good, bad):
            sign = _direction(evaluator, one)
            require(
                sign * one.value > sign * other.value,
                f"the reals themselves score {one.value:.4g}, and one repeated outlier scores "
                f"{other.value:.4g}: is higher_is_better the right way around?",
            )


def check_identical(evaluator: Evaluator) -> None:
    """Copies of the reals score as well as other draws of reals, or better.

    If ``copies_score_best`` is False, they score as badly or worse.
    """
    for spec in _specs(evaluator):
        real = _draw_reals(spec, 1)
        same = _score_samples(evaluator, real, real)
        others = [
            _score_samples(evaluator, _draw_reals(spec, 2 + i), real) for i in range(REAL_DRAWS)
        ]
        wanted = "best" if evaluator.copies_score_best else "worst"
        for paired in zip(*(_pair_scores(same, other) for other in others), strict=True):
            found, sign = paired[0][0].value, _direction(evaluator, paired[0][0])
            drawn = torch.tensor([other.value for _, other in paired], dtype=torch.float64)
            slack = MAX_DEVIATIONS * drawn.std() + ORDER_TOLERANCE * drawn.mean().abs()
            require(
                bool(sign * (drawn.mean() - found) <= slack),
                f"copies of the reals score {found:.4g}, and other draws of reals "
                f"{drawn.mean():.4g}: copies must score {wanted}, or nearly so, "
                f"with copies_score_best = {evaluator.copies_score_best}",
            )


def check_randomness(evaluator: Evaluator) -> None:
    """Scores are repeatable, and ``evaluate()`` leaves torch's global random state alone."""
    for spec in _specs(evaluator):
        fake, real = _draw_reals(spec, 1), _draw_reals(spec, 2)
        with untouched_randomness("evaluate()"):
            first, second = (_score_samples(evaluator, fake, real) for _ in range(2))
        require(
            [score.value for score in first] == [score.value for score in second],
            "the same samples must score the same each time: seed random numbers",
        )


def check_side_effects(evaluator: Evaluator) -> None:
    """``evaluate()`` changes neither set, which it shares with every other metric."""
    for spec in _specs(evaluator):
        fake, real = (_draw_reals(spec, seed) for seed in (1, 2))
        sets = [_fake_set(evaluator, fake, real), _sample_set(evaluator, real)]
        tensors = [tensor for given in sets for tensor in _tensors(evaluator, given)]
        before = [tensor.clone() for tensor in tensors]
        _score_sets(evaluator, *sets)
        require(
            all(torch.equal(tensor, was) for tensor, was in zip(tensors, before, strict=True)),
            "evaluate() must not change samples or features in place: other metrics share them",
        )


evaluator_checks: list[Callable[[Evaluator], None]] = [
    check_options,
    check_scores,
    check_order,
    check_direction,
    check_identical,
    check_randomness,
    check_side_effects,
]
"""Checks of evaluators."""


def check_features(extractor: LoadedExtractor) -> None:
    """Features are finite and ``(N, d)``; logits, if there are any, are finite and ``(N, k)``."""
    images = _draw_images(extractor)
    original = images.clone()
    found = _run_extractor(extractor, images)
    require(torch.equal(images, original), "extract() must not change its images in place")
    for word, tensor in (("features", found.pooled), ("logits", found.logits)):
        if tensor is not None:
            require(bool(tensor.isfinite().all()), f"{word} must be finite")


def check_features_by_sample(extractor: LoadedExtractor) -> None:
    """An image's features do not depend on its batch or on random numbers."""
    images = _draw_images(extractor)
    with untouched_randomness("extract()"):
        together = _run_extractor(extractor, images).pooled
        alone = _run_extractor(extractor, images[:1]).pooled
    require(
        torch.allclose(together[:1], alone, rtol=1e-3, atol=1e-4),
        "an image's features must not depend on its batch: put the network in evaluation mode",
    )


feature_extractor_checks: list[Callable[[LoadedExtractor], None]] = [
    check_features,
    check_features_by_sample,
]
"""Checks of loaded feature extractors."""


def _draw_images(extractor: LoadedExtractor) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    shape = (3, extractor.image_channels, 32, 32)
    return torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)


def _run_extractor(extractor: LoadedExtractor, images: Tensor) -> Features:
    with explain_errors(
        f"extract() must take uint8 images of any size, here {tuple(images.shape)}, with "
        "image_channels channels"
    ):
        found = extractor.extract(images)
    require(
        isinstance(found, Features),
        f"extract() must return ganzoo.Features, not {type(found).__name__}",
    )
    for word, tensor in (("features", found.pooled), ("logits", found.logits)):
        if tensor is None:
            continue
        require(
            tensor.dim() == 2 and len(tensor) == len(images),
            f"{word} of {len(images)} images must be (N, d), one row per image, not "
            f"{tuple(tensor.shape)}; squeeze() also drops the dimension of a batch of one",
        )
        require(
            tensor.dtype == torch.float32 and tensor.device.type == "cpu",
            f"{word} must be float32 on the CPU, not {tensor.dtype} on {tensor.device}",
        )
    return found


def _specs(evaluator: Evaluator) -> list[DataSpec]:
    """Return the data to try it on: images, with classes if it needs them, points and rows.

    The data with classes declare a feature extractor of their own, which is a classifier.
    """
    pictures = [spec for spec in (IMAGES, LABELLED, LARGER) if evaluator.fits(spec)][:1]
    specs = [*pictures, *(spec for spec in (POINTS, ROWS) if evaluator.fits(spec))]
    require(
        bool(specs),
        "fits() must accept images, images with classes and a feature extractor of their own, or "
        "points with modes",
    )
    return specs


def _direction(evaluator: Evaluator, score: Score) -> int:
    """Return 1 if the reals themselves must score high, and -1 if low."""
    declared = score.higher_is_better
    higher = getattr(evaluator, "higher_is_better", None) if declared is None else declared
    require(
        isinstance(higher, bool),
        "an evaluator must declare higher_is_better = True or False",
    )
    return 1 if higher == evaluator.copies_score_best else -1


def _draw_reals(spec: DataSpec, seed: int) -> Samples:
    """Draw samples from a distribution with several classes or modes."""
    rng = torch.Generator().manual_seed(seed)
    if spec.is_image:
        # Dark, grey and light images, as classes that can be told apart.
        level = torch.randint(0, len(LEVELS), (COUNT, 1, 1, 1), generator=rng)
        noise = torch.randint(0, 60, (COUNT, *spec.shape), generator=rng)
        labels = level.flatten() if spec.classes else None
        return Samples(spec, (level * 70 + noise).byte(), labels)
    centres = torch.tensor(spec.modes or POINTS.modes)[:, : spec.size]
    centres = F.pad(centres, (0, spec.size - centres.shape[1]))
    chosen = torch.randint(len(centres), (COUNT,), generator=rng)
    noise = torch.randn(COUNT, *spec.shape, generator=rng)
    return Samples(spec, centres[chosen] + MODE_STD * noise)


def _build_collapsed(spec: DataSpec) -> Samples:
    far = torch.full((COUNT, *spec.shape), 255 if spec.is_image else 100)
    labels = torch.arange(COUNT) % spec.classes if spec.classes else None
    return Samples(spec, far.byte() if spec.is_image else far.float(), labels)


def _brightness(samples: Samples) -> Tensor:
    return samples.stored.flatten(1).float().sum(1)


def _score_samples(evaluator: Evaluator, fake: Samples, real: Samples) -> list[Score]:
    return _score_sets(evaluator, _fake_set(evaluator, fake, real), _sample_set(evaluator, real))


def _fake_set(evaluator: Evaluator, fake: Samples, real: Samples) -> SampleSet:
    """Return fakes with what the metric needs: of pairs, as of a model that returns its sources."""
    if not evaluator.needs_pairs:
        return _sample_set(evaluator, fake)
    spec = fake.spec.model_copy(update={"source": fake.spec.shape})
    return _sample_set(evaluator, replace(fake, spec=spec, sources=fake.stored), real)


def _score_sets(evaluator: Evaluator, fake: SampleSet, real: SampleSet) -> list[Score]:
    with explain_errors(
        "evaluate() must judge what fits() accepts; it gets logits with needs_logits = True only"
    ):
        scores = evaluator.evaluate(fake, real)
    require(
        isinstance(scores, list) and bool(scores) and all(isinstance(s, Score) for s in scores),
        "evaluate() must return a list of ganzoo.Score",
    )
    return scores


def _pair_scores(before: list[Score], after: list[Score]) -> list[tuple[Score, Score]]:
    require(
        [score.name for score in before] == [score.name for score in after],
        "evaluate() must return scores of the same names for any samples",
    )
    return list(zip(before, after, strict=True))


def _sample_set(
    evaluator: Evaluator, samples: Samples, targets: Samples | None = None
) -> SampleSet:
    return SampleSet(samples, lambda found: _project_features(evaluator, found), targets)


def _tensors(evaluator: Evaluator, given: SampleSet) -> Iterator[Tensor]:
    yield given.samples.stored
    if evaluator.extractor(given.samples.spec) is not None:
        yield from (found for found in vars(given.features).values() if found is not None)


def _project_features(evaluator: Evaluator, samples: Samples) -> Features:
    """Extract features by a random projection, and logits from the brightness."""
    spec = samples.spec
    if evaluator.takes_values and not spec.is_plain_image:
        return Features(samples.stored.flatten(1).float())
    require(
        evaluator.extractor(spec) is not None,
        "an evaluator that uses features must name their extractor: features = '...'",
    )
    flat = samples.stored.flatten(1).float() / 255
    projection = torch.randn(flat.shape[1], 6, generator=torch.Generator().manual_seed(0))
    brightness = flat.mean(1, keepdim=True)
    centres = torch.tensor(LEVELS) / 255 if spec.classes else torch.arange(10) / 9
    logits = -((9 * (brightness - centres)).square())
    return Features(flat @ projection, logits if evaluator.needs_logits or spec.classes else None)
