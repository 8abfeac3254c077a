"""Components by their names, from Python: ``ganzoo.list`` and ``ganzoo.create``."""

import subprocess
import sys

import pytest
import torch
from torch import nn

import ganzoo
from ganzoo.errors import InputError
from ganzoo.registry import ALL_KINDS, LOSS, entries

SEED = 3


@pytest.mark.parametrize("kind", ALL_KINDS, ids=lambda kind: kind.word)
def test_each_kind_is_listed_by_either_of_its_names(kind):
    found = ganzoo.list(kind.word)
    assert found == ganzoo.list(kind.plural) == ganzoo.list(kind.plural.replace(" ", "_"))
    assert found == tuple(entry.name for entry in entries(kind))


def test_names_can_be_used_as_they_are_listed(plugin):
    assert "hinge" in ganzoo.list("losses")
    plugin("other-hinge", "", {LOSS.group: {"hinge": "other_hinge:Hinge"}})
    found = ganzoo.list("losses")
    assert {"ganzoo:hinge", "other-hinge:hinge"} < set(found)
    assert "hinge" not in found


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("lossses", "'lossses'; did you mean 'losses'"),
        ("zzz", "no kind of component is called 'zzz'; known: architectures, losses"),
        ("", "give a kind of component"),
        (3, "give a kind of component, such as losses, not an object of the type int"),
    ],
)
def test_a_misspelt_kind_offers_the_nearest(kind, words):
    with pytest.raises(InputError) as caught:
        ganzoo.list(kind)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_listing_imports_neither_torch_nor_a_component():
    code = (
        "import sys, ganzoo; assert ganzoo.list('losses') and 'sweep' in dir(ganzoo); "
        "print([m for m in sys.modules if m.split('.')[0] in ('torch', 'numpy', 'ganzoo_zoo')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_networks_are_created_for_images():
    generator, discriminator = networks = ganzoo.create("dcgan", image_size=64, base_channels=4)
    assert networks.generator is generator
    assert networks.discriminator is discriminator
    assert all(isinstance(network, nn.Module) for network in networks)
    fakes = generator.eval()(torch.randn(2, 100))
    assert fakes.shape == (2, 3, 64, 64)
    assert discriminator(fakes)["logits"].shape == (2,)


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ({}, (3, 32, 32)),
        ({"image_channels": 1}, (1, 32, 32)),
        ({"image_size": (8, 16)}, (3, 8, 16)),
        ({"shape": (4, 8, 8)}, (4, 8, 8)),
        ({"shape": (2,)}, (2,)),
    ],
)
def test_the_shape_of_samples_is_chosen(given, shape):
    generator, discriminator = ganzoo.create("mlp", hidden=(8,), z_dim=4, **given)
    samples = generator(torch.randn(5, 4))
    assert samples.shape == (5, *shape)
    assert discriminator(samples)["logits"].shape == (5,)


def test_networks_take_labels_if_there_are_classes():
    generator, discriminator = ganzoo.create(
        "mlp", shape=(2,), classes=3, hidden=(8,), z_dim=4, conditional=True
    )
    labels = torch.tensor([0, 2])
    logits = discriminator(generator(torch.randn(2, 4), labels), labels)["logits"]
    assert logits.shape == (2,)


def test_a_discriminator_may_have_to_judge_each_sample_by_itself():
    plain, alone = (
        ganzoo.create("dcgan", base_channels=4, independent_samples=each).discriminator
        for each in (False, True)
    )
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in plain.modules())
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in alone.modules())


def test_weights_are_drawn_from_torchs_own_numbers():
    def create():
        torch.manual_seed(SEED)
        return ganzoo.create("mlp", shape=(2,), hidden=(8,)).generator.state_dict()

    for one, other in zip(create().values(), create().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("dcgn", {}, "no architecture is called 'dcgn'; did you mean 'dcgan'"),
        ("dcgan", {"base_chanels": 8}, "'dcgan.base_chanels'; did you mean 'base_channels'"),
        ("dcgan", {"base_channels": "many"}, "dcgan.base_channels"),
        ("dcgan", {"image_size": 31}, "31"),
        ("dcgan", {"image_size": 0}, "at least 1, not 0"),
        ("dcgan", {"shape": (2,)}, "images are needed"),
        ("dcgan", {"shape": (3, 32, 32), "image_size": 32}, "give shape, or image_size"),
        ("mlp", {"conditional": True}, "classes"),
        (None, {}, "give a name of 'ganzoo list architectures'"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(name, given, words):
    with pytest.raises(InputError) as caught:
        ganzoo.create(name, **given)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2
