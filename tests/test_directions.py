"""Directions in which samples change most, and the sheets that show them."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

import ganzoo
from ganzoo import Architecture, GeneratorInput, LatentPart
from ganzoo.errors import InputError
from ganzoo.media.images import grid, load_png
from ganzoo.nn import EqualizedLinear, fuse
from ganzoo_zoo.apps.directions import write_directions
from ganzoo_zoo.apps.directions.files import read_directions
from ganzoo_zoo.apps.shared.directions import draw_points, find_directions, move, start_points
from ganzoo_zoo.apps.shared.first_layers import find_affine_map
from ganzoo_zoo.families.cyclegan import CycleGAN


@pytest.fixture
def model(styled_run):
    return ganzoo.load(styled_run)


def same_axes(found, wanted, tolerance=1e-4):
    """Assert that directions are equal but for their signs."""
    cosines = (found.double() * wanted).sum(1).abs()
    torch.testing.assert_close(cosines, torch.ones_like(cosines), rtol=0, atol=tolerance)


def eigenvectors(weight):
    """Return the right singular vectors of a weight, those of the largest values first."""
    return torch.linalg.svd(weight.double()).Vh


class Layered(Architecture):
    """Any layers, from latents of three parts."""

    parts: tuple = ()

    def latent_parts(self):
        return self.parts

    def generator(self, data):
        raise NotImplementedError

    discriminator = generator


PLAIN = (LatentPart("z", 6),)


class First(nn.Module):
    """A layer that sees the first half of a latent."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, latents):
        return self.layer(latents[:, :3]).tanh()


def of_layers(model, *layers, parts=PLAIN):
    """Return a model of some layers, which begin with a latent and end with one number or more."""
    torch.manual_seed(0)
    spec = model.config.spec
    last = nn.Sequential(nn.Flatten(), nn.LazyLinear(spec.size), nn.Unflatten(1, spec.shape))
    network = fuse(nn.Sequential(*layers, last)).eval()
    network(torch.randn(2, sum(part.size for part in parts)))
    return ganzoo.Model(None, model.config, Layered(parts=parts), network.requires_grad_(False))


# Closed-form directions -------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [None, [0], [1]])
def test_directions_of_styles_are_eigenvectors_of_their_affine_maps(model, layers):
    found = find_directions(model, 3, layers=layers)
    chosen = [model.generator.synthesis.layers[i].style.weight for i in layers or (0, 1)]
    gram = sum(weight.double().T @ weight.double() for weight in chosen)
    same_axes(found.vectors, eigenvectors(gram)[:3])
    assert (found.method, found.space) == ("sefa", "w")
    assert found.layers == tuple(layers or (0, 1))
    values = torch.linalg.eigvalsh(gram).flip(0)[:3]
    torch.testing.assert_close(found.strengths.double(), values)
    styles = model.styles.mapping(model.inputs.latents(4000, 1))[:, 0]
    torch.testing.assert_close(
        (styles @ found.vectors.T).std(0), found.deviations, rtol=0.1, atol=0
    )


def linear(kind):
    """Return the first layers of a generator, and their weight ``(K, 6)`` by hand."""
    if kind == "linear":
        layer = nn.Linear(6, 9)
        return [layer], layer.weight
    if kind == "equalised":
        layer = EqualizedLinear(6, 9, lr_multiplier=0.1)
        return [layer], layer.weight * layer.weight_scale
    if kind == "spectral":
        layer = spectral_norm(nn.Linear(6, 9)).eval()
        return [layer], layer.weight
    if kind == "transposed":
        layer = nn.ConvTranspose2d(6, 4, (2, 3), bias=False)
        return [nn.Unflatten(1, (6, 1, 1)), layer], layer.weight.flatten(1).T
    layer = nn.Conv2d(6, 9, 1)
    return [nn.Unflatten(1, (6, 1, 1)), layer], layer.weight.flatten(1)


@pytest.mark.parametrize("kind", ["linear", "equalised", "spectral", "transposed", "convolution"])
def test_directions_of_latents_are_eigenvectors_of_the_first_layer(model, kind):
    layers, weight = linear(kind)
    own = of_layers(model, *layers, nn.BatchNorm2d(4) if kind == "transposed" else nn.Tanh())
    found = find_directions(own, 4)
    assert (found.method, found.space, found.layers) == ("sefa", "z", ())
    same_axes(found.vectors, eigenvectors(weight)[:4])
    assert found.deviations.tolist() == pytest.approx([1.0] * 4)


