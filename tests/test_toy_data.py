"""Points that are drawn: their true modes, and that they are where modes, curves or strokes say."""

import math
from itertools import pairwise

import pytest
import torch

from ganzoo import open_dataset
from ganzoo.errors import InputError
from ganzoo_zoo.data.points.curves import Line, Moons, Spiral
from ganzoo_zoo.data.points.drawn import Drawn
from ganzoo_zoo.data.points.mixtures import Blobs, Gaussian, Grid, Ring

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


PLANE = [Ring(), Grid(), Gaussian(), Blobs()]


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
    [(PLANE[0], 0.01), (PLANE[1], 0.05), (PLANE[2], 1.0), (PLANE[3], 0.15)],
    ids=["ring", "grid", "gaussian", "blobs"],
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


@pytest.mark.parametrize("dataset", [PLANE[0], PLANE[1], PLANE[3]], ids=by_name)
def test_modes_are_equally_likely(dataset, read):
    samples, nearest, _ = read(dataset)
    modes = len(dataset.modes())
    counts = nearest.bincount(minlength=modes)
    assert len(counts) == modes
    expected = len(samples) / modes
    # Five standard deviations of a binomial count.
    assert (counts - expected).abs().max() < 5 * math.sqrt(expected * (1 - 1 / modes))


@pytest.mark.parametrize("dataset", [PLANE[0], PLANE[1], PLANE[3]], ids=by_name)
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


SETS = [Ring, Grid, Gaussian, Blobs, Line, Spiral, Moons, Drawn]


@pytest.mark.parametrize("dataset", SETS, ids=lambda cls: cls.__name__)
def test_points_do_not_depend_on_any_other_randomness(dataset):
    torch.manual_seed(1)
    first = dataset(samples=300).read()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = dataset(samples=300).read()
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first.stored, second.stored)
    assert first.fingerprint == second.fingerprint
    width = "width" if dataset is Drawn else "std"
    assert dataset(samples=300, **{width: 0.5}).read().fingerprint != first.fingerprint


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
        ("blobs", "distance", 0),
        ("line", "length", 0),
        ("spiral", "turns", 0),
        ("moons", "std", 0),
        ("drawn", "width", 0),
    ],
)
def test_senseless_options_are_refused(name, option, value):
    with pytest.raises(InputError, match=rf"option 'data\.{option}'"):
        open_dataset(name, **{option: value})


# Lines ------------------------------------------------------------------------------------------


def nearest_places(points, line):
    """Return how far each point is from a line of points, and how far along it that is, 0 to 1."""
    line = torch.tensor(line, dtype=torch.float64)
    fine = torch.cat([a.lerp(b, w) for a, b in pairwise(line) for w in steps(a, b)])
    distance, nearest = torch.cdist(points.double(), fine).min(1)
    return distance, nearest / len(fine)


def steps(start, end):
    """Return steps of a thousandth between two points, as weights of the second."""
    count = max(1, round(float((end - start).norm()) * 1000))
    return [torch.linspace(0, 1, count + 1, dtype=torch.float64)[:-1, None]]


@pytest.mark.parametrize("dataset", [Line(), Spiral()], ids=by_name)
def test_points_lie_evenly_along_a_curve(dataset):
    samples = dataset.model_copy(update={"samples": 10_000}).read()
    assert samples.spec.shape == (2,)
    assert samples.spec.modes is None
    (line,) = dataset.lines()
    distance, place = nearest_places(samples.stored, line)
    # A Gaussian offset, of which a curve takes away the part along itself.
    assert distance.square().mean().sqrt().item() == pytest.approx(dataset.std, rel=0.05)
    inner = place[(place > 0.02) & (place < 0.98)]
    counts = torch.histc(inner, 12, 0.02, 0.98)
    expected = len(samples) * 0.08
    assert (counts - expected).abs().max() < 5 * math.sqrt(expected)


