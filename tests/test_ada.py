"""ADA: its transforms against formulations of another kind, and how its probability adapts."""

import itertools
import json
import math
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import ndimage, signal
from torch import nn

import ganzoo
from ganzoo import DataSpec, Progress
from ganzoo.api.training import resume
from ganzoo.errors import InputError
from ganzoo.resolve import resolve
from ganzoo_zoo.augmentations.ada import ADA, color, corruption, geometry, pipeline
from ganzoo_zoo.augmentations.ada.parts import GROUPS, TRANSFORMS, find_factors
from ganzoo_zoo.augmentations.ada.wavelets import (
    SYM2,
    SYM6,
    band_filters,
    downsampler,
    reflect,
    split_octaves,
    upsampler,
)
from tiny import TINY

PRECISE = (torch.float64, torch.device("cpu"))
NAMES = ("draw_uniform", "draw_normal", "draw_applied")
SMALL = {"train.recipe": "paper", "arch.hidden": (8,), "data.image_size": 8}


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def drawn(monkeypatch):
    """Return lists of what transforms draw, by the name of the function."""
    found = {name: [] for name in NAMES}

    def record(name, draw):
        def recorded(*given):
            found[name].append(draw(*given))
            return found[name][-1]

        return recorded

    for module, name in itertools.product((geometry, color, corruption), NAMES):
        monkeypatch.setattr(module, name, record(name, getattr(module, name)))
    return found


def images(count=6, shape=(3, 10, 14)):
    return 2 * torch.rand(count, *shape, dtype=torch.float64) - 1


def smooth(height=32, width=32):
    """Return an image of low frequencies, which any interpolation reads well."""
    down, across = torch.meshgrid(
        torch.arange(height, dtype=torch.float64),
        torch.arange(width, dtype=torch.float64),
        indexing="ij",
    )
    return (torch.sin(across / 5 + down / 9) + torch.cos(down / 6))[None] / 2


def always(*names, chance=1.0):
    return {name: torch.tensor(chance, dtype=torch.float64) for name in names}


def fix(probability, **options):
    """Return an augmentation of a probability that stays, as a function of samples."""
    ada = ADA(target=None, probability=probability, **options)
    return lambda samples: ada.augment(samples, ada.state(DataSpec(shape=samples.shape[1:])))


def interior(samples, margin=8):
    return samples[..., margin:-margin, margin:-margin]


