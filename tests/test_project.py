"""Projection: finding the latent or the styles from which a model makes an image."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import ganzoo
from ganzoo import LatentPart
from ganzoo.errors import InputError
from ganzoo.media.images import load_png, save_png, to_uint8
from ganzoo.storage.tensors import load_tensors
from ganzoo_zoo.apps.project import project
from ganzoo_zoo.apps.project.search import pixel_loss
from ganzoo_zoo.families.cyclegan import CycleGAN
from ganzoo_zoo.families.mlp import MLP

ENOUGH = 0.02
"""Mean difference of pixels, from 0 to 1, below which an own sample counts as found."""


@pytest.fixture
def model(styled_run):
    """A model whose samples differ as much as those of a trained one."""
    model = ganzoo.load(styled_run)
    with torch.no_grad():
        for layer in model.generator.synthesis.layers:
            layer.style.weight.mul_(4)
    return model


def by_itself(model, architecture, generator):
    """Return a model of other networks, for the same data."""
    return ganzoo.Model(None, model.config, architecture, generator.eval().requires_grad_(False))


# What is found ----------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["w+", "w", "z"])
def test_a_model_finds_its_own_samples(model, space):
    wanted = model.sample(2, seed=7)
    found = project(model, wanted, space, steps=60, restarts=2, device="cpu")
    assert torch.equal(found.targets, to_uint8(wanted))
    assert len(found.errors) == 2
    assert max(found.errors) < ENOUGH < (wanted[0] - wanted[1]).abs().mean() / 4
    between = (found.images.double() - found.targets.double()).abs().flatten(1).mean(1) / 255
    assert found.errors == pytest.approx(between.tolist(), rel=1e-5)
    if space == "z":
        assert found.found.shape == (2, 8)
        made = model.generator(found.found)["samples"]
    else:
        assert found.found.shape == (2, 2, 8)
        made = model.styles.synthesis(found.found)["samples"]
        assert torch.equal(found.found[:, 0], found.found[:, 1]) == (space == "w")
    assert torch.equal(to_uint8(made), found.images)


def test_a_style_for_each_layer_finds_what_one_for_all_cannot(model):
    mixed = model.mix(1, [1], seed=2)[1, 1][None]
    errors = {
        space: project(model, mixed, space, steps=80, restarts=2, device="cpu").errors[0]
        for space in ("w+", "w")
    }
    assert 5 * errors["w+"] < errors["w"] < ENOUGH


def test_a_search_comes_nearer_and_repeats_itself(model):
    wanted = model.sample(1, seed=1)
    found, again = (project(model, wanted, steps=50, seed=3, device="cpu") for _ in range(2))
    assert found.space == "w+"
    assert torch.equal(found.path, again.path)
    assert found.path.shape == (51, 1, 2, 8)
    made = model.styles.synthesis(found.path[:, 0])["samples"]
    away = (made - wanted).abs().flatten(1).mean(1)
    assert away[-1] < away[0] / 10
    assert not torch.equal(project(model, wanted, steps=50, seed=4, device="cpu").path, found.path)


def test_more_images_than_fit_at_once_are_found_in_turn(model, monkeypatch):
    wanted = model.sample(3, seed=1)
    monkeypatch.setattr("ganzoo_zoo.apps.project.search.AT_ONCE", 4)
    found = project(model, wanted, steps=50, restarts=2, device="cpu")
    assert (len(found.found), len(found.errors), found.path.shape[1]) == (3, 3, 3)
    assert max(found.errors) < ENOUGH


class Coded(MLP):
    """Starts from noise, a uniform code and a category."""

    def latent_parts(self):
        return (
            LatentPart("z", 3),
            LatentPart("tilt", 2, "uniform"),
            LatentPart("kind", 3, "category"),
        )

    def generator(self, data):
        layers = nn.Linear(8, 24), nn.LeakyReLU(0.2), nn.Linear(24, data.size), nn.Tanh()
        return nn.Sequential(*layers, nn.Unflatten(1, data.shape))


def test_uniform_codes_stay_within_and_categories_whole(model):
    torch.manual_seed(0)
    coded = Coded()
    own = by_itself(model, coded, coded.generator(model.config.spec))
    with torch.no_grad():
        own.generator[2].weight.mul_(4)
    codes = {"kind": 2, "tilt": [1.0, -1.0]}
    wanted = own.sample(1, seed=9, codes=codes)
    found = project(own, wanted, steps=60, device="cpu")
    assert found.space == "z"
    assert found.found[0, 5:].tolist() == [0, 0, 1]
    assert float(found.path[..., 3:5].abs().max()) <= 1
    assert found.errors[0] < ENOUGH


def test_classes_are_found_too(tmp_path):
    settings = {"arch.base_channels": 2, "arch.z_dim": 4, "arch.conditional": True}
    run = ganzoo.train(
        "dcgan",
        out=tmp_path / "run",
        settings={**settings, "data.image_size": 16},
        recipe="paper",
        steps=0,
        device="cpu",
    )
    model = ganzoo.load(run)
    with torch.no_grad():  # the class shows, as it does after a training
        for name, weight in model.generator.named_parameters():
            if "gain" in name or "bias" in name:
                weight.copy_(
                    0.5 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
                )
    wanted = model.sample(1, seed=5, label=7)
    found = project(model, wanted, steps=40, restarts=6, device="cpu")
    assert (found.space, found.labels.tolist()) == ("z", [7])
    assert project(model, wanted, steps=2, label=3, device="cpu").labels.tolist() == [3]


def test_the_loss_is_that_of_a_pyramid():
    one, other = torch.rand(2, 3, 3, 16, 20, dtype=torch.float64)
    losses = []
    for factor in (1, 2, 4):
        height, width = 16 // factor, 20 // factor
        total = 0.0
        for y in range(height):
            for x in range(width):
                box = (
                    ...,
                    slice(y * factor, (y + 1) * factor),
                    slice(x * factor, (x + 1) * factor),
                )
                total = total + (one[box].mean((2, 3)) - other[box].mean((2, 3))).square().sum(1)
        losses.append(total / (3 * height * width))
    torch.testing.assert_close(pixel_loss(one, other), sum(losses) / 3)


# What cannot be found ---------------------------------------------------------------------------


def test_what_a_model_cannot_project_is_refused(model, tiny_run):
    dcgan = ganzoo.load(tiny_run)
    with pytest.raises(InputError, match="--space w: this model has no styles; use --space z"):
        project(dcgan, "sample:0", "w")
    with pytest.raises(InputError, match=r"--space q: choose w\+, w, z"):
        project(model, "sample:0", "q")
    with pytest.raises(InputError, match=r"give \(N, 1, 16, 16\), not \(2, 3, 16, 16\)"):
        project(model, torch.zeros(2, 3, 16, 16))
    with pytest.raises(InputError, match="the number of steps must be at least 1"):
        project(model, "sample:0", steps=0)
    translator = by_itself(model, CycleGAN(), model.generator)
    with pytest.raises(InputError, match="makes samples from images, and has no latents"):
        project(translator, "sample:0")

    class OwnLatents(MLP):
        def latents(self, count, rng):
            return torch.rand(count, self.z_dim, generator=rng)

    with pytest.raises(InputError, match="draws latents of its own"):
        project(by_itself(model, OwnLatents(), model.generator), "sample:0")


# The command ------------------------------------------------------------------------------------


@pytest.fixture
def run(styled_run):
    return shutil.copytree(styled_run.path, "run")


def test_the_command_writes_what_was_found(run, ganzoo_cli):
    model = ganzoo.load("run")
    asked = ["--steps", "40", "--restarts", "2", "--device", "cpu", "--json"]
    result = ganzoo_cli("project", "run", "sample:7", *asked)
    assert result.code == 0, result.err
    told = json.loads(result.out)
    (image,) = told["images"]
    assert (told["space"], image["name"]) == ("w+", "sample:7")
    assert image["error"] < ENOUGH
    names = ["projection.png", "search.webp", "found.safetensors", "projection.json"]
    assert told.pop("files") == [f"projection/{name}" for name in names]
    assert json.loads(Path("projection/projection.json").read_text()) == told
    found = load_tensors(Path("projection/found.safetensors"))
    made = to_uint8(model.styles.synthesis(found["found"])["samples"])
    picture, texts = load_png(Path("projection/projection.png"))
    assert texts["ganzoo:target"] == "sample:7"
    assert torch.equal(picture[:, 2:66:4, 68:132:4], made[0])
    assert torch.equal(picture[:, 2:66:4, 2:66:4], to_uint8(model.sample(1, seed=7))[0])
    with Image.open("projection/search.webp", formats=["WEBP"]) as movie:
        assert 1 < movie.n_frames <= 41  # frames that are alike become one
        assert movie.size == (picture.shape[2], picture.shape[1])


def test_files_and_folders_are_cropped_and_resized(run, ganzoo_cli):
    Path("photos").mkdir()
    wide = torch.zeros(3, 20, 60, dtype=torch.uint8)
    wide[:, :, 20:40] = 200
    for name in ("a", "b"):
        save_png(wide, Path("photos") / f"{name}.png", {})
    asked = ["--steps", "1", "--restarts", "1", "--space", "w", "--device", "cpu", "--json"]
    result = ganzoo_cli(
        "project", "run", "photos/a.png", *asked, "--out", "one", "--movie", "m.gif"
    )
    assert result.code == 0, result.err
    assert "cropped around the centre to the shape of 16 x 16, resized, as grey" in result.err
    picture, _ = load_png(Path("one/projection.png"))
    assert bool((picture[:, 2:66, 2:66] == 200).all())
    assert Path("m.gif").exists()
    assert not Path("one/search.webp").exists()
    told = json.loads(ganzoo_cli("project", "run", "photos", *asked).out)
    assert [row["name"] for row in told["images"]] == ["a.png", "b.png"]
    assert all(math.isfinite(row["error"]) for row in told["images"])


def test_the_command_refuses_in_one_line(run, refused, tiny_run):
    Path("text.png").write_text("not an image")
    message = refused("project", "run", "text.png")
    assert "text.png cannot be read as an image" in message
    assert "/tmp" not in message.replace(str(Path.cwd()), "")
    assert "there is no image missing.png" in refused("project", "run", "missing.png")
    assert "drop --label" in refused("project", "run", "sample:0", "--label", "1")
    assert "write a movie to a .gif" in refused("project", "run", "sample:0", "--movie", "m.png")
    shutil.copytree(tiny_run.path, "dcgan")
    assert "has no styles" in refused("project", "dcgan", "sample:0", "--space", "w+")
    Path("projection").mkdir()
    Path("projection/projection.json").touch()
    assert "has a projection already" in refused("project", "run", "sample:0")