def test_half_of_the_points_lie_on_each_moon():
    samples = Moons(samples=10_000).read()
    upper, lower = Moons().lines()
    above, _ = nearest_places(samples.stored, upper)
    below, _ = nearest_places(samples.stored, lower)
    assert torch.minimum(above, below).max() < 6 * Moons().std
    assert float((above < below).double().mean()) == pytest.approx(0.5, abs=0.03)
    assert samples.stored.mean(0).abs().max() < 0.05


def test_a_line_and_a_spiral_are_as_long_as_they_are_asked_to_be():
    ((start, end),) = Line(length=3).lines()
    assert math.dist(start, end) == pytest.approx(3)
    (line,) = Spiral(turns=2.25, radius=4).lines()
    assert line[0] == (0, 0)
    assert line[-1] == pytest.approx((0, 4))
    assert sum(start[1] < 0 <= end[1] for start, end in pairwise(line)) == 2


def test_points_lie_under_the_pen_evenly_by_the_length_of_strokes():
    drawn = Drawn(strokes="-1,0 -0.5,0; 0,-1 0,-0.25 0,0.5", width=0.2, samples=40_000)
    points = drawn.read().stored
    left = points[:, 0] < -0.3
    assert float(left.double().mean()) == pytest.approx(0.25, abs=0.01)
    assert points[left][:, 1].abs().max() <= 0.1
    assert points[left][:, 0].min() >= -1.1
    assert points[~left][:, 0].abs().max() <= 0.1
    inner = points[~left][:, 1]
    counts = torch.histc(inner, 10, -0.9, 0.4)
    expected = 30_000 * 0.13 / 1.5
    assert (counts - expected).abs().max() < 5 * math.sqrt(expected)


def test_a_single_point_is_a_dot_with_points_by_its_area():
    drawn = Drawn(strokes="-1,-1;  0,0 0,0 ;0.5,0.5 1,0.5", width=0.4, samples=40_000)
    points = drawn.read().stored
    shares = [
        (points - torch.tensor(centre)).norm(dim=1).le(0.2).double().mean().item()
        for centre in ((-1.0, -1.0), (0.0, 0.0))
    ]
    dot = math.pi * 0.2**2 / (2 * math.pi * 0.2**2 + 0.5 * 0.4)
    assert shares == pytest.approx([dot, dot], abs=0.01)
    inside = (points + 1).norm(dim=1)
    inside = inside[inside <= 0.2]
    assert float((inside <= 0.1).double().mean()) == pytest.approx(0.25, abs=0.02), "evenly"


def test_what_you_draw_may_be_spaced_and_signed_as_you_like():
    assert Drawn(strokes=" 1,-1\n+0.5,.25;;1.,0 ;").lines() == (((1, -1), (0.5, 0.25)), ((1, 0),))
    points = Drawn(strokes="0,0 " * 2000, samples=50).read().stored
    assert points.norm(dim=1).max() <= 0.05


@pytest.mark.parametrize(
    ("strokes", "message"),
    [
        ("", "there must be 1 to 2,000 points"),
        (" ; ;", "there must be 1 to 2,000 points"),
        ("0,0 " * 2001, "there must be 1 to 2,000 points"),
        ("0,0 1", "'1' is not a point"),
        ("0,0,0", "'0,0,0' is not a point"),
        ("0,1.01", "'0,1.01' is not a point from -1,-1 to 1,1"),
        ("nan,0", "'nan,0' is not a point"),
        ("1e-1,0", "'1e-1,0' is not a point"),
        ("/etc/passwd", "'/etc/passwd' is not a point"),
        (f"0,0 {'9' * 1000}", "is not a point"),
        ("0,0 " * 20_000, "at most 40,000 characters"),
        (5, "valid string"),
    ],
)
def test_malformed_strokes_are_refused_in_a_line(strokes, message):
    with pytest.raises(InputError, match=r"^option 'data\.strokes': ") as caught:
        open_dataset("drawn", strokes=strokes)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 200