# Wavelets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("taps", [SYM2, SYM6], ids=["sym2", "sym6"])
def test_the_filters_are_those_of_orthogonal_wavelets(taps):
    low = np.array(taps)
    assert low.sum() == pytest.approx(2**0.5, abs=1e-7)
    for shift in range(0, len(low), 2):
        assert low[shift:] @ low[: len(low) - shift] == pytest.approx(float(not shift), abs=1e-7)
    # As many moments of the high-pass filter vanish as the name says.
    high = low[::-1] * (-1.0) ** np.arange(len(low))
    for moment in range(len(low) // 2):
        assert high @ np.linspace(-1, 1, len(low)) ** moment == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("side", [1, 2, 3, 8, 11])
def test_indices_are_reflected_at_the_sides(side):
    expected = np.pad(np.arange(side), 40, mode="reflect")
    assert [reflect(index, side) for index in range(-40, side + 40)] == expected.tolist()


@pytest.mark.parametrize("side", [1, 5, 16])
def test_going_up_and_down_again_changes_nothing(side):
    fine = upsampler(side, *PRECISE)
    read = torch.arange(-5, 2 * side + 5) % (len(fine) - 1)
    torch.testing.assert_close(
        downsampler(side, *PRECISE) @ fine[read], torch.eye(side).double(), atol=1e-6, rtol=0
    )


def test_the_octaves_are_those_of_the_wavelet():
    frequencies = np.linspace(0, np.pi, 50)

    def response(taps, factor=1):
        places = factor * np.arange(len(taps))
        return np.abs(np.exp(-1j * np.outer(frequencies, places)) @ np.array(taps)) ** 2 / 2

    low = [response(SYM2, 2**level) for level in range(3)]
    expected = [
        low[0] * low[1] * low[2],
        low[0] * low[1] * (1 - low[2]),
        low[0] * (1 - low[1]),
        1 - low[0],
    ]
    for taps, each in zip(split_octaves(), expected, strict=True):
        offsets = np.arange(len(taps)) - len(taps) // 2
        found = np.exp(-1j * np.outer(frequencies, offsets)) @ taps.numpy()
        np.testing.assert_allclose(found, each, atol=1e-7)
    torch.testing.assert_close(band_filters(9, *PRECISE).sum(0), torch.eye(9).double())


# Geometry -------------------------------------------------------------------------------------


def resample_one(channel, source):
    """Resample a channel as the paper does: padded, at twice the resolution, and back."""
    margin, taps = 60, np.array(SYM6)
    padded = np.pad(channel, margin, mode="reflect")
    for axis in (0, 1):
        padded = signal.upfirdn(taps * 2**0.5, padded, up=2, axis=axis)
    height, width = channel.shape
    down, across = (np.arange(-5, 2 * side + 5) / 2 for side in (height, width))
    read = np.zeros((len(down), len(across)))
    for (row, y), (column, x) in itertools.product(enumerate(down), enumerate(across)):
        place = source @ [x - (width - 1) / 2, y - (height - 1) / 2, 1]
        read[row, column] = ndimage.map_coordinates(
            padded,
            # Pixel k is at 2 (k + margin), and a filter of 12 taps begins 5 before it.
            [
                [2 * (place[1] + (height - 1) / 2 + margin) + 5],
                [2 * (place[0] + (width - 1) / 2 + margin) + 5],
            ],
            order=1,
        )[0]
    for axis in (0, 1):
        read = ndimage.correlate1d(read, taps / 2**0.5, axis, mode="constant", origin=0)
    return read[6 : 6 + 2 * height : 2, 6 : 6 + 2 * width : 2]


def test_resampling_is_that_of_the_paper():
    samples = images(3, (2, 5, 8))
    sources, _ = geometry.draw_source_maps(samples, always(*GROUPS["blit"], *GROUPS["geom"]))
    found = geometry.resample(samples, sources)
    for image, source, each in zip(samples, sources, found, strict=True):
        for channel, result in zip(image, each, strict=True):
            expected = resample_one(channel.numpy(), source.numpy())
            np.testing.assert_allclose(result, expected, atol=1e-10)


def translate(across, down):
    return np.array([[1, 0, across], [0, 1, down], [0, 0, 1.0]])


def scale(across, down):
    return np.diag([across, down, 1.0])


def rotate(angle):
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def test_movements_are_composed_in_the_papers_order(drawn):
    samples = images(40, (1, 20, 30))
    half = always(*GROUPS["blit"], *GROUPS["geom"], chance=0.5)
    sources, moved = geometry.draw_source_maps(samples, half)
    for index, source in enumerate(sources):
        u, n, applied = ([float(each[index]) for each in drawn[name]] for name in NAMES)
        forward = [
            scale(1 - 2 * math.floor(2 * u[0]), 1),
            rotate(math.floor(4 * u[1]) * math.pi / 2),
            translate(round((2 * u[2] - 1) * 0.125 * 30), round((2 * u[3] - 1) * 0.125 * 20)),
            scale(2 ** (0.2 * n[0]), 2 ** (0.2 * n[0])),
            rotate((2 * u[4] - 1) * math.pi),
            scale(2 ** (0.2 * n[1]), 2 ** (-0.2 * n[1])),
            rotate((2 * u[5] - 1) * math.pi),
            translate(0.125 * 30 * n[2], 0.125 * 20 * n[3]),
        ]
        whole = np.eye(3)
        for matrix, is_applied in zip(forward, applied, strict=True):
            whole = (matrix if is_applied else np.eye(3)) @ whole
        np.testing.assert_allclose(source, np.linalg.inv(whole), atol=1e-12)
        assert bool(moved[index]) == any(applied)


def test_both_rotations_together_have_the_chance_of_one(drawn):
    geometry.draw_source_maps(images(4000, (1, 2, 2)), always("rotate", chance=0.3))
    first, second = drawn["draw_applied"]
    assert (first | second).double().mean() == pytest.approx(0.3, abs=0.02)
    assert first.double().mean() == pytest.approx(1 - 0.7**0.5, abs=0.02)


def count_matches(found, candidates):
    """Count which of the candidates each image is."""
    errors = [[(each - other).abs().max() for other in candidates] for each in found]
    # The wavelet is not quite symmetric about its centre.
    assert all(min(each) < 0.04 for each in errors)
    return Counter(each.index(min(each)) for each in errors)


def test_flips_and_quarter_turns_of_the_image():
    image = smooth()
    flipped = interior(geometry.move(image.repeat(100, 1, 1, 1), always("xflip")))
    counts = count_matches(flipped, [interior(each) for each in (image, image.flip(2))])
    assert 30 < counts[0] < 70
    turned = interior(geometry.move(image.repeat(100, 1, 1, 1), always("rotate90")))
    turns = [interior(torch.rot90(image, turn, (1, 2))) for turn in range(4)]
    counts = count_matches(turned, turns)
    assert min(counts[turn] for turn in range(4)) > 10


def test_whole_shifts_are_exact_within_the_image():
    image = images(1, (3, 16, 24))[0]
    shifts = [(down, across) for down in range(-2, 3) for across in range(-3, 4)]
    rolled = [interior(image.roll(shift, (1, 2)), 4) for shift in shifts]
    found = interior(geometry.move(image.repeat(300, 1, 1, 1), always("xint")), 4)
    counts = [int((found - each).flatten(1).abs().amax(1).lt(1e-6).sum()) for each in rolled]
    assert sum(counts) == 300
    assert min(counts) > 0


def test_an_image_is_read_where_its_pixels_come_from():
    def value(down, across):
        return torch.sin(across / 5 + down / 9) + torch.cos(down / 6)

    side = 40
    centred = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    image = value(centred[:, None], centred[None])[None, None]
    turn = torch.tensor(rotate(0.5) @ scale(0.9, 1.1) @ translate(1.3, -2.2))
    found = geometry.resample(image, turn[None])[0, 0]
    x, y = (
        turn[row, 0] * centred[None] + turn[row, 1] * centred[:, None] + turn[row, 2]
        for row in (0, 1)
    )
    torch.testing.assert_close(interior(found, 10), interior(value(y, x), 10), atol=0.02, rtol=0)


# Colour ---------------------------------------------------------------------------------------


def luma_matrices(u, n):
    """Return the matrices of one image's colours, homogeneous and in order."""
    axis = np.array([1, 1, 1, 0]) / math.sqrt(3)
    luma, rest = np.outer(axis, axis), np.diag([1.0, 1, 1, 0]) - np.outer(axis, axis)
    keep = np.diag([0.0, 0, 0, 1])
    angle = (2 * u[1] - 1) * math.pi
    cross = np.zeros((4, 4))
    cross[:3, :3] = np.cross(np.eye(3), axis[:3]).T @ np.diag([1.0, 1, 1])
    brightness = np.eye(4)
    brightness[:3, 3] = 0.2 * n[0]
    return [
        brightness,
        np.diag([2 ** (0.5 * n[1])] * 3 + [1]),
        np.eye(4) - 2 * luma * math.floor(2 * u[0]),
        luma + math.cos(angle) * rest - math.sin(angle) * cross + keep,
        luma + rest * 2 ** n[2] + keep,
    ]


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_are_mapped_by_the_papers_matrices(channels, drawn):
    samples = images(50, (channels, 3, 4))
    found = color.change_colors(samples, always(*GROUPS["color"], chance=0.5))
    for index, (image, each) in enumerate(zip(samples.numpy(), found.numpy(), strict=True)):
        u, n, applied = ([float(draw[index]) for draw in drawn[name]] for name in NAMES)
        if channels == 1:  # which lack hue and saturation
            u, n, applied = [*u, 0.5], [*n, 0.0], [*applied, False, False]
        whole = np.eye(4)
        for matrix, is_applied in zip(luma_matrices(u, n), applied, strict=True):
            whole = (matrix if is_applied else np.eye(4)) @ whole
        colours = np.repeat(image, 3, 0) if channels == 1 else image
        expected = np.einsum("ij,jhw->ihw", whole[:3, :3], colours) + whole[:3, 3, None, None]
        if channels == 1:
            expected = expected.mean(0, keepdims=True)
        np.testing.assert_allclose(each, expected, atol=1e-12)


def test_hues_turn_red_into_green_and_blue():
    red = torch.tensor([1.0, 0, 0], dtype=torch.float64)
    turn = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0.0]])
    maps = color.draw_color_maps(images(2000, (3, 1, 1)), always("hue"))[:, :, :3]
    nearest = min(range(2000), key=lambda index: np.abs(maps[index].numpy() - turn).max())
    torch.testing.assert_close(maps[nearest] @ red, red.roll(1), atol=0.01, rtol=0)
    torch.testing.assert_close(maps @ maps.mT, torch.eye(3).double().expand(2000, 3, 3))


