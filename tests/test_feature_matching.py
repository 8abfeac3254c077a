"""Feature matching, and minibatch discrimination: improved techniques of Salimans et al. 2016."""

import math

import pytest
import torch
from torch import nn

import ganzoo
from ganzoo import DataSpec, Discriminator
from ganzoo.errors import InputError
from ganzoo.nn import FeatureSequential, MinibatchDiscrimination, fuse
from ganzoo.testing import architecture_checks
from ganzoo_zoo.families.dcgan import DCGAN
from ganzoo_zoo.losses.feature_matching import FeatureMatching
from tiny import TINY

DATA = DataSpec(shape=(1, 8, 8))
FEW = {"base_channels": 2, "z_dim": 3}


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


# Minibatch discrimination -----------------------------------------------------------------------


def build(size, kernels, dims):
    torch.manual_seed(1)
    layer = MinibatchDiscrimination(size, kernels, dims).double()
    nn.init.normal_(layer.log_scale)
    nn.init.normal_(layer.bias)
    return layer


def by_hand(layer, rows):
    """Return what the layer adds, one number after another."""
    kernels, dims = layer.shape
    seen = []
    for row in rows.tolist():
        numbers = []
        for direction, log_scale in zip(layer.direction, layer.log_scale, strict=True):
            length = math.sqrt(sum(each * each for each in direction.tolist()))
            product = sum(a * b for a, b in zip(direction.tolist(), row, strict=True))
            numbers.append(math.exp(log_scale.item()) * product / length)
        seen.append(numbers)
    return [
        [
            layer.bias[kernel].item()
            + sum(
                math.exp(
                    -sum(
                        abs(mine[at] - other[at])
                        for at in range(kernel * dims, (kernel + 1) * dims)
                    )
                )
                for j, other in enumerate(seen)
                if j != i
            )
            for kernel in range(kernels)
        ]
        for i, mine in enumerate(seen)
    ]


def test_it_is_the_formula_in_64_bits():
    layer, features = build(6, 3, 2), drawn(5, 2, 3, 1)
    found = layer(features)
    assert torch.equal(found[:, :6], features.flatten(1))
    wanted = torch.tensor(by_hand(layer, features.flatten(1)), dtype=torch.float64)
    torch.testing.assert_close(found[:, 6:], wanted)


def test_gradients_of_gradients_pass():
    layer, features = build(4, 2, 2), drawn(3, 4).requires_grad_()
    assert torch.autograd.gradgradcheck(layer, (features,))


def test_in_evaluation_each_sample_is_on_its_own():
    layer = MinibatchDiscrimination(4, 2, decay=0.5)
    added = layer(torch.zeros(3, 4))[:, 4:] - layer.bias
    assert (added == 2).all(), "two others, which are the same"
    assert (layer.average == 1).all()
    alone = layer.eval()(torch.ones(1, 4))
    assert torch.equal(alone[0, 4:], 1 + layer.bias)


def test_dcgan_compares_samples_on_request():
    plain, comparing = DCGAN(**FEW), DCGAN(**FEW, minibatch_discrimination=7)
    assert not plain.mixes_batch
    assert comparing.mixes_batch
    network = comparing.discriminator(DATA)
    (layer,) = (each for each in network.modules() if isinstance(each, MinibatchDiscrimination))
    assert layer.shape == (7, 5)
    assert not any(isinstance(each, nn.BatchNorm2d) for each in network.modules())
    alone = comparing.discriminator(DATA, independent_samples=True)
    assert not any(isinstance(each, MinibatchDiscrimination) for each in alone.modules())
    samples = torch.randn(2, *DATA.shape).expand(2, 2, *DATA.shape).flatten(0, 1)
    found = network(samples)
    assert found["logits"].shape == (4,)
    assert not torch.equal(found["logits"], network(samples[[0, 0, 1, 1]].flip(1))["logits"])


@pytest.mark.parametrize("check", architecture_checks, ids=lambda check: check.__name__)
def test_dcgan_with_it_conforms(check):
    check(DCGAN(base_channels=4, minibatch_discrimination=3))


@pytest.mark.parametrize("loss", ["wgan-gp", "non-saturating"])
def test_dcgan_trains_with_it(loss, tmp_path):
    settings = {"arch.base_channels": 2, "arch.minibatch_discrimination": 3, "data.image_size": 8}
    run = ganzoo.train("dcgan", loss=loss, out=tmp_path / "run", settings=settings, **TINY)
    names = ganzoo.load(run).discriminator.state_dict()
    assert {name.rpartition(".")[2] for name in names} >= {"direction", "log_scale", "average"}


# Features ---------------------------------------------------------------------------------------


def test_features_are_those_before_the_ending():
    body = [nn.Conv2d(1, 2, 3), nn.ReLU()]
    ending = [nn.Flatten(), nn.Linear(2 * 36, 1), nn.Flatten(0)]
    network, samples = FeatureSequential(body, ending), torch.randn(2, *DATA.shape)
    whole = nn.Sequential(*body, *ending)
    assert list(network.state_dict()) == list(whole.state_dict())
    for each in (network, fuse(network)):
        found = each(samples)
        torch.testing.assert_close(found["features"], whole[:2](samples))
        torch.testing.assert_close(found["logits"], whole(samples))


class Featured(nn.Module):
    """Samples of two numbers to a logit and three features."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(2, 3), nn.Linear(3, 1)

    def forward(self, samples):
        features = torch.tanh(self.first(samples))
        return {"logits": self.last(features).flatten(), "features": features}


@pytest.mark.parametrize("distance", ["absolute", "squared"])
def test_the_generator_matches_the_mean_features_in_64_bits(distance):
    torch.manual_seed(0)
    D = Discriminator(Featured().double())
    real, fake = drawn(2, 4, 2)
    fake.requires_grad_()
    (term,) = FeatureMatching(distance=distance).generator_loss(D, real, fake).values()
    wanted = 0.0
    for i in range(3):
        means = [
            sum(D.judge(row[None])["features"][0, i].item() for row in rows) / 4
            for rows in (real, fake)
        ]
        away = means[0] - means[1]
        wanted += abs(away) / 3 if distance == "absolute" else away * away
    assert term.item() == pytest.approx(wanted)
    assert torch.autograd.grad(term, fake)[0].any()


@pytest.mark.parametrize("name", ["mlp", "dcgan"])
def test_it_trains_what_gives_features(name, tmp_path):
    small = {"mlp": {"arch.hidden": [4]}, "dcgan": {"arch.base_channels": 2}}[name]
    settings = {**small, "data.image_size": 8}
    run = ganzoo.train(
        name, loss="feature-matching", out=tmp_path / "run", settings=settings, **TINY
    )
    assert "generator/feature_matching" in (run.path / "metrics.jsonl").read_text()


def test_others_are_refused_in_words(tmp_path):
    with pytest.raises(InputError, match="the loss needs 'features' of the discriminator of 'sng"):
        ganzoo.train("sngan", loss="feature-matching", out=tmp_path / "run", **TINY)