def test_layers_that_are_not_affine_or_see_no_whole_latent_are_passed_by(model):
    inputs = GeneratorInput(torch.randn(2, 6))
    first = nn.Linear(6, 6)
    own = of_layers(model, nn.LayerNorm(6), nn.PReLU(), first)
    torch.testing.assert_close(
        find_affine_map(own.generator, inputs).float(), first.weight, rtol=1e-4, atol=1e-5
    )
    own = of_layers(model, nn.LayerNorm(6), nn.Tanh())
    assert find_affine_map(of_layers(model, First()).generator, inputs) is None
    assert not any(layer._forward_hooks for layer in own.generator.modules())


def test_codes_move_within_their_bounds_and_categories_stay(model):
    parts = LatentPart("z", 2), LatentPart("tilt", 2, "uniform"), LatentPart("kind", 2, "category")
    layer = nn.Linear(6, 12)
    own = of_layers(model, layer, nn.Tanh(), parts=parts)
    for method in ("sefa", "pca"):
        found = find_directions(own, 9, method)
        assert len(found) == 4
        assert bool((found.vectors[:, 4:] == 0).all())
        variances = torch.tensor([1, 1, 1 / 3, 1 / 3, 0, 0])
        torch.testing.assert_close(found.deviations.square(), found.vectors.square() @ variances)
    same_axes(find_directions(own, 4).vectors[:, :4], eigenvectors(layer.weight[:, :4]))
    inputs = own.inputs.draw(5, 0)
    moved = move(own, found, inputs.given, torch.tensor([0.0, 9.0]))
    assert torch.equal(moved[:, 4:], inputs.given[:, 4:])
    assert float(moved[:, 2:4].abs().max()) <= 1
    torch.testing.assert_close(
        moved[:, :2], (inputs.given + 9 * found.deviations[1] * found.vectors[1])[:, :2]
    )


# Principal components ---------------------------------------------------------------------------


@pytest.mark.parametrize("wide", [False, True])
def test_components_of_a_linear_layer_are_its_singular_vectors(model, wide, monkeypatch):
    monkeypatch.setattr("ganzoo_zoo.apps.shared.directions.SAMPLES", 600)
    size = 700 if wide else 40
    rotation = torch.linalg.qr(torch.randn(6, 6)).Q
    layer = nn.Linear(6, size)
    with (
        torch.no_grad()
    ):  # so far apart that as many latents as are drawn tell them from each other
        own = torch.linalg.qr(torch.randn(size, 6)).Q
        layer.weight.copy_(own * torch.tensor([32.0, 16, 8, 4, 2, 1]) @ rotation)
    found = find_directions(of_layers(model, layer, nn.Tanh()), 3, "pca")
    assert (found.method, found.space) == ("pca", "z")
    same_axes(found.vectors, rotation[:3].double(), tolerance=0.02)
    assert found.strengths.sqrt().tolist() == pytest.approx([32, 16, 8], rel=0.15)


def test_models_without_an_affine_first_layer_have_components(model):
    own = of_layers(model, First())
    found = find_directions(own, 2)
    assert (found.method, len(found)) == ("pca", 2)
    assert float(found.vectors[:, 3:].abs().max()) < 0.2 < float(found.vectors[:, :3].abs().max())
    with pytest.raises(InputError, match="use --method pca"):
        find_directions(own, 2, "sefa")


def test_components_of_styles_are_those_of_drawn_ones(model):
    found = find_directions(model, 2, "pca")
    styles = model.styles.mapping(model.inputs.latents(20_000, 5))[:, 0].double()
    values, vectors = torch.linalg.eigh(styles.T.cov())
    same_axes(found.vectors, vectors.T.flip(0)[:2], tolerance=0.05)
    torch.testing.assert_close(found.strengths, found.deviations.square())
    torch.testing.assert_close(found.strengths.double(), values.flip(0)[:2], rtol=0.1, atol=0)


# Moving and drawing -----------------------------------------------------------------------------


def test_styles_of_chosen_layers_move(model):
    found = find_directions(model, 3, layers=[1])
    inputs = model.inputs.draw(2, 0)
    start = start_points(model, found, inputs)
    moved = move(model, found, start, torch.tensor([[0.0, 2.0], [1.0, 0.0]]))
    assert torch.equal(moved[:, 0], start[:, 0])
    step = (moved - start)[:, 1] / found.deviations[[1, 0], None]
    torch.testing.assert_close(step, torch.tensor([[2.0], [1.0]]) * found.vectors[[1, 0]])
    samples = draw_points(model, found, start)
    assert torch.equal(samples, model.generate(inputs, stored=True))


