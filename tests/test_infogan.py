"""InfoGAN: its networks, what its penalty is, and codes that a person sets and walks along."""

import json
import math

import pytest
import torch
from PIL import Image
from torch import nn

import ganzoo
from ganzoo import DataSpec, Discriminator
from ganzoo.errors import InputError
from ganzoo.models.code_range import CodeRange
from ganzoo.protocols.architecture import GeneratorInput
from ganzoo.protocols.latent_parts import LatentPart
from ganzoo.testing.steps import PlainLoss, draw_samples, train_options
from ganzoo.training.assembly import assemble_trainer
from ganzoo_zoo.families.infogan import InfoGAN
from ganzoo_zoo.penalties.mutual_information import MutualInformation
from tiny import TINY

MNIST = DataSpec(shape=(1, 28, 28))
PARTS = (
    LatentPart("z", 2, "uniform"),
    LatentPart("category", 3, "category"),
    LatentPart("code1", 1, "uniform"),
    LatentPart("code2", 1, "uniform"),
)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameters_of_the_papers_networks():
    with torch.device("meta"):
        generator, discriminator = InfoGAN().generator(MNIST), InfoGAN().discriminator(MNIST)
    assert round(count(generator) / 1e6, 2) == 6.65
    guessing = count(discriminator.guess)
    assert round((count(discriminator) - guessing) / 1e6, 2) == 6.56
    assert round(guessing / 1e6, 2) == 0.13


def test_layers_of_the_papers_networks():
    with torch.device("meta"):
        generator, discriminator = InfoGAN().generator(MNIST), InfoGAN().discriminator(MNIST)
    shapes = [each.weight.shape for each in generator if isinstance(each, nn.Linear)]
    assert shapes == [(1024, 74), (7 * 7 * 128, 1024)]
    kinds = (nn.ConvTranspose2d, nn.Conv2d)
    widths = [
        [each.out_channels for each in network.modules() if isinstance(each, kinds)]
        for network in (generator, discriminator)
    ]
    assert widths == [[64, 1], [64, 128]]
    assert discriminator.guess[-1].weight.shape == (12, 128)


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 28, 28), (4, 32, 48)])
def test_networks_of_each_kind_of_image(shape):
    architecture = InfoGAN(base_channels=2, dense=4, categories=3, codes=1)
    data = DataSpec(shape=shape)
    samples = architecture.generator(data)(architecture.latents(2, torch.Generator()))
    assert samples.shape == (2, *shape)
    found = architecture.discriminator(data)(samples)
    assert found["logits"].shape == (2,)
    assert found["codes"].shape == (2, 4)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["z", "category", "code1", "code2"]),
        ({"categories": 0, "codes": 1}, ["z", "code1"]),
        ({"codes": 0}, ["z", "category"]),
    ],
)
def test_parts_of_a_latent(options, names):
    architecture = InfoGAN(**options)
    assert [part.name for part in architecture.latent_parts()] == names
    guessed = architecture.discriminator(DataSpec(shape=(1, 8, 8)))(torch.zeros(2, 1, 8, 8))
    sizes = [part.size for part in architecture.latent_parts() if part.name != "z"]
    assert guessed["codes"].shape == (2, sum(sizes))


def test_a_latent_without_codes_is_refused():
    with pytest.raises(InputError, match="categories or codes must be above 0"):
        InfoGAN(categories=0, codes=0)


# The penalty ------------------------------------------------------------------------------------


