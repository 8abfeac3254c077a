"""Conditional mlp and dcgan, and the share of samples that are of the class asked for."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ganzoo
from ganzoo import DataSpec, Features, Samples, SampleSet, registry
from ganzoo.api.evaluation import evaluate
from ganzoo.config import TrainOptions
from ganzoo.errors import InputError
from ganzoo.training.assembly import assemble_trainer
from ganzoo_zoo.families.dcgan import DCGAN
from ganzoo_zoo.families.mlp import MLP
from ganzoo_zoo.losses.hinge import Hinge
from ganzoo_zoo.metrics.gan_test import GANTest

DATA = DataSpec(shape=(1, 8, 12), classes=3)
SMALL = {
    "mlp": lambda **options: MLP(hidden=(8, 12), z_dim=5, **options),
    "dcgan": lambda **options: DCGAN(base_channels=4, z_dim=5, **options),
}
BOTH = pytest.mark.parametrize("build", SMALL.values(), ids=SMALL)
TINY = {"steps": 1, "batch_size": 4, "device": "cpu"}


def seeded(build):
    torch.manual_seed(0)
    return build()


def drawn(count=6, data=DATA):
    rng = torch.Generator().manual_seed(0)
    return torch.rand(count, *data.shape, generator=rng) * 2 - 1


def shades(count=48, data=DATA):
    """Dark, grey and light images, which are their classes."""
    labels = torch.arange(count) % data.classes
    noise = torch.randint(0, 20, (count, *data.shape), generator=torch.Generator().manual_seed(0))
    levels = labels.reshape(-1, 1, 1, 1) * 110
    return Samples(data, (levels + noise).byte(), labels)


# The networks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "generator", "discriminator"),
    [
        (
            MLP(),
            ["0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"],
            ["1.weight", "1.bias", "3.weight", "3.bias", "5.weight", "5.bias"],
        ),
        (
            DCGAN(),
            [
                "1.weight",
                *(f"2.{name}" for name in nn.BatchNorm2d(1).state_dict()),
                "4.weight",
                *(f"5.{name}" for name in nn.BatchNorm2d(1).state_dict()),
                *("7.weight", "7.bias"),
            ],
            [
                *("0.weight", "0.bias", "2.weight"),
                *(f"3.{name}" for name in nn.BatchNorm2d(1).state_dict()),
                *("5.weight", "5.bias"),
            ],
        ),
    ],
    ids=SMALL,
)
def test_without_the_option_the_networks_are_what_they_were(architecture, generator, discriminator):
    data = DataSpec(shape=(1, 28, 28), classes=10)
    assert not architecture.takes_labels(data)
    assert list(architecture.generator(data).state_dict()) == generator
    assert list(architecture.discriminator(data).state_dict()) == discriminator


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (4, 16, 24), (3, 24, 16)])
@BOTH
def test_networks_of_each_kind_of_image(build, shape):
    data = DataSpec(shape=shape, classes=7)
    architecture = build(conditional=True)
    assert architecture.takes_labels(data)
    labels = torch.tensor([6, 0, 3])
    samples = architecture.generator(data)(torch.randn(3, 5), labels)
    assert samples.shape == (3, *shape)
    assert architecture.discriminator(data)(samples, labels)["logits"].shape == (3,)


def test_vectors_have_classes_too():
    data = DataSpec(shape=(2,), classes=4)
    architecture = MLP(conditional=True, hidden=(8,))
    labels = torch.arange(4)
    samples = architecture.generator(data)(torch.randn(4, 64), labels)
    assert architecture.discriminator(data)(samples, labels)["logits"].shape == (4,)


@BOTH
def test_data_without_classes_are_refused_in_words(build):
    data = DataSpec(shape=(1, 8, 8))
    for make in (build(conditional=True).generator, build(conditional=True).discriminator):
        with pytest.raises(InputError, match=r"have no classes; give data with classes, .* set"):
            make(data)


def test_mlp_sees_the_embedding_beside_the_latent():
    generator = seeded(lambda: SMALL["mlp"](conditional=True).generator(DATA))
    latents, labels = torch.randn(6, 5), torch.tensor([2, 0, 1, 1, 0, 2])
    assert generator.embedding.shape == (3, 5)
    beside = torch.cat([latents, generator.embedding[labels]], dim=1)
    assert torch.equal(generator(latents, labels), generator.network(beside))


@pytest.mark.parametrize(
    ("layer", "channels", "pixels"), [(2, 8, (4, 6)), (5, 4, (1, 1))], ids=["first", "second"]
)
def test_dcgan_normalises_by_class(layer, channels, pixels):
    """Batch statistics of all classes together; gains and biases of each (equation 5)."""
    data = DataSpec(shape=(1, 16, 24), classes=3)
    norm = seeded(lambda: SMALL["dcgan"](conditional=True).generator(data)).layers[layer]
    features, classes = torch.randn(6, channels, 4, 6), torch.randn(6, 5)
    plain = F.batch_norm(features, None, None, training=True)
    assert torch.allclose(norm(features, classes), plain, atol=1e-6), "it begins as the plain one"
    nn.init.normal_(norm.gain.weight)
    nn.init.normal_(norm.bias.weight)
    for i, told in enumerate(classes):
        gain, bias = (
            (of.weight @ told).reshape(channels, *pixels) for of in (norm.gain, norm.bias)
        )
        expected = (1 + gain) * plain[i] + bias
        assert torch.allclose(norm(features, classes)[i], expected, atol=1e-5)


def test_dcgan_tells_each_layer_the_class_of_each_sample():
    generator = seeded(lambda: SMALL["dcgan"](conditional=True).generator(DATA)).eval()
    latents, labels = torch.randn(6, 5), torch.tensor([2, 0, 1, 1, 0, 2])
    given = latents
    for layer in generator.layers:
        given = getattr(layer, "norm", layer)(given)
    assert torch.equal(generator(latents, labels), given), "the first gains are 1"
    for layer in generator.layers:
        if hasattr(layer, "gain"):
            nn.init.normal_(layer.gain.weight)
    mixed = generator(latents, labels)
    assert not torch.allclose(mixed, given, atol=1e-3)
    for i in range(6):
        assert torch.allclose(mixed[i], generator(latents, labels[i].expand(6))[i], atol=1e-6)


@pytest.mark.parametrize("independent", [False, True])
@BOTH
def test_the_discriminator_projects(build, independent):
    """Equation 4, with the sum over pixels where features have them."""
    discriminator = build(conditional=True).discriminator(DATA, independent_samples=independent)
    samples, labels = drawn(), torch.tensor([2, 0, 1, 1, 0, 2])
    nn.init.normal_(discriminator.embedding)
    features = discriminator.body(samples)
    directions = discriminator.embedding[labels]
    product = torch.stack(
        [features[i].reshape(len(directions[i]), -1).sum(1) @ directions[i] for i in range(6)]
    )
    expected = discriminator.ending(features) + product
    found = discriminator(samples, labels)
    assert torch.allclose(found["logits"], expected, atol=1e-5)
    assert torch.equal(found["features"], features)


@pytest.mark.parametrize("norm", ["layer", "none"])
def test_penalties_differentiate_a_projection_twice(norm):
    discriminator = DCGAN(conditional=True, base_channels=4, discriminator_norm=norm).discriminator(
        DATA, independent_samples=True
    )
    samples = drawn().requires_grad_()
    logits = discriminator(samples, torch.arange(6) % 3)["logits"]
    (slope,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    slope.square().sum().backward()
    embedding = discriminator.embedding.grad
    assert embedding.isfinite().all()
    assert embedding.abs().sum() > 0, "the penalty reaches the classes"


# Training ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [entry.name for entry in registry.entries(registry.LOSS)])
@BOTH
def test_every_loss_trains_them(build, loss):
    trainer = assemble_trainer(
        build(conditional=True),
        registry.get(registry.LOSS, loss)(),
        shades(),
        TrainOptions(**TINY),
    )
    networks = trainer.state.generator, trainer.state.discriminator
    before = [network.embedding.detach().clone() for network in networks]
    for _ in range(2):
        terms = trainer.step()
    assert all(value.isfinite() for found in vars(terms).values() for value in found.values())
    for network, was in zip(networks, before, strict=True):
        assert not torch.equal(network.embedding, was)


@BOTH
def test_labels_steer_what_is_made(build):
    trainer = assemble_trainer(
        build(conditional=True),
        Hinge(),
        shades(),
        TrainOptions(batch_size=24, device="cpu", generator_lr=5e-3, discriminator_lr=5e-3),
    )
    for _ in range(150):
        trainer.step()
    labels = torch.arange(60) % 3
    with torch.no_grad():
        found = trainer.state.generator(torch.randn(60, 5), labels).flatten(1).mean(1)
    wanted = (labels * 110 + 10) / 127.5 - 1
    nearest = (found[:, None] - wanted[:3]).abs().argmin(1)
    assert (nearest == labels).float().mean() > 0.9


def test_training_on_data_without_classes_ends_before_it_begins(tmp_path):
    with pytest.raises(InputError, match=r"'mlp': arch\.conditional=true needs the class"):
        ganzoo.train("mlp", data="ring", settings={"arch.conditional": True}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


# gan-test ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[True, False], ids=["conditional", "plain"])
def digits(request, tmp_path_factory):
    """A run of one step on the digits, and whether it knows their classes."""
    settings = {"arch.conditional": request.param, "arch.hidden": (8,)}
    out = tmp_path_factory.mktemp("runs") / "run"
    return request.param, ganzoo.train("mlp", settings=settings, out=out, **TINY)


def test_the_share_of_fakes_of_their_class(digits):
    conditional, run = digits
    if not conditional:
        with pytest.raises(
            InputError,
            match=r"this model has no classes; train one with --set arch\.conditional=true",
        ):
            evaluate(run, ["gan-test"], samples=20)
        return
    (row,) = evaluate(run, ["gan-test"], samples=200, seed=3)
    assert row.metric == "gan-test[digits-cnn]"
    assert row.higher_is_better
    assert 0 <= row.value < 0.5, "after one step it makes nothing"
    assert row.value * 200 == pytest.approx(round(row.value * 200))


def test_it_is_asked_for_by_name(digits):
    _, run = digits
    rows = evaluate(run, samples=200, features="digits-cnn")
    assert rows
    assert not any(row.metric.startswith("gan-test") for row in rows)


def test_reals_are_of_their_class():
    (row,) = evaluate(data="digits", floor=True, metrics=["gan-test"])
    assert row.value > 0.99


def fakes(labels, logits, classes=3):
    spec = DataSpec(shape=(1, 4, 4), classes=classes, features="some")
    images = torch.zeros(4, 1, 4, 4, dtype=torch.uint8)
    found = None if logits is None else torch.tensor(logits, dtype=torch.float32)
    return SampleSet(Samples(spec, images, labels), lambda _: Features(torch.zeros(4, 2), found))


def test_each_fake_is_held_against_its_own_label():
    logits = [[3, 0, 0], [0, 3, 0], [0, 0, 3], [3, 0, 0]]
    given = fakes(torch.tensor([0, 1, 2, 2]), logits)
    assert [score.value for score in GANTest().evaluate(given, given)] == [0.75]


@pytest.mark.parametrize(
    ("logits", "found"), [(None, "no classifier"), ([[1.0, 2.0]] * 4, "a classifier of 2")]
)
def test_another_classifier_is_refused(logits, found):
    given = fakes(torch.tensor([0, 1, 2, 2]), logits)
    with pytest.raises(InputError, match=f"of the 3 classes .* is {found}; choose other"):
        GANTest().evaluate(given, given)


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        ({"classes": 10, "features": "digits-cnn"}, True),
        ({"features": "digits-cnn"}, False),
        ({"classes": 10}, False),
    ],
)
def test_it_fits_data_of_classes_and_a_classifier(spec, fits):
    assert GANTest().fits(DataSpec(shape=(1, 8, 8), **spec)) == fits
    assert not GANTest().fits(DataSpec(shape=(2,), **spec))
