"""The networks in the box: shapes, layers and options of their papers."""

import pytest
import torch
from torch import nn

from ganzoo import DataSpec
from ganzoo.errors import InputError
from ganzoo.registry import ARCHITECTURE
from ganzoo.resolve import resolve
from ganzoo_zoo.families.dcgan import DCGAN
from ganzoo_zoo.families.mlp import MLP

SIZES = [(28, 28), (32, 32), (48, 48), (64, 64), (96, 96), (128, 128), (32, 64), (56, 28), (32, 28)]


def modules(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


@pytest.mark.parametrize("size", SIZES)
def test_dcgan_makes_and_judges_every_reachable_size(size):
    architecture = DCGAN(base_channels=2, z_dim=5)
    data = DataSpec(shape=(3, *size))
    generator, discriminator = architecture.generator(data), architecture.discriminator(data)
    samples = generator(torch.randn(2, 5))
    assert samples.shape == (2, 3, *size)
    assert discriminator(samples)["logits"].shape == (2,)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_dcgan_channels(channels):
    data = DataSpec(shape=(channels, 28, 28))
    samples = DCGAN(base_channels=2).generator(data)(torch.randn(2, 100))
    assert samples.shape == (2, channels, 28, 28)


@pytest.mark.parametrize("size", [(30, 30), (7, 7), (36, 36), (31, 64), (20, 18)])
def test_dcgan_refuses_sizes_out_of_reach(size):
    with pytest.raises(InputError, match="--image-size"):
        DCGAN().generator(DataSpec(shape=(1, *size)))


def test_dcgan_refuses_vectors():
    with pytest.raises(InputError, match="vectors of 2"):
        DCGAN().discriminator(DataSpec(shape=(2,)))


def test_dcgan_follows_its_paper():
    data = DataSpec(shape=(3, 64, 64))
    generator = DCGAN(base_channels=128).generator(data)
    discriminator = DCGAN(base_channels=128).discriminator(data)
    widths = [layer.out_channels for layer in modules(generator, nn.ConvTranspose2d)]
    assert widths == [1024, 512, 256, 128, 3]  # figure 1
    assert isinstance(generator[-1], nn.Tanh)
    assert len(modules(generator, nn.BatchNorm2d)) == 4, "not at the output"
    assert len(modules(discriminator, nn.BatchNorm2d)) == 3, "not at the input"
    assert {layer.negative_slope for layer in modules(discriminator, nn.LeakyReLU)} == {0.2}
    assert not modules(generator, nn.Linear)
    assert not modules(discriminator, nn.MaxPool2d)
    weight = generator[1].weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.02)


def test_batch_norm_keeps_its_momentum_and_epsilon():
    """``BatchNorm2d(channels, 0.8)``, as widely copied scripts have it, is an epsilon of 0.8."""
    data = DataSpec(shape=(1, 32, 32))
    networks = DCGAN().generator(data), DCGAN().discriminator(data)
    for norm in (norm for network in networks for norm in modules(network, nn.BatchNorm2d)):
        assert norm.eps == pytest.approx(1e-5)
        assert norm.momentum == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("option", "independent", "expected"),
    [
        ("auto", False, nn.BatchNorm2d),
        ("auto", True, nn.GroupNorm),
        ("layer", False, nn.GroupNorm),
        ("none", False, nn.Identity),
        ("none", True, nn.Identity),
        ("batch", False, nn.BatchNorm2d),
    ],
)
def test_dcgan_norms(option, independent, expected):
    discriminator = DCGAN(discriminator_norm=option, base_channels=4).discriminator(
        DataSpec(shape=(1, 32, 32)), independent_samples=independent
    )
    norms = modules(discriminator, (nn.BatchNorm2d, nn.GroupNorm, nn.Identity))
    assert len(norms) == 2
    assert {type(norm) for norm in norms} == {expected}
    groups = {norm.num_groups for norm in norms if isinstance(norm, nn.GroupNorm)}
    assert groups <= {1}, "one group is layer normalisation"


@pytest.mark.parametrize("shape", [(1,), (2,), (784,), (3, 8, 8), (1, 28, 28)])
def test_mlp_makes_vectors_of_any_length_and_images(shape):
    data = DataSpec(shape=shape)
    architecture = MLP(hidden=(8, 16, 4), z_dim=3)
    generator, discriminator = architecture.generator(data), architecture.discriminator(data)
    samples = generator(torch.randn(6, 3))
    assert samples.shape == (6, *shape)
    assert discriminator(samples)["logits"].shape == (6,)
    assert discriminator(samples)["features"].shape == (6, 8)
    assert [layer.out_features for layer in modules(generator, nn.Linear)][:-1] == [8, 16, 4]
    assert [layer.out_features for layer in modules(discriminator, nn.Linear)][:-1] == [4, 16, 8]
    assert bool(modules(generator, nn.Tanh)) == data.is_image, "vectors have no fixed range"


def test_the_discriminator_of_mlp_may_have_layers_of_its_own():
    data = DataSpec(shape=(2,))
    architecture = MLP(hidden=(8, 16), discriminator_hidden=(4, 5, 6))
    generator, discriminator = architecture.generator(data), architecture.discriminator(data)
    assert [layer.out_features for layer in modules(generator, nn.Linear)] == [8, 16, 2]
    assert [layer.out_features for layer in modules(discriminator, nn.Linear)] == [4, 5, 6, 1]
    assert discriminator(torch.randn(3, 2))["features"].shape == (3, 6)
    torch.manual_seed(0)
    wanted = MLP(hidden=(8, 16)).discriminator(data).state_dict()
    torch.manual_seed(0)
    found = MLP(hidden=(8, 16), discriminator_hidden=(16, 8)).discriminator(data).state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_files_of_before_mlp_had_discriminators_of_their_own_size_build_the_same():
    choice = resolve("mlp", data="ring").architecture
    options = dict(choice.options)
    del options["discriminator_hidden"]
    older = choice.model_copy(update={"options": options})
    assert older.build(ARCHITECTURE) == choice.build(ARCHITECTURE)


@pytest.mark.parametrize("name", ["hidden", "discriminator_hidden"])
def test_mlp_needs_a_hidden_layer(name):
    with pytest.raises(InputError, match="at least 1 item"):
        MLP(**{name: ()})
