"""The toy sets: their true modes, and points that are where the modes say."""

import math

import pytest
import torch

from ganzoo import open_dataset
from ganzoo.errors import InputError
from ganzoo_zoo.data.toy import Gaussian, Grid, Ring

WITHIN_3_STD = 1 - math.exp(-4.5)
"""Share of a Gaussian in the plane that lies within 3 standard deviations: about 0.989."""


@pytest.fixture(scope="module")
def read():
    """Read a set once, and say which mode each point is nearest to, and where from it."""
    known = {}

    def one(dataset):
        if dataset not in known:
            samples = dataset.read()
            modes = torch.tensor(samples.spec.modes)
            nearest = torch.cdist(samples.stored, modes).argmin(1)
            known[dataset] = samples, nearest, samples.stored - modes[nearest]
        return known[dataset]

    return one


PLANE = [Ring(), Grid(), Gaussian()]


def by_name(dataset):
    return type(dataset).__name__


def test_the_modes_of_the_ring():
    modes = torch.tensor(Ring().modes(), dtype=torch.float64)
    assert modes.shape == (8, 2)
    assert torch.allclose(modes.norm(dim=1), torch.ones(8, dtype=torch.float64))
    assert modes[0].tolist() == [1.0, 0.0]
    assert torch.allclose(modes[2], torch.tensor([0.0, 1.0], dtype=torch.float64))
    turns = torch.atan2(modes[:, 1], modes[:, 0]) % (2 * math.pi)
    assert torch.allclose(turns.diff(), torch.full((7,), math.pi / 4, dtype=torch.float64))


def test_the_modes_of_the_grid():
    places = (-4.0, -2.0, 0.0, 2.0, 4.0)
    assert sorted(Grid().modes()) == [(x, y) for x in places for y in places]


def test_the_mode_of_the_gaussian():
    assert Gaussian().modes() == ((0.0, 0.0),)
    assert Gaussian(dimensions=5).modes() == ((0.0,) * 5,)


def test_other_modes_can_be_asked_for():
    ring = torch.tensor(Ring(count=3, radius=2.5).modes())
    assert torch.allclose(ring.norm(dim=1), torch.full((3,), 2.5))
    assert sorted(Grid(side=2, spacing=3).modes()) == [
        (-1.5, -1.5),
        (-1.5, 1.5),
        (1.5, -1.5),
        (1.5, 1.5),
    ]


@pytest.mark.parametrize(
    ("dataset", "std"),
    [(PLANE[0], 0.01), (PLANE[1], 0.05), (PLANE[2], 1.0)],
    ids=["ring", "grid", "gaussian"],
)
def test_the_specification_tells_the_truth(dataset, std, read):
    samples, _, offsets = read(dataset)
    assert len(samples) == 100_000
    assert samples.spec.shape == (2,)
    assert samples.spec.modes == dataset.modes()
    assert samples.spec.mode_std == dataset.std == std
    assert samples.spec.classes is None
    assert samples.spec.features is None
    assert samples.labels is None
    assert samples.stored.dtype == torch.float32
    assert offsets.std(0).tolist() == pytest.approx([std] * 2, rel=0.01)
    assert offsets.mean(0).abs().max() < 0.015 * std


@pytest.mark.parametrize("dataset", PLANE, ids=by_name)
def test_points_are_spread_as_a_gaussian_is(dataset, read):
    _, _, offsets = read(dataset)
    within = (offsets.norm(dim=1) <= 3 * dataset.std).float().mean()
    assert float(within) == pytest.approx(WITHIN_3_STD, abs=0.002)
    axes = torch.corrcoef(offsets.T)[0, 1]
    assert abs(float(axes)) < 0.02


@pytest.mark.parametrize("dataset", PLANE[:2], ids=by_name)
def test_modes_are_equally_likely(dataset, read):
    samples, nearest, _ = read(dataset)
    modes = len(dataset.modes())
    counts = nearest.bincount(minlength=modes)
    assert len(counts) == modes
    expected = len(samples) / modes
    # Five standard deviations of a binomial count.
    assert (counts - expected).abs().max() < 5 * math.sqrt(expected * (1 - 1 / modes))


@pytest.mark.parametrize("dataset", PLANE[:2], ids=by_name)
def test_modes_have_one_width(dataset, read):
    _, nearest, offsets = read(dataset)
    for mode in range(len(dataset.modes())):
        mine = offsets[nearest == mode]
        assert mine.std(0).tolist() == pytest.approx([dataset.std] * 2, rel=0.08)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 17])
def test_a_gaussian_of_any_dimension(dimensions):
    samples = Gaussian(dimensions=dimensions, std=2, samples=20_000).read()
    assert samples.spec.shape == (dimensions,)
    assert samples.spec.modes == ((0.0,) * dimensions,)
    assert samples.stored.shape == (20_000, dimensions)
    assert samples.stored.std(0).tolist() == pytest.approx([2.0] * dimensions, rel=0.03)
    assert samples.stored.mean(0).abs().max() < 0.08


@pytest.mark.parametrize("dataset", [Ring, Grid, Gaussian], ids=lambda cls: cls.__name__)
def test_points_do_not_depend_on_any_other_randomness(dataset):
    torch.manual_seed(1)
    first = dataset(samples=300).read()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = dataset(samples=300).read()
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first.stored, second.stored)
    assert first.fingerprint == second.fingerprint
    assert dataset(samples=300, std=0.5).read().fingerprint != first.fingerprint


def test_options_by_name():
    samples = open_dataset("ring", samples="100", std="0.2", count="4")
    assert samples.stored.shape == (100, 2)
    assert (len(samples.spec.modes), samples.spec.mode_std) == (4, 0.2)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("ring", "std", 0),
        ("ring", "count", 0),
        ("ring", "radius", -1),
        ("ring", "samples", 0),
        ("ring", "samples", 10_000_001),
        ("grid", "side", 0),
        ("grid", "spacing", 0),
        ("gaussian", "dimensions", 0),
        ("gaussian", "std", float("nan")),
    ],
)
def test_senseless_options_are_refused(name, option, value):
    with pytest.raises(InputError, match=rf"option 'data\.{option}'"):
        open_dataset(name, **{option: value})
