"""Walks: what lies between the latents of two seeds, and a movie of it."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

import ganzoo
from ganzoo.errors import InputError
from ganzoo.media import images
from ganzoo.protocols.architecture import GeneratorInput
from ganzoo.protocols.latents import slerp, slerp_uniform
from ganzoo_zoo.families.cyclegan import CycleGAN
from ganzoo_zoo.families.mlp import MLP

ALIKE = {"rtol": 0, "atol": 0}


@pytest.fixture
def model(tiny_run):
    return ganzoo.load(tiny_run)


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    """A finished run of a DCGAN that is told the class."""
    return ganzoo.train(
        "dcgan",
        out=tmp_path_factory.mktemp("runs") / "conditional",
        settings={
            **{"arch.base_channels": 4, "arch.z_dim": 8, "data.image_size": 16},
            "arch.conditional": True,
        },
        recipe="paper",
        steps=1,
        batch_size=4,
        device="cpu",
    )


def normal(count, length, seed=0):
    return torch.randn(count, length, generator=torch.Generator().manual_seed(seed))


# The way ----------------------------------------------------------------------------------------


def test_the_way_is_an_arc_at_an_even_pace():
    start, end = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[0.0, 2.0, 0.0]])
    for share in (0.0, 0.25, 1 / 3, 0.5, 1.0):
        angle = share * math.pi / 2
        wanted = torch.tensor([[2 * math.cos(angle), 2 * math.sin(angle), 0.0]])
        torch.testing.assert_close(slerp(start, end, share), wanted)


def test_the_way_has_the_closed_form_of_the_paper():
    one, other = normal(5, 7, 1).double(), normal(5, 7, 2).double()
    cosines = (one * other).sum(1) / one.norm(dim=1) / other.norm(dim=1)
    for share in (0.1, 0.7):
        for i, angle in enumerate(cosines.acos().tolist()):
            left = math.sin((1 - share) * angle) / math.sin(angle)
            done = math.sin(share * angle) / math.sin(angle)
            wanted = left * one[i] + done * other[i]
            torch.testing.assert_close(slerp(one, other, share)[i], wanted)


def test_latents_keep_their_length_and_spread_on_the_way():
    one, other = normal(400, 128, 1), normal(400, 128, 2)
    for share in (0.25, 0.5):
        between = slerp(one, other, share)
        assert between.norm(dim=1).mean().item() == pytest.approx(128**0.5, rel=0.02)
        assert between.std().item() == pytest.approx(1, rel=0.02)
        straight = one.lerp(other, share)
        assert straight.norm(dim=1).mean() < 0.85 * between.norm(dim=1).mean()


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_between_uniform_latents_lie_uniform_ones(share):
    one, other = (normal(400, 128, seed).div(2**0.5).erf() for seed in (1, 2))
    edge = torch.tensor([[-1.0, 1.0, -1.0, 0.0]])
    between = slerp_uniform(one, other, share)
    for moment, wanted in ((1, 0), (2, 1 / 3), (4, 1 / 5)):
        assert between.pow(moment).mean().item() == pytest.approx(wanted, abs=0.01)
    if share in (0, 1):
        assert torch.equal(between, other if share else one)
    assert bool(slerp_uniform(edge, -edge, share).isfinite().all())


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_where_there_is_no_arc_the_way_is_straight(share):
    start = torch.tensor([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0], [0.0, 0.0], [1e-30, 0.0], [3.0, 0.0]])
    end = torch.tensor([[2.0, 4.0], [-2.0, -4.0], [0.0, 0.0], [5.0, 1.0], [0.0, 1e-30], [3.0, 0.0]])
    found = slerp(start, end, share)
    assert bool(found.isfinite().all())
    torch.testing.assert_close(found[:3], start[:3].lerp(end[:3], share))
    torch.testing.assert_close(found[5], start[5])
    one = torch.tensor([[1.5], [-0.5]])
    torch.testing.assert_close(slerp(one, -2 * one, share), one.lerp(-2 * one, share))


def test_the_way_begins_and_ends_where_it_is_told():
    one, other = normal(300, 4, 1), normal(300, 4, 2)
    assert slerp(one, other, 0.0).dtype == torch.float32
    torch.testing.assert_close(slerp(one, other, 0.0), one)
    torch.testing.assert_close(slerp(one, other, 1.0), other)
    torch.testing.assert_close(slerp(one, other, 0.3), slerp(other, one, 0.7))


# A model ----------------------------------------------------------------------------------------


def test_the_frame_at_a_seed_is_its_sample(model):
    walk = model.walk(3, [4, 0, 9], 5)
    assert walk.shape == (11, 3, 1, 16, 16)
    assert (walk.dtype, walk.device.type) == (torch.float32, "cpu")
    for frame, seed in ((0, 4), (5, 0), (10, 9)):
        assert torch.equal(walk[frame], model.sample(3, seed))
    steps = (walk[1:] - walk[:-1]).square().flatten(1).mean(1)
    whole = (walk[5] - walk[0]).square().mean()
    assert bool((steps > 0).all())
    assert bool((steps < whole).all())


def test_frames_between_are_of_latents_between(model):
    (half,) = model.walk(2, [0, 1], 2)[1:2]
    between = slerp(model.inputs.latents(2, 0), model.inputs.latents(2, 1), 0.5)
    wanted = GeneratorInput(between).through(model.generator)
    torch.testing.assert_close(half, wanted)


def test_a_loop_comes_back_and_does_not_repeat_the_first_frame(model):
    walk = model.walk(2, [0, 1], 4, loop=True)
    assert len(walk) == len(model.inputs.walk(2, [0, 1], 4, loop=True)) == 8
    back = torch.stack([walk[i] for i in (0, 7, 6, 5, 4)])
    torch.testing.assert_close(back, walk[:5], msg="the way back is the way there")


@pytest.mark.parametrize("frames", [1, 2, 7])
@pytest.mark.parametrize("loop", [False, True])
def test_a_walk_has_as_many_frames_as_it_says(model, frames, loop):
    walk = model.inputs.walk(1, [3, 3, 1], frames, loop)
    assert len(list(walk)) == len(list(walk)) == len(walk) == 3 * frames if loop else 2 * frames + 1
    assert all(inputs.given.shape == (1, 8) for inputs in walk)


def test_many_samples_are_those_of_their_seed(model):
    walk = model.walk(300, [0, 1], 1)
    assert torch.equal(walk[1], model.sample(300, 1))


def test_a_class_stays_on_the_way(conditional):
    model = ganzoo.load(conditional)
    in_turn = model.walk(12, [0, 1], 3)
    assert torch.equal(in_turn[3], model.sample(12, 1))
    threes = model.walk(2, [0, 1], 3, label=3)
    assert torch.equal(threes[0], model.sample(2, 0, label=3))
    assert [inputs.labels.tolist() for inputs in model.inputs.walk(2, [0, 1], 1, label=3)] == [
        [3, 3],
        [3, 3],
    ]
    each = model.walk(2, [0, 1], 1, label=torch.tensor([3, 7]))
    assert torch.equal(each[1], model.sample(2, 1, label=torch.tensor([3, 7])))


def test_a_walk_is_truncated_as_samples_are(model):
    walk = model.walk(2, [0, 1], 3, truncation=0.4)
    assert torch.equal(walk[3], model.sample(2, 1, truncation=0.4))
    assert not torch.allclose(walk, model.walk(2, [0, 1], 3))


def test_nothing_random_is_touched(model):
    before = torch.get_rng_state()
    assert torch.equal(model.walk(2, [0, 1], 3), model.walk(2, [0, 1], 3))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("seeds", "options", "message"),
    [
        ([], {}, "needs two seeds or more"),
        ([1], {"loop": True}, "needs two seeds or more"),
        ([0, 1], {"frames": 0}, "frames must be at least 1, not 0"),
        ([0, 1], {"label": 1}, "no classes to choose from"),
        ([0, 1], {"truncation": -1}, "must be a number above 0"),
        ([0, 1], {"frames": 10**9}, r"2000000002|1000000001 frames of 2 samples would take"),
    ],
)
def test_what_is_no_walk_is_refused(model, seeds, options, message):
    with pytest.raises(InputError, match=message):
        model.walk(2, seeds, **options)


class Uniform(MLP):
    """Starts from uniform noise."""

    def latents(self, count, rng):
        return torch.rand(count, self.z_dim, generator=rng)


class StraightOn(Uniform):
    """Says what lies between."""

    def interpolate(self, start, end, share):
        return start.lerp(end, share)


def with_architecture(model, architecture):
    return ganzoo.Model(model.folder, model.config, architecture, model.generator)


def test_latents_of_another_prior_are_not_taken_for_normal(model):
    with pytest.raises(InputError, match="does not say what lies between them"):
        with_architecture(model, Uniform(z_dim=8)).walk(2, [0, 1])
    own = with_architecture(model, StraightOn(z_dim=8))
    for inputs in own.inputs.walk(2, [0, 1], 5):
        assert bool(((inputs.given >= 0) & (inputs.given <= 1)).all())
    assert torch.equal(own.walk(2, [0, 1], 5)[5], own.sample(2, 1))


def test_a_translator_has_no_walk(model):
    with pytest.raises(InputError, match="translates images and cannot walk"):
        with_architecture(model, CycleGAN()).walk(2, [0, 1])


# The command ------------------------------------------------------------------------------------


@pytest.fixture
def run(tiny_run):
    return shutil.copytree(tiny_run.path, "run")


def frames_of(file, mode=None):
    """Return the pictures of a movie, and for how long each is shown."""
    found = []
    with Image.open(file) as movie:
        for number in range(movie.n_frames):
            movie.seek(number)
            movie.load()
            shown = movie.convert(mode) if mode else movie.copy()
            found.append((shown, movie.info["duration"]))
    return found


@pytest.mark.parametrize("suffix", ["webp", "gif"])
@pytest.mark.parametrize("more", [[], ["--truncation", "0.5"]])
def test_the_frame_at_a_seed_is_the_picture_of_sample(run, ganzoo_cli, suffix, more):
    drawn = ["-n", "5", "--device", "cpu", *more]
    walk = ["sample", "run", "--walk", "3,8", "--frames", "4", *drawn, "--out", f"new/w.{suffix}"]
    result = ganzoo_cli(*walk)
    assert (result.code, result.out, result.err) == (0, f"new/w.{suffix}\n", "")
    found = frames_of(f"new/w.{suffix}", "L")
    assert [duration for _, duration in found] == [40] * 5
    for frame, seed in ((0, 3), (4, 8)):
        assert ganzoo_cli("sample", "run", "--seed", seed, *drawn).code == 0
        with Image.open(f"samples-{seed}.png") as picture:
            assert picture.tobytes() == found[frame][0].tobytes()
    first = Path(f"new/w.{suffix}").read_bytes()
    assert ganzoo_cli(*walk, "--force").code == 0
    assert Path(f"new/w.{suffix}").read_bytes() == first


def test_a_walk_of_classes_has_columns_of_each(conditional, ganzoo_cli):
    shutil.copytree(conditional.path, "run")
    walk = ["sample", "run", "--walk", "0,1", "--frames", "1", "-n", "20", "--device", "cpu"]
    assert ganzoo_cli(*walk, "--out", "all.webp").code == 0
    assert ganzoo_cli("sample", "run", "--seed", "1", "-n", "20", "--out", "all.png").code == 0
    with Image.open("all.png") as picture:
        assert picture.tobytes() == frames_of("all.webp", "L")[1][0].tobytes()
    assert ganzoo_cli(*walk, "--label", "7", "--out", "sevens.webp").code == 0
    stored = images.to_uint8(ganzoo.load("run").sample(20, 1, label=7))
    sevens = frames_of("sevens.webp", "L")[1][0].tobytes()
    assert sevens == images.grid(stored)[0].numpy().tobytes()


def test_a_walk_of_points_is_plotted(ganzoo_cli):
    ring = "train mlp --data ring --set data.samples=60 --set arch.hidden=4 --steps 1 --out ring"
    assert ganzoo_cli(*ring.split(), "--batch-size=4", "--device=cpu").code == 0
    walk = ["sample", "ring", "--walk", "0,1", "--frames", "2", "-n", "30", "--device", "cpu"]
    assert ganzoo_cli(*walk, "--out", "points.gif").code == 0
    assert ganzoo_cli("sample", "ring", "--seed", "1", "-n", "30", "--out", "points.png").code == 0
    with Image.open("points.png") as picture:
        assert picture.tobytes() == frames_of("points.gif", "RGB")[2][0].tobytes()


def test_a_walk_as_json_and_its_default_name(run, ganzoo_cli):
    asked = ["--walk", "0, 1,5", "--frames", "2", "--loop", "-n", "1", "--device", "cpu"]
    result = ganzoo_cli("sample", "run", *asked, "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out) == {
        "model": "run/model",
        "seeds": [0, 1, 5],
        "frames": 2,
        "loop": True,
        "label": None,
        "truncation": None,
        "codes": {},
        "files": ["walk-0-1-5.webp"],
    }
    assert len(frames_of("walk-0-1-5.webp")) == 6


def test_a_movie_says_that_it_is_generated(run, ganzoo_cli):
    asked = ["--walk", "0,1", "--frames", "1", "-n", "1", "--truncation", "0.7"]
    for suffix in ("gif", "webp"):
        assert ganzoo_cli("sample", "run", *asked, "--out", f"w.{suffix}").code == 0
    said = "Generated by a GAN, not a photograph. Model: dcgan trained with wgan-gp on digits, step"
    with Image.open("w.gif") as movie:
        comment = movie.info["comment"].decode()
    assert comment == f"{said} 4. Seed: 0, 1. Truncation: 0.7."
    with Image.open("w.webp") as movie:
        assert b"trainedAlgorithmicMedia" in movie.info["xmp"]
        assert comment.encode() in movie.info["xmp"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("--walk 0", "--walk 0: give two seeds or more, such as 0,1,5"),
        ("--walk 0,x", "--walk 0,x: give two seeds or more, such as 0,1,5"),
        ("--walk 0,-1", "--walk 0,-1: give two seeds or more, such as 0,1,5"),
        ("--walk 0,", "--walk 0,: give two seeds or more, such as 0,1,5"),
        ("--walk 0,1 --seed 0", "--walk has its own seeds: drop --seed and --source"),
        ("--walk 0,1 --source x", "--walk has its own seeds: drop --seed and --source"),
        ("--frames 3", "--frames and --loop need --walk"),
        ("--loop", "--frames and --loop need --walk"),
        ("--walk 0,1 --out w.png", "w.png: write a movie to a .gif, a .webp or an .mp4"),
        ("--walk 0,1 --out run", "run: write a movie to a .gif, a .webp or an .mp4"),
        ("--walk 0,1 --label 3", "this model has no classes to choose from: drop --label"),
        ("--walk 0,1 --truncation 0", "truncation must be a number above 0, not 0.0"),
        ("--walk 0,1 --out there.gif", "there.gif already exists; choose another --out, or add"),
    ],
)
def test_what_is_no_walk_is_refused_in_a_line(run, refused, asked, message):
    Path("there.gif").write_text("precious")
    before = sorted(Path().iterdir())
    assert refused("sample", "run", *asked.split()).startswith(f"Error: {message}")
    assert sorted(Path().iterdir()) == before
    assert Path("there.gif").read_text() == "precious"
