"""Density, coverage and memorisation: against plain numpy, and counts by hand."""

import numpy as np
import pytest
import torch

from ganzoo import DataSpec, Features, Samples, SampleSet
from ganzoo.errors import InputError
from ganzoo_zoo.metrics.neighbours import DensityCoverage, Memorisation, distances

REL = 1e-6


def looked(pooled):
    """Make a set of samples that have these features."""
    pooled = torch.as_tensor(np.asarray(pooled), dtype=torch.float32)
    samples = Samples(DataSpec(shape=(1,)), torch.zeros(len(pooled), 1))
    return SampleSet(samples, lambda found: Features(pooled))


def line(*values):
    return looked([[float(value)] for value in values])


@pytest.fixture
def sets():
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(300, 5)), 1.3 * rng.normal(size=(260, 5)) + 0.2
    fake[:10] = real[:10]
    return looked(fake), looked(real)


@pytest.fixture(params=["whole", "in parts"])
def _sizes(request, monkeypatch):
    if request.param == "in parts":
        monkeypatch.setattr(distances, "BLOCK", 7000)
        monkeypatch.setattr(distances, "PART", 37)


def between(one, other):
    one, other = (samples.features.pooled.double().numpy() for samples in (one, other))
    return np.sqrt(((one[:, None] - other) ** 2).sum(axis=2))


def values(judge, fake, real):
    return {score.name: score.value for score in judge.evaluate(fake, real)}


@pytest.mark.usefixtures("_sizes")
@pytest.mark.parametrize("k", [1, 5])
def test_density_and_coverage_agree_with_numpy(sets, k):
    """Naeem et al. 2020, equations 3 and 4."""
    fake, real = sets
    reach = np.sort(between(real, real), axis=1)[:, k]  # the first is the distance to itself
    inside = between(real, fake) < reach[:, None]
    found = values(DensityCoverage(k=k), fake, real)
    assert found["density"] == pytest.approx(inside.sum() / (k * len(fake)), rel=REL)
    assert found["coverage"] == pytest.approx(inside.any(axis=1).mean(), rel=REL)
    assert 0.05 < found["coverage"] < 0.95


@pytest.mark.usefixtures("_sizes")
def test_memorisation_agrees_with_numpy(sets):
    """Alaa et al. 2022, the authenticity classifier."""
    fake, real = sets
    within = between(real, real)
    np.fill_diagonal(within, np.inf)
    apart, away = within.min(axis=1), between(fake, real)
    found = values(Memorisation(), fake, real)
    assert found["nearest-distance"] == pytest.approx(
        away.min(axis=1).mean() / apart.mean(), rel=REL
    )
    authentic = (away.min(axis=1) > apart[away.argmin(axis=1)]).mean()
    assert found["authenticity"] == pytest.approx(authentic, rel=REL)
    assert 0.2 < found["authenticity"] < 0.96


def test_density_and_coverage_by_hand():
    """Reals reach 1 each: two fakes lie in two balls each, one in none."""
    real = line(0, 1, 10, 11)
    judge = DensityCoverage(k=1)
    assert values(judge, line(0.5, 5, 10.5), real) == {
        "density": pytest.approx(4 / 3),
        "coverage": 1.0,
    }
    assert values(judge, line(0.5), real) == {"density": 2.0, "coverage": 0.5}
    assert values(judge, line(2, 100), real) == {"density": 0.0, "coverage": 0.0}


def test_reals_themselves_are_as_dense_as_they_are():
    rng = np.random.default_rng(1)
    real = looked(rng.normal(size=(400, 3)))
    assert values(DensityCoverage(), real, real) == {"density": 1.0, "coverage": 1.0}


def test_memorisation_by_hand():
    """A copy, one nearer to a real than that one's neighbour is, and one that is far."""
    found = values(Memorisation(), line(0, 0.75, 4), line(0, 1, 10, 11))
    assert found == {
        "nearest-distance": pytest.approx((0 + 0.25 + 3) / 3),
        "authenticity": pytest.approx(1 / 3),
    }


def test_copies_are_told_from_new_samples():
    rng = np.random.default_rng(2)
    real, new = looked(rng.normal(size=(800, 16))), looked(rng.normal(size=(800, 16)))
    copied = values(Memorisation(), real, real)
    assert copied == {"nearest-distance": pytest.approx(0, abs=1e-7), "authenticity": 0.0}
    found = values(Memorisation(), new, real)
    assert found["nearest-distance"] == pytest.approx(1, abs=0.05)
    assert 0.3 < found["authenticity"] < 0.7
    assert Memorisation.on_request


def test_small_differences_far_from_zero_are_kept():
    """Nearest neighbours a millionth of their distance to zero away."""
    grid = 1000 + np.arange(64)[:, None] / 1024
    found = values(Memorisation(), looked(grid + 1 / 2048), looked(grid))
    assert found["nearest-distance"] == pytest.approx(0.5, rel=1e-4)


def test_too_few_samples_are_said():
    with pytest.raises(InputError, match="more than 5 reals and a fake, not 5 and 2"):
        DensityCoverage().evaluate(line(0, 1), line(0, 1, 2, 3, 4))
    with pytest.raises(InputError, match="at least 2 reals"):
        Memorisation().evaluate(line(0, 1), line(0))
    with pytest.raises(InputError, match="each of these has a duplicate"):
        Memorisation().evaluate(line(0, 1), line(0, 0, 0))
