"""BigGAN-deep: its size, and its layers against another formulation."""

from functools import partial

import pytest
import torch
from torch import nn

from ganzoo import DataSpec
from ganzoo.errors import InputError
from ganzoo.models.size_check import build_on_meta
from ganzoo.nn import SelfAttention2d, fuse
from ganzoo_zoo.families.biggan import BigGAN
from residual_reference import (
    attend,
    convolve,
    divided,
    double,
    halve,
    multiply,
    normalise,
    settled,
)

DATA = DataSpec(shape=(1, 16, 16), classes=3)
SMALL = BigGAN(deep=True, z_dim=3, base_channels=2, shared_dim=4, attention=8)


@pytest.mark.parametrize(
    ("size", "generator", "discriminator"),
    [(128, 50.4, 34_590_210), (256, 55.9, 38_247_426), (512, 56.2, 38_301_122)],
)
def test_published_parameters(size, generator, discriminator):
    architecture = BigGAN(deep=True, base_channels=128, z_dim=128, init="normal")
    data = DataSpec(shape=(3, size, size), classes=1000)
    found, judge = (
        sum(each.numel() for each in build_on_meta(partial(build, data)).parameters())
        for build in (architecture.generator, architecture.discriminator)
    )
    # The published generators have 128 channels of an image, of which 3 are shown.
    unseen = 125 * (128 * 3 * 3 + 1)
    assert round((found + unseen) / 1e6, 1) == generator
    assert judge == discriminator


def on(norm, given):
    gain, bias = 1 + multiply(norm.gain, given), multiply(norm.bias, given)
    return lambda features: normalise(norm.norm, features, gain, bias).relu()


def up(block, features, given, *, doubles):
    one, two, three, four = (convolution[-1] for convolution in block.convolutions)
    before = [on(norm, given) for norm in block.norms]
    h = before[1](convolve(one, before[0](features)))
    kept = features[:, : four.out_channels]
    h, kept = (double(h), double(kept)) if doubles else (h, kept)
    h = convolve(three, before[2](convolve(two, h)))
    return convolve(four, before[3](h)) + kept


def test_the_generator_against_another_formulation():
    network = settled(SMALL.generator(DATA))
    latents, labels = torch.randn(4, 3).double(), torch.tensor([0, 2, 1, 2])
    given = torch.cat([network.embedding.weight[labels], latents], dim=1)
    features = multiply(network.first[0], given).view(4, 8, 4, 4)
    one, two, attention, three, four, nothing = network.layers
    features = up(two, up(one, features, given, doubles=False), given, doubles=True)
    features = attend(attention, features)
    features = up(four, up(three, features, given, doubles=False), given, doubles=True)
    assert isinstance(nothing, nn.Identity)
    norm, _, convolution, _ = network.ending
    steady = normalise(norm, features, norm.weight, norm.bias).relu()
    expected = convolve(convolution, steady).tanh()
    torch.testing.assert_close(network(latents, labels), expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(fuse(network)(latents, labels), expected, rtol=1e-8, atol=1e-8)


def down(block, features, *, halves):
    one, two, three, four = (each for each in block.branch if isinstance(each, nn.Conv2d))
    h = convolve(two, convolve(one, features.relu()).relu())
    h = convolve(three, h.relu()).relu()
    h, kept = (halve(h), halve(features)) if halves else (h, features)
    added = [] if block.added is None else [convolve(block.added, kept)]
    return convolve(four, h) + torch.cat([kept, *added], dim=1)


def test_the_discriminator_against_another_formulation():
    """It is small, so its last pair of blocks does not halve: 16 pixels are halved once."""
    network = settled(BigGAN(deep=True, base_channels=2, attention=8).discriminator(DATA))
    images, labels = torch.randn(3, 1, 16, 16).double(), torch.tensor([2, 0, 1])
    first, one, two, attention, three, four, nothing, *_ = network.body
    features = down(two, down(one, convolve(first, images), halves=True), halves=False)
    features = attend(attention, features)
    features = down(four, down(three, features, halves=False), halves=False)
    assert isinstance(nothing, nn.Identity)
    pooled = features.relu().sum((2, 3))
    expected = multiply(network.ending[0], pooled)[:, 0]
    expected = expected + (divided(network)[labels] * pooled).sum(1)
    torch.testing.assert_close(network(images, labels), expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(fuse(network)(images, labels), expected, rtol=1e-8, atol=1e-8)


def test_blocks_that_add_channels_against_another_formulation():
    data = DataSpec(shape=(1, 64, 64))
    network = settled(BigGAN(deep=True, base_channels=1, conditional=False).discriminator(data))
    images = torch.randn(2, 1, 64, 64).double()
    first, *layers = network[0][:-2]
    features = convolve(first, images)
    for one, two, behind in zip(*[iter(layers)] * 3, strict=True):
        features = down(two, down(one, features, halves=True), halves=False)
        if isinstance(behind, SelfAttention2d):
            assert features.shape[2] == 32
            features = attend(behind, features)
    assert features.shape == (2, 16, 4, 4)
    expected = multiply(network[1][0], features.relu().sum((2, 3)))[:, 0]
    torch.testing.assert_close(network(images), expected, rtol=1e-8, atol=1e-8)


def test_attention_stands_at_the_same_size_in_both_networks():
    data = DataSpec(shape=(3, 64, 64))
    architecture = BigGAN(deep=True, z_dim=3, base_channels=1, conditional=False)
    generator, discriminator = architecture.generator(data), architecture.discriminator(data)
    seen = []
    for network in (generator, discriminator):
        (layer,) = (each for each in network.modules() if isinstance(each, SelfAttention2d))
        layer.register_forward_hook(lambda *given: seen.append(tuple(given[2].shape[1:])))
    assert discriminator(generator(torch.randn(2, 3))).shape == (2,)
    assert seen == [(4, 32, 32), (2, 32, 32)]


def test_its_blocks_see_the_whole_latent():
    with pytest.raises(InputError, match="deep=true needs hierarchical=true"):
        BigGAN(deep=True, hierarchical=False)
