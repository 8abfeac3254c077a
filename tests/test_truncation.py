"""Truncation: fewer different samples, of latents nearer to the middle."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

import ganzoo
from ganzoo.errors import InputError
from ganzoo.media.images import to_uint8
from ganzoo.protocols.architecture import Architecture
from ganzoo.protocols.latents import truncate_normal
from ganzoo.registry import ARCHITECTURE, get
from ganzoo_zoo.families.cyclegan import CycleGAN
from ganzoo_zoo.families.mlp import MLP


@pytest.fixture
def model(tiny_run):
    return ganzoo.load(tiny_run)


def moved(latents, truncation):
    return truncate_normal(latents, truncation)


def drawn(count, seed=0):
    return torch.randn(count, generator=torch.Generator().manual_seed(seed))


# The distribution -------------------------------------------------------------------------------


def density(x):
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def below(x):
    return (1 + math.erf(x / math.sqrt(2))) / 2


@pytest.mark.parametrize("truncation", [0.1, 0.5, 1.0, 2.0, 4.0])
def test_moments_are_those_of_the_truncated_normal(truncation):
    t = truncation
    found = moved(drawn(400_000), t).double()
    within = below(t) - below(-t)
    variance = 1 - 2 * t * density(t) / within
    fourth = 3 * variance - 2 * t**3 * density(t) / within
    # Of so many numbers, the largest of 15 such errors is near to three of these.
    assert abs(found.mean()) < 4 * (variance / len(found)) ** 0.5
    assert found.square().mean().item() == pytest.approx(variance, rel=0.01)
    assert found.pow(4).mean().item() == pytest.approx(fourth, rel=0.02)
    assert found.abs().max() <= t


@pytest.mark.parametrize("truncation", [0.3, 1.0, 3.0])
def test_as_much_lies_below_as_before(truncation):
    latents = torch.linspace(-6, 6, 101, dtype=torch.float64)
    found = moved(latents, truncation)
    assert bool((found.diff() >= 0).all())
    torch.testing.assert_close(found, -found.flip(0), msg="as many above 0 as below")
    low, high = below(-truncation), below(truncation)
    for z, x in zip(latents.tolist(), found.tolist(), strict=True):
        assert (below(x) - low) / (high - low) == pytest.approx(below(z), abs=1e-12)


def test_a_large_truncation_is_none():
    latents = torch.cat([drawn(10_000), torch.tensor([-37.0, -9.5, 0.0, 9.5, 12.0, 37.0])])
    torch.testing.assert_close(moved(latents, 1e300), latents, rtol=1e-6, atol=0)
    torch.testing.assert_close(moved(latents[:-6], 10.0), latents[:-6], rtol=1e-6, atol=0)
    assert (moved(latents, 3.0) - latents).abs().median() < 0.003


@pytest.mark.parametrize("truncation", [5e-324, 1e-300, 1e-8, 1.0, 30.0, 100.0, 1e300])
def test_latents_at_the_edge_stay_numbers_within(truncation):
    latents = torch.tensor([0.0, -0.0, 1e-45, 8.3, -8.3, 40.0, -100.0, 3e38])
    found = moved(latents, truncation)
    assert found.dtype == torch.float32
    assert bool(found.isfinite().all())
    assert float(found.double().abs().max()) <= truncation * (1 + 1e-6)


# A model ----------------------------------------------------------------------------------------


def test_the_same_seed_gives_a_sample_that_can_be_recognised(model):
    plain = model.sample(50, seed=3)
    near, far = (model.sample(50, seed=3, truncation=t) for t in (2.0, 0.2))
    assert torch.equal(far, model.sample(50, seed=3, truncation=0.2))
    away = [(truncated - plain).square().mean() for truncated in (near, far)]
    assert 0 < away[0] < away[1]
    variety = [samples.std(0).mean() for samples in (plain, near, far)]
    assert variety[0] > variety[1] > variety[2] > 0


@pytest.mark.parametrize("more", [6, 256, 257])
def test_more_samples_begin_with_the_same_ones(model, more):
    few = model.sample(5, truncation=0.5)
    torch.testing.assert_close(model.sample(more, truncation=0.5)[:5], few)


def test_without_truncation_nothing_changes(model):
    before = torch.get_rng_state()
    plain = model.sample(4)
    assert model.with_truncation(None) is model
    assert torch.equal(model.sample(4, truncation=None), plain)
    torch.testing.assert_close(model.sample(4, truncation=10), plain, rtol=1e-3, atol=1e-4)
    assert torch.equal(model.sample(4), plain), "the generator stays as it is"
    assert not any(module.training for module in model.generator.modules())
    assert torch.equal(before, torch.get_rng_state())


def test_stored_samples_are_truncated_alike(model):
    stored = model.with_truncation(0.5).generate(model.inputs.draw(4, 0), stored=True)
    assert torch.equal(stored, to_uint8(model.sample(4, truncation=0.5)))


def test_classes_are_kept(tmp_path):
    small = {"arch.base_channels": 4, "arch.z_dim": 8, "data.image_size": 16}
    run = ganzoo.train(
        "dcgan",
        out=tmp_path / "run",
        settings={**small, "arch.conditional": True},
        steps=1,
        batch_size=4,
        device="cpu",
    )
    model = ganzoo.load(run)
    zeros, threes = (model.sample(2, label=label, truncation=0.5) for label in (0, 3))
    assert not torch.equal(zeros, threes)
    in_turn = model.sample(4, truncation=0.5)
    torch.testing.assert_close(in_turn[:1], zeros[:1])
    torch.testing.assert_close(in_turn[3], model.sample(4, label=3, truncation=0.5)[3])


@pytest.mark.parametrize("truncation", [0, -1.0, math.nan, math.inf, -math.inf])
def test_what_is_no_truncation_is_refused(model, truncation):
    with pytest.raises(InputError, match=f"must be a number above 0, not {truncation}"):
        model.sample(2, truncation=truncation)


class OwnLatents(MLP):
    """Starts from uniform noise, and does not say how that is truncated."""

    def latents(self, count, rng):
        return torch.rand(count, self.z_dim, generator=rng)


class InAnotherSpace(MLP):
    """Truncates by itself."""

    def latents(self, count, rng):
        return torch.rand(count, self.z_dim, generator=rng)

    def truncate(self, generator, truncation):
        return torch.nn.Sequential(Scaled(min(truncation, 1.0)), generator)


class Scaled(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, latents):
        return self.factor * latents


def with_architecture(model, architecture):
    return ganzoo.Model(model.folder, model.config, architecture, model.generator)


def test_uniform_latents_stay_uniform():
    architecture = get(ARCHITECTURE, "dcgan")(z_dim=50, prior="uniform")
    latents = architecture.latents(400, torch.Generator().manual_seed(0))
    assert latents.square().mean().item() == pytest.approx(1 / 3, rel=0.02)
    for truncation in (0.25, 1.0, 10.0):
        found = architecture.truncate(torch.nn.Identity(), truncation)(latents)
        torch.testing.assert_close(found, latents * min(truncation, 1))


def test_latents_of_another_prior_are_not_taken_for_normal(model):
    own = with_architecture(model, OwnLatents(z_dim=8))
    assert own.sample(2).shape == (2, 1, 16, 16)
    with pytest.raises(InputError, match="draws latents of its own"):
        own.sample(2, truncation=0.5)


def test_an_architecture_may_truncate_by_itself(model):
    own = with_architecture(model, InAnotherSpace(z_dim=8))
    assert own.architecture.latents is not Architecture.latents
    torch.testing.assert_close(own.sample(3, truncation=5), own.sample(3))
    assert not torch.allclose(own.sample(3, truncation=0.5), own.sample(3))


def test_translations_have_none(model):
    translator = with_architecture(model, CycleGAN())
    with pytest.raises(InputError, match="translates images: drop --truncation"):
        translator.with_truncation(0.5)


# The command ------------------------------------------------------------------------------------


@pytest.fixture
def run(tiny_run):
    return shutil.copytree(tiny_run.path, "run")


def test_the_command_truncates_and_says_so(run, ganzoo_cli):
    asked = ["-n", "4", "--seed", "5", "--device", "cpu", "--out", "new", "--json"]
    result = ganzoo_cli("sample", "run", "--truncation", "0.5", *asked)
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out)["truncation"] == 0.5
    stored = to_uint8(ganzoo.load("run").sample(4, seed=5, truncation=0.5))
    for i in range(4):
        with Image.open(f"new/seed5-{i:05d}.png") as picture:
            assert bytes(picture.tobytes()) == stored[i].numpy().tobytes()
            assert picture.text["ganzoo:truncation"] == "0.5"
            assert picture.text["Description"].endswith("Seed: 5. Truncation: 0.5.")
            assert "Truncation: 0.5." in picture.text["XML:com.adobe.xmp"]
    result = ganzoo_cli("sample", "run", *asked, "--force")
    assert json.loads(result.out)["truncation"] is None
    with Image.open("new/seed5-00000.png") as picture:
        assert "ganzoo:truncation" not in picture.text
        assert "Truncation" not in picture.text["Description"]


@pytest.mark.parametrize("given", ["0", "-0.5", "nan", "inf"])
def test_the_command_refuses_in_one_line(run, refused, given):
    message = refused("sample", "run", "--truncation", given, "--out", "new")
    assert message == f"Error: truncation must be a number above 0, not {float(given)}"
    assert not Path("new").exists()


def test_a_translator_has_no_truncation(ganzoo_cli, refused, tmp_path):
    for name, shade in (("a", 0), ("b", 255)):
        (tmp_path / "domains" / name).mkdir(parents=True)
        for i in range(2):
            Image.new("L", (16, 16), shade).save(tmp_path / "domains" / name / f"{i}.png")
    small = "--image-size=24 --set=arch.base_channels=2 --set=arch.blocks=0"
    tiny = f"{small} --batch-size=2 --steps=0 --device=cpu --out=run"
    trained = ganzoo_cli("train", "cyclegan", "--data=domains/", *tiny.split())
    assert trained.code == 0, trained
    source = ["--source", "missing/", "--label", "a"]
    assert refused("sample", "run", *source, "--truncation", "0.5") == (
        "Error: this model translates images: drop --truncation"
    )