# Filters, noise and cutouts -------------------------------------------------------------------


def test_filters_amplify_octaves():
    samples = images(4, (2, 7, 30))
    torch.manual_seed(1)
    found = corruption.filter_bands(samples, always("filter"))
    torch.manual_seed(1)
    gains = corruption.draw_band_gains(samples, torch.tensor(1.0)).numpy()
    octaves = [taps.numpy() for taps in split_octaves()]
    width = max(map(len, octaves))
    for image, gain, each in zip(samples.numpy(), gains, found.numpy(), strict=True):
        taps = sum(
            factor * np.pad(band, (width - len(band)) // 2)
            for factor, band in zip(gain, octaves, strict=True)
        )
        expected = image
        for axis in (1, 2):
            expected = ndimage.convolve1d(expected, taps, axis, mode="mirror")
        np.testing.assert_allclose(each, expected, atol=1e-12)


def test_each_octave_keeps_the_expected_power(drawn):
    samples = images(50, (1, 2, 2))
    gains = corruption.draw_band_gains(samples, torch.tensor(0.5)).numpy()
    power = np.array([10, 1, 1, 1]) / 13
    for index, found in enumerate(gains):
        expected = np.ones(4)
        for band in range(4):
            if drawn["draw_applied"][band][index]:
                one = np.ones(4)
                one[band] = 2 ** float(drawn["draw_normal"][band][index])
                one /= math.sqrt(sum(power * one**2))
                assert power @ one**2 == pytest.approx(1)
                expected *= one
        np.testing.assert_allclose(found, expected)


def test_noise_is_as_strong_as_is_drawn():
    samples = torch.zeros(3000, 1, 12, 12, dtype=torch.float64)
    found = corruption.add_noise(samples, always("noise", chance=0.75)).flatten(1)
    deviations = found.std(1)
    assert (deviations == 0).double().mean() == pytest.approx(0.25, abs=0.03)
    strong = deviations[deviations > 0]
    assert strong.square().mean().sqrt() == pytest.approx(0.1, rel=0.05)
    assert strong.mean() == pytest.approx(0.1 * math.sqrt(2 / math.pi), rel=0.05)
    assert abs(found.mean()) < 0.002


def test_a_cutout_is_a_rectangle_of_half_the_sides(drawn):
    samples = torch.ones(40, 2, 10, 16, dtype=torch.float64)
    found = corruption.cut_out(samples, always("cutout", chance=0.75)).tolist()
    down, across = (centres.tolist() for centres in drawn["draw_uniform"])
    for index, is_applied in enumerate(drawn["draw_applied"][0].tolist()):
        expected = [[1.0] * 16 for _ in range(10)]
        for row, column in itertools.product(range(10), range(16)):
            middle = (row + 0.5) / 10 - down[index], (column + 0.5) / 16 - across[index]
            if is_applied and max(map(abs, middle)) < 0.25:
                expected[row][column] = 0.0
        assert found[index] == [expected, expected]


# The pipeline ---------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("adapts", [True, False])
def test_a_probability_of_0_gives_the_images_themselves(channels, adapts):
    samples = images(8, (channels, 9, 14)).float()
    ada = ADA(parts="bgcfnc", target=0.6 if adapts else None)
    state = ada.state(DataSpec(shape=samples.shape[1:]))
    assert torch.equal(ada.augment(samples, state), samples)


def test_every_transform_changes_images_alone():
    samples = images(200, (3, 12, 12))
    for name in TRANSFORMS:
        changed = (fix(0.25, parts=name)(samples) != samples).flatten(1).any(1)
        expected = {"xflip": 0.25, "lumaflip": 0.125, "filter": 1 - 0.75**4}.get(name, 0.25)
        assert changed.double().mean() == pytest.approx(expected, abs=0.1), name


def test_transparency_moves_and_is_cut_and_keeps_its_values_otherwise():
    samples = images(30, (4, 12, 12))
    colours = fix(1.0, parts="color,filter,noise")(samples)
    assert torch.equal(colours[:, 3], samples[:, 3])
    assert (colours[:, :3] != samples[:, :3]).flatten(1).any(1).all()
    for parts in ("geom", "cutout"):
        assert (fix(1.0, parts=parts)(samples)[:, 3] != samples[:, 3]).flatten(1).any(1).all()
    alike = samples[:, :1].expand(-1, 4, -1, -1)
    moved = fix(1.0, parts="bg")(alike)
    torch.testing.assert_close(moved[:, 3], moved[:, 0])


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_samples_in_half_precision_are_augmented_in_full(kind):
    samples = images(4).to(kind)
    torch.manual_seed(1)
    found = fix(0.7, parts="bgcfnc")(samples)
    torch.manual_seed(1)
    torch.testing.assert_close(found, fix(0.7, parts="bgcfnc")(samples.float()).to(kind))


def test_gradients_and_their_gradients_are_right():
    samples = images(2, (3, 3, 4)).requires_grad_()

    def augment(samples):
        torch.manual_seed(1)
        chances = dict.fromkeys(TRANSFORMS, torch.tensor(0.8))
        return pipeline.augment(samples, chances)

    assert torch.autograd.gradcheck(augment, samples, fast_mode=True)
    curved = lambda samples: augment(samples).sin()  # noqa: E731
    assert torch.autograd.gradgradcheck(curved, samples, fast_mode=True)


# Parts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("bgc", "blit geom color"),
        ("bg", "blit geom"),
        ("bgcfnc", "blit geom color filter noise cutout"),
        ("fnc", "filter noise cutout"),
        ("blit, geom", "blit geom"),
        (("xint", "cutout"), "xint cutout"),
        (["bgc", "xflip:0"], "blit geom color xflip:0"),
    ],
)
def test_parts_are_written_in_the_authors_words(given, expected):
    assert ADA(parts=given).parts == tuple(expected.split())


