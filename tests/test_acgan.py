"""ACGAN: its networks, and the penalty by which a discriminator names classes."""

import math

import pytest
import torch
from torch import nn

import ganzoo
from ganzoo import DataSpec, Discriminator
from ganzoo.errors import InputError
from ganzoo_zoo.families.acgan import ACGAN
from ganzoo_zoo.penalties.auxiliary_classifier import AuxiliaryClassifier
from tiny import TINY

CIFAR = DataSpec(shape=(3, 32, 32), classes=10)
SMALL = {"base_channels": 2, "discriminator_channels": 1, "z_dim": 3}


def layers(network, *kinds):
    return [module for module in network.modules() if isinstance(module, kinds)]


def test_layers_of_the_papers_networks():
    """Table 2: 384, 192 and 96 channels, and 16 to 512."""
    with torch.device("meta"):
        generator, discriminator = ACGAN().generator(CIFAR), ACGAN().discriminator(CIFAR)
    (dense,) = layers(generator, nn.Linear)
    assert dense.weight.shape == (384 * 4 * 4, 110)
    assert [each.out_channels for each in layers(generator, nn.ConvTranspose2d)] == [192, 96, 3]
    assert [each.kernel_size for each in layers(generator, nn.ConvTranspose2d)] == [(5, 5)] * 3
    assert len(layers(generator, nn.BatchNorm2d)) == 2, "not behind the first layer nor the last"
    convolutions = layers(discriminator, nn.Conv2d)
    assert [each.out_channels for each in convolutions] == [16, 32, 64, 128, 256, 512]
    assert [each.stride[0] for each in convolutions] == [2, 1, 2, 1, 2, 1]
    assert len(layers(discriminator, nn.BatchNorm2d)) == 5, "not behind the first layer"
    assert {each.p for each in layers(discriminator, nn.Dropout)} == {0.5}
    assert {each.negative_slope for each in layers(discriminator, nn.LeakyReLU)} == {0.2}
    heads = layers(discriminator, nn.Linear)
    assert [each.weight.shape for each in heads] == [(1, 8192), (10, 8192)], "11 numbers"


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 28, 28), (4, 64, 48)])
def test_networks_of_each_kind_of_image(shape):
    architecture, data = ACGAN(**SMALL), DataSpec(shape=shape, classes=4)
    labels = torch.tensor([0, 3])
    samples = architecture.generator(data)(torch.randn(2, 3), labels)
    assert samples.shape == (2, *shape)
    found = architecture.discriminator(data).eval()(samples, labels)
    assert found["logits"].shape == (2,)
    assert found["classes"].shape == (2, 4)
    other = architecture.discriminator(data)
    assert other.eval()(samples, labels)["logits"].equal(other(samples, 3 - labels)["logits"])


def test_data_without_classes_are_refused_in_words():
    with pytest.raises(InputError, match=r"these data have none; give data with classes, .* dcgan"):
        ACGAN().generator(DataSpec(shape=(1, 16, 16)))


class Namer(nn.Module):
    """Two numbers of a sample to a logit and scores of three classes."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(2, 4)
        self.calls = 0

    def forward(self, samples, labels):
        self.calls += 1
        found = self.head(samples)
        return {"logits": found[:, 0], "classes": found[:, 1:]}


@pytest.mark.parametrize("fakes", [False, True])
def test_terms_are_those_of_the_formula_in_64_bits(fakes):
    torch.manual_seed(0)
    network, labels = Namer().double(), torch.tensor([2, 0, 1, 1])
    real, fake = torch.randn(2, 4, 2, dtype=torch.float64)
    fake.requires_grad_()
    D = Discriminator(network, labels, remembers_calls=True)
    D(real), D(fake)
    penalty = AuxiliaryClassifier(discriminator_weight=0.5, generator_weight=2.0, fakes=fakes)

    def cost(samples):
        total = 0.0
        for row, label in zip(network(samples, labels)["classes"].tolist(), labels, strict=True):
            total -= math.log(math.exp(row[label]) / sum(math.exp(score) for score in row))
        return total / len(labels)

    terms = penalty.discriminator_terms(D, real, fake)
    wanted = {"class_real": 0.5 * cost(real), **({"class_fake": 0.5 * cost(fake)} if fakes else {})}
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(wanted)
    (term,) = penalty.generator_terms(D, real, fake).values()
    assert term.item() == pytest.approx(2.0 * cost(fake))
    assert torch.autograd.grad(term, fake)[0].all()


def test_what_the_loss_has_judged_is_not_judged_again():
    network, labels = Namer(), torch.tensor([2, 0])
    D = Discriminator(network, labels, remembers_calls=True)
    real, fake = torch.randn(2, 2, 2)
    D(real), D(fake)
    AuxiliaryClassifier(fakes=True).discriminator_terms(D, real, fake)
    assert network.calls == 2


def test_recipes_bring_the_penalty(tmp_path):
    sizes = {**{f"arch.{name}": value for name, value in SMALL.items()}, "data.image_size": 8}
    run = ganzoo.train("acgan", out=tmp_path / "run", settings=sizes, **{**TINY, "steps": 1})
    (penalty,) = run.config().penalties
    assert (penalty.name, penalty.options["fakes"]) == ("auxiliary-classifier", True)
    for name in ("discriminator/class_real", "discriminator/class_fake", "generator/class"):
        assert name in (run.path / "metrics.jsonl").read_text()
    model = ganzoo.load(run)
    assert model.sample(2, label=3).shape == (2, 1, 8, 8)
    with pytest.raises(InputError, match="classes are what it learns, and these data have none"):
        ganzoo.train("acgan", data="ring", out=tmp_path / "ring", **TINY)
