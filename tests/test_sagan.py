"""SAGAN: its tables, and its layers against another formulation."""

import pytest
import torch
from torch import nn

from ganzoo import DataSpec
from ganzoo.errors import InputError
from ganzoo.models.size_check import build_on_meta
from ganzoo.nn import ClassProjection, SelfAttention2d, fuse, normalise_spectrum
from ganzoo.resolve import resolve
from ganzoo_zoo.families.sagan import SAGAN
from residual_reference import attend, convolve, divided, down, multiply, normalise, settled, up

DATA = DataSpec(shape=(1, 16, 16), classes=3)
SMALL = SAGAN(z_dim=5, base_channels=4)


def modules(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


@pytest.mark.parametrize(
    ("attention", "generator", "discriminator"), [(0, 42.00, 39.44), (None, 42.08, 39.46)]
)
def test_imagenet_parameters(attention, generator, discriminator):
    given = resolve("sagan", None, "digits", {"train.recipe": "paper"}).architecture.options
    architecture = SAGAN(**{**given, "attention": attention})
    data = DataSpec(shape=(3, 128, 128), classes=1000)
    for name, wanted in (("generator", generator), ("discriminator", discriminator)):
        network = build_on_meta(lambda name=name: getattr(architecture, name)(data))
        found = sum(parameter.numel() for parameter in network.parameters())
        assert round(found / 1e6, 2) == wanted


def test_channels_of_the_paper():
    data = DataSpec(shape=(3, 128, 128))
    architecture = SAGAN(base_channels=64, conditional=False)
    convolutions = [
        [each.out_channels for each in modules(network, nn.Conv2d) if each.kernel_size == (3, 3)]
        for network in map(
            build_on_meta,
            (lambda: architecture.generator(data), lambda: architecture.discriminator(data)),
        )
    ]
    assert convolutions[0] == [1024, 1024, 512, 512, 256, 256, 128, 128, 64, 64, 3]
    assert convolutions[1] == [64, 64, 128, 128, 256, 256, 512, 512, *[1024] * 4]


@pytest.mark.parametrize(
    ("size", "attention"),
    [
        *(((8, 8), 0), ((16, 16), 8), ((28, 28), 14), ((32, 32), 16), ((48, 48), 24)),
        *(((64, 64), 32), ((96, 96), 24), ((128, 128), 32), ((64, 32), 16)),
    ],
)
def test_every_size_and_where_its_attention_stands(size, attention):
    data = DataSpec(shape=(3, *size))
    architecture = SAGAN(z_dim=3, base_channels=1, conditional=False)
    generator, discriminator = architecture.generator(data), architecture.discriminator(data)
    seen = []
    for network in (generator, discriminator):
        for layer in modules(network, SelfAttention2d):
            layer.register_forward_hook(lambda *given: seen.append(min(given[2].shape[2:])))
    samples = generator(torch.randn(2, 3))
    assert samples.shape == (2, *data.shape)
    assert discriminator(samples).shape == (2,)
    assert seen == [attention] * (2 if attention else 0)


def test_attention_elsewhere():
    with pytest.raises(InputError, match=r"maps of \[8\] pixels for these images"):
        SAGAN(attention=32).generator(DATA)
    assert not modules(SAGAN(attention=0).discriminator(DATA), SelfAttention2d)


def test_without_classes():
    data = DataSpec(shape=(1, 16, 16))
    with pytest.raises(InputError, match=r"or set arch\.conditional=false"):
        SAGAN().discriminator(data)
    architecture = SAGAN(z_dim=5, base_channels=4, conditional=False)
    assert not architecture.takes_labels(data)
    assert architecture.takes_labels(data) != SMALL.takes_labels(DATA)


def test_the_generator_against_another_formulation():
    network = settled(SMALL.generator(DATA))
    latents, labels = torch.randn(4, 5).double(), torch.tensor([0, 2, 1, 2])

    def on(norm):
        gain, bias = 1 + norm.gain.weight[labels], norm.bias.weight[labels]
        return lambda features: normalise(norm.norm, features, gain, bias)

    features = multiply(network.first[0], latents).view(4, 8, 4, 4)
    one, attention, two = network.blocks
    features = attend(attention, up(one, features, on(one.first_norm), on(one.second_norm)))
    features = up(two, features, on(two.first_norm), on(two.second_norm))
    norm, _, convolution, _ = network.ending
    expected = convolve(convolution, normalise(norm, features, norm.weight, norm.bias).relu())
    torch.testing.assert_close(network(latents, labels), expected.tanh(), rtol=1e-8, atol=1e-8)


def test_the_discriminator_against_another_formulation():
    network = settled(SMALL.discriminator(DATA))
    images, labels = torch.randn(3, 1, 16, 16).double(), torch.tensor([2, 0, 1])
    one, attention, two, three, *_ = network.body
    features = attend(attention, down(one, images, is_first=True))
    pooled = down(three, down(two, features), halves=False).relu().sum((2, 3))
    expected = multiply(network.ending[0], pooled)[:, 0]
    expected = expected + torch.einsum("nc,nc->n", divided(network)[labels], pooled)
    torch.testing.assert_close(network(images, labels), expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(fuse(network)(images, labels), expected, rtol=1e-8, atol=1e-8)


def test_attention_pixel_by_pixel():
    layer = settled(normalise_spectrum(SelfAttention2d(16)))
    features = torch.randn(2, 16, 4, 6).double() / 4
    torch.testing.assert_close(layer(features), attend(layer, features), rtol=1e-9, atol=1e-9)
    fresh = SelfAttention2d(16).double()
    assert torch.equal(fresh(features), features), "it begins at a share of 0"


def test_attention_of_few_channels_and_an_odd_side():
    layer = SelfAttention2d(3)
    nn.init.ones_(layer.share)
    features = torch.randn(2, 3, 5, 4)
    assert layer(features).shape == features.shape
    assert not torch.equal(layer(features), features)


def test_attention_can_be_differentiated_twice():
    layer = SelfAttention2d(4).double()
    nn.init.ones_(layer.share)
    features = torch.randn(1, 4, 2, 4).double().requires_grad_()
    assert torch.autograd.gradgradcheck(layer, features)


def test_the_embedding_of_a_projection_is_normalised_too():
    body = nn.Sequential(nn.Flatten(), nn.Linear(4, 6))
    ending = nn.Sequential(nn.Linear(6, 1), nn.Flatten(0))
    network = settled(normalise_spectrum(ClassProjection(body, ending, 5, 6, std=1.0)))
    assert torch.linalg.svdvals(network.embedding)[0].item() == pytest.approx(1)
    samples, labels = torch.randn(2, 2, 2).double(), torch.tensor([1, 4])
    difference = network(samples, labels) - network(samples, torch.tensor([0, 0]))
    rows = divided(network)
    expected = ((rows[labels] - rows[0]) * body(samples)).sum(1)
    torch.testing.assert_close(difference, expected)