def test_parts_come_from_the_command_line():
    config = resolve("dcgan", settings={"train.augment": "ada", "augment.ada.parts": "bg,color:.5"})
    (ada,) = config.augmentations
    factors = find_factors(ada.options["parts"])
    assert factors["hue"] == 0.5
    assert factors["xfrac"] == 1
    assert "noise" not in factors


def test_a_later_part_counts():
    assert list(find_factors(ADA(parts="blit,xflip:0,rotate90:0").parts)) == ["xint"]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ("blitz", "unknown part 'blitz'"),
        ("gb", "unknown part 'gb'"),
        ("color:2", "a factor is a number from 0 to 1"),
        ("color:much", "a factor is a number from 0 to 1"),
        ("", "at least 1 item"),
    ],
)
def test_other_parts_are_refused(parts, message):
    with pytest.raises(InputError, match=message):
        resolve("dcgan", settings={"train.augment": "ada", "augment.ada.parts": parts})


# How the probability adapts -------------------------------------------------------------------


def show(ada, state, updates, batch=20, first=0):
    """Show an augmentation random logits, and return their signs."""
    signs = []
    for update in range(first, first + updates):
        logits = torch.randn(batch, 2) + update / 10
        signs.append(logits.sign().mean().item())
        ada.observe(state, logits, Progress(updates=update, batch_size=batch))
    return signs