class Guesser(nn.Module):
    """Two numbers of a sample to logits and codes."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 6)

    def forward(self, samples):
        found = self.head(samples)
        return {"logits": found[:, 0], "codes": found[:, 1:]}


def test_terms_are_those_of_the_formula_in_64_bits():
    torch.manual_seed(0)
    network, generator = Guesser().double(), nn.Linear(7, 4).double()
    latents = torch.cat([part.draw(6, torch.Generator().manual_seed(3)) for part in PARTS], 1)
    given = GeneratorInput(latents.double())
    fake = given.through(generator)
    D = Discriminator(network, inputs=given, latent_parts=PARTS, remembers_calls=True)
    D(fake)
    penalty = MutualInformation(weight=0.7)
    found = penalty.generator_terms(D, fake, fake)
    assert set(found) == {"code_category", "code_code1", "code_code2"}
    guessed = network(fake)["codes"].tolist()
    wanted = dict.fromkeys(found, 0.0)
    for row, latent in zip(guessed, latents.tolist(), strict=True):
        shares = [math.exp(score) for score in row[:3]]
        likely = sum(share * drawn for share, drawn in zip(shares, latent[2:5], strict=True))
        wanted["code_category"] -= 0.7 * math.log(likely / sum(shares)) / 6
        for i in (1, 2):
            away = latent[4 + i] - row[2 + i]
            density = math.exp(-away * away / 2) / math.sqrt(2 * math.pi)
            wanted[f"code_code{i}"] -= 0.7 * math.log(density) / 6
    assert {name: term.item() for name, term in found.items()} == pytest.approx(wanted, rel=1e-6)
    slope = torch.autograd.grad(sum(found.values()), generator.weight)[0]
    assert slope.isfinite().all()
    assert slope.any(), "the gradient passes through the guesser to the generator"


def test_both_networks_have_the_terms_in_training():
    samples = draw_samples(DataSpec(shape=(1, 8, 8)))
    architecture = InfoGAN(base_channels=2, dense=4, z_dim=2)
    trainer = assemble_trainer(
        architecture,
        PlainLoss(),
        samples,
        train_options(),
        penalties={"mutual-information": MutualInformation()},
    )
    before = [each.clone() for each in trainer.state.discriminator.guess.parameters()]
    terms = trainer.step()
    for found in (terms.discriminator, terms.generator):
        assert found["code_category"].item() == pytest.approx(math.log(10), rel=0.2)
        assert found["code_code1"].item() == pytest.approx(math.log(2 * math.pi) / 2 + 1 / 6, 0.2)
    after = trainer.state.discriminator.guess.parameters()
    assert any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))


# Codes of a model -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    sizes = {"arch.base_channels": 2, "arch.dense": 8, "arch.z_dim": 2, "data.image_size": 8}
    given = {**TINY, "steps": 1, "settings": {**sizes, "arch.categories": 3}}
    return ganzoo.train("infogan", out=tmp_path_factory.mktemp("runs") / "coded", **given)


@pytest.fixture
def model(run):
    return ganzoo.load(run)


def test_the_recipe_brings_the_penalty(run):
    assert [each.name for each in run.config().penalties] == ["mutual-information"]
    assert "generator/code_category" in (run.path / "metrics.jsonl").read_text()


def test_codes_are_set(model):
    drawn = model.sample(6, codes={"category": 2, "code1": 0.5})
    inputs = model.inputs.draw(6, 0, codes={"category": 2, "code1": 0.5}).given
    assert torch.equal(drawn, model.generate(GeneratorInput(inputs)))
    assert (inputs[:, 2:6] == torch.tensor([0, 0, 1, 0.5])).all()
    assert torch.equal(inputs[:, :2], model.inputs.latents(6, 0)[:, :2])
    with pytest.raises(InputError, match="no code 'categry'; did you mean 'category'"):
        model.sample(1, codes={"categry": 1})


def test_a_walk_along_a_number_changes_it_alone_at_an_even_pace(model):
    walk = list(model.inputs.walk_along(2, CodeRange("code1", (-2, 2)), 5, 4))
    assert [float(each.given[0, 5]) for each in walk] == [-2, -1, 0, 1, 2]
    rest = model.inputs.latents(2, 5)
    others = [0, 1, 2, 3, 4, 6]
    assert all(torch.equal(each.given[:, others], rest[:, others]) for each in walk)
    back = list(model.inputs.walk_along(2, CodeRange("code1"), 5, 2, loop=True))
    assert [float(each.given[0, 5]) for each in back] == [-1, 0, 1, 0]


def test_a_walk_along_a_category_holds_each(model):
    walk = list(model.inputs.walk_along(2, CodeRange("category"), 5, 2, codes={"code2": 0.25}))
    assert [int(each.given[0, 2:5].argmax()) for each in walk] == [0, 0, 1, 1, 2, 2]
    assert all(float(each.given[0, 6]) == 0.25 for each in walk)


def test_a_picture_has_a_row_for_each_sample(model):
    inputs = model.inputs.vary(2, CodeRange("category", (1, 2)), 10, seed=4)
    assert inputs.given[:, 2:5].argmax(1).tolist() == [1, 2, 1, 2]
    assert torch.equal(inputs.given[::2, :2], model.inputs.latents(2, 4)[:, :2])


def test_the_command_line_walks_and_varies(run, ganzoo_cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    common = ("--device", "cpu", "-n", "2")
    asked = (
        "sample",
        run.path,
        "--walk",
        "code1=-90..90",
        "--frames",
        "3",
        "--seed",
        "1",
        "--json",
    )
    found = json.loads(ganzoo_cli(*asked, *common).out)
    assert found["along"] == "code1=-90..90"
    with Image.open("walk-code1.webp") as movie:
        assert movie.n_frames == 4
    result = ganzoo_cli("sample", run.path, "--vary", "category", "--code=code2=1", *common)
    assert result.out.strip() == "vary-category.png"
    with Image.open("vary-category.png") as picture:
        assert picture.width > picture.height, "three columns and two rows"
        assert picture.text["ganzoo:codes"] == "code2=1, category=all"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("--walk tilt", "this model has no code 'tilt': it has z, category, code1, code2"),
        ("--walk code1=1", "--walk code1=1: give the name of a code, such as tilt or tilt=-2..2"),
        ("--vary code1=0..nan", "--vary code1=0..nan: give the name of a code"),
        ("--vary category=0..3", "code 'category' has categories 0 to 2, not 0..3"),
        ("--vary category=0.5..2", "code 'category' has categories 0 to 2, not 0.5..2"),
        ("--vary code1 --walk 0,1", "--walk makes a movie, --vary and --mix pictures: choose one"),
        ("--vary code1 --source x", "--vary changes a part of the latents"),
        ("--vary code1 --out x.webp", "--vary makes one picture of images: give --out a .png"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(asked, said, run, ganzoo_cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = ganzoo_cli("sample", run.path, *asked.split())
    assert result.code == 2
    assert said in result.err
