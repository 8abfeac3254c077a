"""Metrics of torch-fidelity: against plain numpy, counts by hand, and its own command line."""

import json
import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import scipy.linalg
import torch
from PIL import Image

from ganzoo import DataSpec, Features, Samples, SampleSet, open_dataset
from ganzoo.api.evaluation import evaluate
from ganzoo.errors import InputError
from ganzoo_zoo.metrics.fidelity import (
    FID,
    KID,
    FIDInfinity,
    InceptionScore,
    InceptionV3,
    PrecisionRecall,
    frechet,
    scores,
)

REL = 1e-6


def looked(pooled, logits=None):
    """Make a set of samples that have these features."""
    pooled = torch.as_tensor(np.asarray(pooled), dtype=torch.float32)
    logits = None if logits is None else torch.as_tensor(logits, dtype=torch.float32)
    samples = Samples(DataSpec(shape=(1,)), torch.zeros(len(pooled), 1))
    return SampleSet(samples, lambda found: Features(pooled, logits))


def line(*values):
    return looked([[float(value)] for value in values])


def some(count, seed, width=24):
    """Draw features that are correlated, not centred and never negative, as a network's are."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).normal(size=(width, width)) / 3
    return np.maximum(rng.normal(size=(count, width)) @ mix + 0.5 + 0.02 * seed, 0)


@pytest.fixture(scope="module")
def sets():
    fake, real = some(700, seed=1), some(900, seed=2)
    return looked(fake), looked(real)


def in_numpy(samples):
    return samples.features.pooled.double().numpy()


def value_of(judge, fake, real):
    (score,) = judge.evaluate(fake, real)
    return score.value


# FID --------------------------------------------------------------------------------------------


def numpy_fid(fake, real):
    """Heusel et al. 2017, equation 6, by symmetric square roots."""
    means = [features.mean(0) for features in (fake, real)]
    covariances = [np.cov(features, rowvar=False) for features in (fake, real)]
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ covariances[1] @ root).clip(0)).sum()
    return (
        ((means[0] - means[1]) ** 2).sum() + sum(np.trace(each) for each in covariances) - 2 * cross
    )


def test_fid_agrees_with_numpy(sets):
    expected = numpy_fid(*map(in_numpy, sets))
    assert expected > 0.01
    assert value_of(FID(), *sets) == pytest.approx(expected, rel=REL)


@pytest.mark.parametrize("width", [24, 48])
def test_fid_agrees_with_a_matrix_root_of_scipy(width):
    """As the paper's own code has it: :func:`scipy.linalg.sqrtm` of the covariances' product."""
    fake, real = (looked(some(700 + seed, seed, width)) for seed in (1, 2))
    means, covariances = zip(
        *((each.mean(0), np.cov(each, rowvar=False)) for each in map(in_numpy, (fake, real))),
        strict=True,
    )
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(sum(covariances) - 2 * root.real)
    assert value_of(FID(), fake, real) == pytest.approx(expected, rel=REL)


def test_fid_far_from_zero_keeps_its_digits(sets):
    """Features whose mean is a thousand deviations away are what 32 bits cannot square."""
    fake, real = (looked(in_numpy(each) + 1000.0) for each in sets)
    expected = numpy_fid(in_numpy(fake), in_numpy(real))
    assert value_of(FID(), fake, real) == pytest.approx(expected, rel=1e-5)


def test_fid_by_hand():
    """Uncorrelated features: squared differences of the means, and of the deviations."""
    square = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)], dtype=float)
    fake, real = square * (3, 1) + (5, 0), square * (1, 2)
    deviation = math.sqrt(4 / 3)
    expected = 25 + (deviation * (3 - 1)) ** 2 + (deviation * (2 - 1)) ** 2
    assert value_of(FID(), looked(fake), looked(real)) == pytest.approx(expected, rel=REL)


def test_statistics_are_the_same_by_any_chunk(sets, monkeypatch):
    features = sets[0].features.pooled
    whole = frechet.statistics(features)
    monkeypatch.setattr(frechet, "CHUNK", 13)
    parts = frechet.statistics(features)
    assert np.allclose(parts["mu"], whole["mu"], rtol=1e-13)
    assert np.allclose(parts["sigma"], whole["sigma"], rtol=1e-10, atol=1e-12)
    assert np.allclose(whole["sigma"], np.cov(in_numpy(sets[0]), rowvar=False), rtol=1e-10)


def test_fid_is_never_below_zero():
    for seed in range(5):
        same = looked(some(30, seed))
        assert 0 <= value_of(FID(), same, same) < 1e-5


def test_fid_ranks_images_alone():
    assert FID().ranks(DataSpec(shape=(3, 8, 8)))
    assert not FID().ranks(DataSpec(shape=(2,)))
    for other in (KID(), PrecisionRecall(), InceptionScore(), FIDInfinity()):
        assert not other.ranks(DataSpec(shape=(3, 8, 8)))


# FID without end --------------------------------------------------------------------------------


def test_fid_infinity_is_nearer_to_the_truth():
    """Fakes and reals of one distribution: FID is all bias, which the line takes away."""
    width, real = 16, looked(np.random.default_rng(0).normal(size=(50_000, 16)))
    fake = looked(np.random.default_rng(1).normal(size=(1000, width)))
    plain, extrapolated = value_of(FID(), fake, real), value_of(FIDInfinity(), fake, real)
    assert plain > 0.05
    assert abs(extrapolated) < plain / 5


def test_fid_infinity_lays_the_line_by_least_squares(sets):
    """The line again, through the same counts, by its formula."""
    fake, real = sets
    (score,) = FIDInfinity().evaluate(fake, real)
    features = in_numpy(fake)[in_numpy(fake).sum(1).argsort(kind="stable")]
    rng = np.random.default_rng(frechet.SEED)
    counts = np.linspace(70, 700, 15).round().astype(int)
    found = np.array(
        [numpy_fid(features[rng.permutation(700)[:count]], in_numpy(real)) for count in counts]
    )
    inverse = 1 / counts
    slope = ((inverse - inverse.mean()) * found).sum() / ((inverse - inverse.mean()) ** 2).sum()
    assert slope > 0
    assert score.value == pytest.approx(found.mean() - slope * inverse.mean(), rel=REL)
    assert score.note.startswith("a line through 15 counts from 70 to 700, which misses them by")
    assert score.note.endswith(f"{value_of(FID(), fake, real):.4g} with all")


def test_fid_infinity_does_not_depend_on_the_order(sets):
    fake, real = sets
    turned = looked(in_numpy(fake)[::-1].copy())
    assert value_of(FIDInfinity(), turned, real) == pytest.approx(
        value_of(FIDInfinity(), fake, real), rel=1e-9
    )


def test_fid_infinity_needs_counts_to_choose_from():
    with pytest.raises(InputError, match="at least 96 fakes, four for each of 24 features"):
        FIDInfinity().evaluate(looked(some(95, 1)), looked(some(200, 2)))
    assert FIDInfinity.on_request


# KID --------------------------------------------------------------------------------------------


def numpy_mmd(fake, real):
    """Binkowski et al. 2018, equation 4, with the cubic kernel."""

    def kernel(one, other):
        return (one @ other.T / one.shape[1] + 1) ** 3

    def apart(one):
        matrix, count = kernel(one, one), len(one)
        return (matrix.sum() - np.trace(matrix)) / (count * (count - 1))

    return apart(fake) + apart(real) - 2 * kernel(fake, real).mean()


def test_kid_agrees_with_numpy(sets):
    """The subsets are drawn as torch-fidelity draws them: fakes first, without replacement."""
    fake, real = map(in_numpy, sets)
    rng = np.random.RandomState(2020)
    expected = [
        numpy_mmd(
            fake[rng.choice(len(fake), 60, replace=False)],
            real[rng.choice(len(real), 60, replace=False)],
        )
        for _ in range(12)
    ]
    (score,) = KID(subsets=12, subset_size=60).evaluate(*sets)
    assert score.value == pytest.approx(np.mean(expected), rel=REL)
    assert score.std == pytest.approx(np.std(expected), rel=REL)
    assert score.note is None


def test_kid_equals_torch_fidelity_in_64_bits(sets):
    from torch_fidelity.metric_kid import kid_features_to_metric

    theirs = kid_features_to_metric(
        *(each.features.pooled.double() for each in sets),
        kid_subsets=5,
        kid_subset_size=200,
        verbose=False,
    )
    (score,) = KID(subsets=5, subset_size=200).evaluate(*sets)
    assert score.value == theirs["kernel_inception_distance_mean"]
    assert score.std == theirs["kernel_inception_distance_std"]


def test_kid_by_hand():
    """In one dimension, of 0 and 1 against 1 and 2: 1 + 27 - 2 (1 + 1 + 8 + 27) / 4."""
    assert value_of(KID(subsets=3), line(0, 1), line(1, 2)) == pytest.approx(9.5, rel=REL)


def test_small_subsets_are_said(sets):
    (score,) = KID(subsets=3).evaluate(*sets)
    assert score.note == "subsets of 700 samples, not 1000"
    assert score.std > 0, "the reals are more, and differ from subset to subset"


def test_one_subset_of_all_is_enough(sets):
    fake, real = sets[0], looked(in_numpy(sets[1])[:700])
    (score,) = KID().evaluate(fake, real)
    assert score.value == pytest.approx(numpy_mmd(in_numpy(fake), in_numpy(real)), rel=REL)
    assert score.std is None


def test_kid_needs_two_samples_of_each_kind():
    with pytest.raises(InputError, match="at least 2 samples"):
        KID().evaluate(line(1), line(1, 2))


# Precision and recall ---------------------------------------------------------------------------


def numpy_among(some_samples, others, k):
    """Kynkäänniemi et al. 2019, equations 1 and 2: the share that lies in a ball of the others."""
    within = np.linalg.norm(others[:, None] - others, axis=2)
    reach = np.sort(within, axis=1)[:, k]
    away = np.linalg.norm(some_samples[:, None] - others, axis=2)
    return (away <= reach).any(axis=1).mean()


@pytest.mark.parametrize("k", [1, 3, 10])
def test_precision_and_recall_agree_with_numpy(sets, k, monkeypatch):
    monkeypatch.setattr(scores, "BLOCK", 900 * 64)  # several blocks, the last one smaller
    fake, real = map(in_numpy, sets)
    found = {score.name: score.value for score in PrecisionRecall(neighborhood=k).evaluate(*sets)}
    precision, recall = numpy_among(fake, real, k), numpy_among(real, fake, k)
    assert found["precision"] == pytest.approx(precision, rel=REL)
    assert found["recall"] == pytest.approx(recall, rel=REL)
    f_score = 2 * precision * recall / (precision + recall)
    assert found["f-score"] == pytest.approx(f_score, rel=REL)
    assert 0.2 < precision < 1


def test_precision_and_recall_by_hand():
    """Reals reach 1 each; the fake at 5 is far from all, and reaches all itself."""
    found = PrecisionRecall(neighborhood=1).evaluate(line(0.5, 5, 10.5), line(0, 1, 10, 11))
    assert [score.value for score in found] == pytest.approx([2 / 3, 1, 0.8])
    assert found[0].note == "3 fakes and 4 reals; counts must be equal to compare"
    found = PrecisionRecall(neighborhood=1).evaluate(line(0.5, 0.6), line(0, 1, 10, 11))
    assert [score.value for score in found] == pytest.approx([1, 0, 0])
    with pytest.raises(InputError, match="more than 3 samples"):
        PrecisionRecall().evaluate(line(1, 2, 3), line(1, 2, 3, 4))


# Inception Score --------------------------------------------------------------------------------


def numpy_inception_score(logits, splits):
    """Salimans et al. 2016, section 4, over torch-fidelity's splits."""
    logits = logits[np.random.RandomState(2020).permutation(len(logits))].astype(np.float64)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    bounds = [i * len(logits) // splits for i in range(splits + 1)]
    found = []
    for start, stop in pairwise(bounds):
        part = shares[start:stop]
        divergence = (part * np.log(part / part.mean(0))).sum(1)
        found.append(np.exp(divergence.mean()))
    return np.mean(found), np.std(found)


@pytest.mark.parametrize("splits", [1, 7, 10])
def test_inception_score_agrees_with_numpy(splits):
    logits = np.random.default_rng(5).normal(size=(503, 20)).astype(np.float32) * 3
    mean, std = numpy_inception_score(logits, splits)
    given = looked(np.zeros((503, 2)), logits)
    (score,) = InceptionScore(splits=splits).evaluate(given, given)
    assert score.value == pytest.approx(mean, rel=REL)
    assert score.std == pytest.approx(std, rel=REL, abs=1e-12)


# The whole way from files -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders of 24 PNG files: blobs of colour before noise, of two kinds."""
    root = tmp_path_factory.mktemp("pictures")
    for name, seed in (("fakes", 1), ("reals", 2)):
        (root / name).mkdir()
        rng = np.random.default_rng(seed)
        for i in range(24):
            blob = rng.integers(0, 256, (4, 4, 3)).repeat(8, axis=0).repeat(8, axis=1)
            noise = rng.integers(0, 40 * seed, (32, 32, 3))
            pixels = (blob * 0.8 + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i:02}.png")
    return root


def test_files_score_as_by_torch_fidelitys_own_command(folders, inception_weights):
    """With weights of chance, the same for both, as the published ones are not here."""
    program = [sys.executable, "-c", "from torch_fidelity.fidelity import main; main()"]
    options = ["--cpu", "--json", "--isc", "--fid", "--kid", "--kid-subset-size", "24", "--silent"]
    options += ["--input1", folders / "fakes", "--input2", folders / "reals", "--no-cache"]
    options += ["--feature-extractor-weights-path", inception_weights, "--save-cpu-ram"]
    done = subprocess.run(
        [*program, *map(str, options)], capture_output=True, text=True, check=True
    )
    theirs = json.loads(done.stdout)
    loaded = InceptionV3().load(inception_weights, torch.device("cpu"))
    fake, real = (
        SampleSet(
            open_dataset("folder", path=str(folders / name)), lambda s: loaded.extract(s.stored)
        )
        for name in ("fakes", "reals")
    )
    (fid,) = FID().evaluate(fake, real)
    (score,) = InceptionScore().evaluate(fake, real)
    (kid,) = KID().evaluate(fake, real)
    assert theirs["frechet_inception_distance"] > 1e-3
    assert fid.value == pytest.approx(theirs["frechet_inception_distance"], rel=1e-3)
    assert score.value == pytest.approx(theirs["inception_score_mean"], rel=1e-5)
    assert score.std == pytest.approx(theirs["inception_score_std"], rel=1e-3)
    # Theirs is computed in 32 bits.
    assert kid.value == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-3)


def test_every_metric_of_the_box_judges_digits(capsys):
    """By name, through the data's own extractor, and silent on standard output."""
    names = ["fid", "fid-infinity", "is", "kid", "prc", "density-coverage", "memorisation"]
    rows = evaluate(None, names, data="digits", floor=True)
    found = {row.metric.removesuffix("[digits-cnn]"): row.value for row in rows}
    assert list(found) == [
        *("fid", "fid-infinity", "is", "kid", "precision", "recall", "f-score"),
        *("density", "coverage", "nearest-distance", "authenticity"),
    ]
    assert abs(found["fid-infinity"]) < found["fid"]
    assert min(found[name] for name in ("precision", "recall", "coverage")) > 0.8
    assert found["density"] == pytest.approx(1, abs=0.1)
    assert found["nearest-distance"] == pytest.approx(1, abs=0.1)
    assert 0.4 < found["authenticity"] < 0.7
    assert capsys.readouterr().out == ""