def test_the_probability_follows_the_signs():
    ada = ADA(target=0.3, speed=1000, interval=3, probability=0.1)
    state = ada.state(DataSpec(shape=(1, 8, 8)))
    probability, seen = 0.1, []
    for update in range(40):
        seen += show(ada, state, 1, first=update)
        if len(seen) == 3:
            overfitting, seen = sum(seen) / 3, []
            probability += math.copysign(3 * 20 / 1000, overfitting - 0.3)
            probability = min(max(probability, 0.0), 1.0)
            assert ada.report(state)["overfitting"].item() == pytest.approx(overfitting, abs=1e-6)
        found = ada.report(state)["probability"].item()
        assert found == pytest.approx(probability, abs=1e-5)
    assert probability > 0.5


@pytest.mark.parametrize(("logit", "end"), [(5.0, 1.0), (-5.0, 0.0)])
def test_the_probability_stays_from_0_to_1(logit, end):
    ada = ADA(speed=100, interval=1, probability=0.5)
    state = ada.state(DataSpec(shape=(1, 8, 8)))
    for update in range(10):
        ada.observe(state, torch.full((30,), logit), Progress(updates=update))
    assert state.probability == end


def test_without_a_target_the_probability_stays_and_overfitting_is_told():
    ada = ADA(target=None, probability=0.25)
    state = ada.state(DataSpec(shape=(1, 8, 8)))
    signs = show(ada, state, 4)
    report = ada.report(state)
    assert report["probability"].item() == 0.25
    assert report["overfitting"].item() == pytest.approx(sum(signs) / 4, abs=1e-6)