def test_what_has_no_directions_is_refused(model, tiny_run):
    translator = ganzoo.Model(None, model.config, CycleGAN(), model.generator)
    with pytest.raises(InputError, match="makes samples from images, and has no latents"):
        find_directions(translator)
    with pytest.raises(InputError, match="--method svd: choose auto, sefa, pca"):
        find_directions(model, method="svd")
    with pytest.raises(InputError, match="this model's layers are 0 to 1: there is no layer 4"):
        find_directions(model, layers=[4])
    with pytest.raises(InputError, match="this model has no styles"):
        find_directions(ganzoo.load(tiny_run), layers=[0])


# The command ------------------------------------------------------------------------------------


@pytest.fixture
def run(styled_run):
    return shutil.copytree(styled_run.path, "run")


def test_the_command_writes_sheets_and_numbers(run, model, ganzoo_cli):
    asked = ["-n", "2", "--samples", "3", "--strength", "2", "--device", "cpu"]
    result = ganzoo_cli("directions", "run", *asked, "--layers", "1", "--json")
    assert result.code == 0, result.err
    told = json.loads(result.out)
    names = ["direction-00.png", "direction-01.png", "overview.png"]
    names += ["directions.safetensors", "directions.json"]
    assert told.pop("files") == [f"directions/{name}" for name in names]
    assert told == json.loads(Path("directions/directions.json").read_text())
    assert told["steps"] == pytest.approx([-2, -4 / 3, -2 / 3, 0, 2 / 3, 4 / 3, 2], abs=1e-5)
    assert (told["method"], told["space"], told["layers"]) == ("sefa", "w", [1])
    found = find_directions(model, 2, layers=[1])
    start = start_points(model, found, model.inputs.draw(3, 0)).repeat_interleave(7, 0)
    steps = torch.linspace(-2, 2, 7).repeat(3)[:, None]
    wanted = draw_points(model, found, move(model, found, start, steps))
    picture, texts = load_png(Path("directions/direction-00.png"))
    assert torch.equal(picture, grid(wanted, 7))
    assert texts["ganzoo:direction"] == "0"
    overview, _ = load_png(Path("directions/overview.png"))
    assert torch.equal(overview[:, : picture.shape[1] // 3], grid(wanted[:7], 7)[:, :-2])


def test_directions_are_used_again(run, tiny_run, ganzoo_cli, refused):
    first = ganzoo_cli("directions", "run", "-n", "2", "--method", "pca", "--device", "cpu")
    assert first.out == "directions/overview.png\n"
    assert "2 directions of styles, by pca" in first.err
    kept, again = Path("directions"), ["--use", "directions", "--out", "again", "--seed", "9"]
    assert ganzoo_cli("directions", "run", *again, "--device", "cpu").code == 0
    one, other = (load_png(Path(folder) / "overview.png")[0] for folder in (kept, "again"))
    assert not torch.equal(one, other)
    tensors = (kept / "directions.safetensors").read_bytes()
    assert tensors == Path("again/directions.safetensors").read_bytes()
    shutil.copytree(tiny_run.path, "dcgan")
    assert "are of another model" in refused("directions", "dcgan", *again, "--out", "third")
    (kept / "directions.json").write_text("[]")
    assert "does not hold directions" in refused("directions", "run", *again, "--out", "third")


def test_python_writes_and_reads_directions_of_latents(tiny_run):
    done = write_directions(tiny_run, "out", 2, samples=2, device="cpu")
    model = ganzoo.load(tiny_run)
    read, found = read_directions(done.folder, model), find_directions(model, 2)
    assert torch.equal(read.vectors, found.vectors)
    assert (read.method, read.space, read.layers) == (found.method, found.space, ())
    assert all(file.exists() for file in done.files)


def test_the_command_refuses_in_one_line(run, refused, tmp_path):
    assert "no layer 2" in refused("directions", "run", "--layers", "0-2")
    assert "--layers x: give layers" in refused("directions", "run", "--layers", "x")
    assert "drop --label" in refused("directions", "run", "--label", "3")
    assert "strength must be a number above 0" in refused("directions", "run", "--strength", "0")
    assert not Path("directions").exists()
    Path("taken").touch()
    assert "--out taken: give a folder" in refused("directions", "run", "--out", "taken")
    ganzoo.train("mlp", data="ring", out="points", settings={"data.samples": 60}, steps=0)
    assert "samples are vectors" in refused("directions", "points")
    assert "samples are vectors" in refused("project", "points", "sample:0")