def train(path, steps=6, **options):
    settings = {
        "train.augment": "ada",
        "augment.ada.target": -0.99,
        "augment.ada.speed": 200,
        "augment.ada.interval": 2,
    }
    return ganzoo.train(
        "mlp",
        "non-saturating",
        "digits",
        out=path,
        settings={**SMALL, **settings, **options},
        **{**TINY, "log_every": 1, "steps": steps},
    )


def logged(path, name):
    lines = map(json.loads, (path / "metrics.jsonl").read_text().splitlines())
    return [line[f"augmentation/ada_{name}"] for line in lines]


def test_metrics_have_the_probability_also_after_a_resume(tmp_path):
    train(tmp_path / "whole")
    whole = logged(tmp_path / "whole", "probability")
    steps = [0.0, 0.08, 0.08, 0.16, 0.16, 0.24]
    assert whole == pytest.approx(steps, abs=1e-6)
    assert all(-1 <= each <= 1 for each in logged(tmp_path / "whole", "overfitting"))
    train(tmp_path / "part", steps=4)
    resume(tmp_path / "part", {"train.steps": 6})
    assert logged(tmp_path / "part", "probability") == whole
    assert logged(tmp_path / "part", "overfitting") == logged(tmp_path / "whole", "overfitting")


def test_a_batch_in_parts_counts_once(tmp_path):
    train(tmp_path / "parts", steps=2, **{"train.accumulate": 2})
    assert logged(tmp_path / "parts", "probability") == pytest.approx([0.0, 0.08], abs=1e-6)


def test_a_schedule_leads_a_probability_without_a_target(tmp_path):
    train(
        tmp_path / "run",
        steps=4,
        **{"augment.ada.target": None, "augment.ada.probability": "linear(0, 1)"},
    )
    # Steps are logged when they are done, and the schedule is at their end.
    assert logged(tmp_path / "run", "probability") == pytest.approx([0.25, 0.5, 0.75, 1.0])


def test_penalties_are_computed_through_it(tmp_path):
    train(
        tmp_path / "run",
        steps=2,
        **{"train.penalty": "r1", "augment.ada.probability": 1.0, "augment.ada.parts": "bgcfnc"},
    )
    lines = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert all(0 < line["discriminator/r1"] < math.inf for line in lines)


def test_it_remembers_little():
    state = ADA().state(DataSpec(shape=(3, 256, 256)))
    assert isinstance(state, nn.Module)
    assert sum(buffer.numel() for buffer in state.buffers()) == 4
