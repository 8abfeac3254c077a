"""WGAN-GP's ResNet: the layers of its paper, and a critic without normalisation."""

import pytest
import torch
from torch import nn

import ganzoo
from ganzoo import DataSpec
from ganzoo.errors import InputError
from ganzoo_zoo.families.resnet import ResNet
from tiny import TINY

CIFAR = DataSpec(shape=(3, 32, 32))
SIZES = [(8, 8), (28, 28), (32, 32), (48, 48), (64, 64), (96, 96), (128, 128), (32, 64), (56, 28)]


def modules(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("size", SIZES)
def test_every_reachable_size_is_made_and_judged(size):
    architecture = ResNet(base_channels=2, z_dim=5)
    data = DataSpec(shape=(3, *size))
    samples = architecture.generator(data)(torch.randn(2, 5))
    assert samples.shape == (2, 3, *size)
    assert architecture.discriminator(data)(samples).shape == (2,)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_image_channels(channels):
    data = DataSpec(shape=(channels, 28, 28))
    samples = ResNet(base_channels=2).generator(data)(torch.randn(2, 128))
    assert samples.shape == (2, channels, 28, 28)
    assert ResNet(base_channels=2).discriminator(data)(samples).shape == (2,)


@pytest.mark.parametrize("size", [(30, 30), (7, 7), (36, 36), (31, 64)])
def test_sizes_out_of_reach_are_refused(size):
    with pytest.raises(InputError, match=r"stops at \d+ x \d+; resize it with --image-size"):
        ResNet().generator(DataSpec(shape=(1, *size)))


def test_vectors_are_refused():
    with pytest.raises(InputError, match="images are needed, and these samples are vectors of 2"):
        ResNet().discriminator(DataSpec(shape=(2,)))


def test_it_follows_its_paper():
    generator, critic = ResNet().generator(CIFAR), ResNet().discriminator(CIFAR)
    convolutions = 2 * (128 * 128 * 9 + 128)
    shortcut = 128 * 128 + 128
    ends = 128 * 2048 + 2048 + 2 * 128 + 128 * 3 * 9 + 3
    assert parameters(generator) == 3 * (convolutions + shortcut + 2 * 2 * 128) + ends
    assert len(modules(generator, nn.BatchNorm2d)) == 7
    assert [layer.mode for layer in modules(generator, nn.Upsample)] == ["nearest"] * 6
    assert isinstance(generator[-1], nn.Tanh)
    first = 3 * 128 * 9 + 128 + convolutions // 2 + 3 * 128 + 128
    assert parameters(critic) == first + convolutions + shortcut + 2 * convolutions + 128 + 1
    assert len(modules(critic, nn.AvgPool2d)) == 4, "two blocks halve, in branch and shortcut"


def test_the_critic_has_no_normalisation_for_any_loss():
    layers = (nn.Sequential, nn.Flatten, nn.Identity)
    known = (*layers, nn.Conv2d, nn.Linear, nn.ReLU, nn.AvgPool2d)
    for independent in (False, True):
        critic = ResNet(base_channels=4).discriminator(CIFAR, independent_samples=independent)
        assert not list(critic.buffers())
        own = {type(module).__name__ for module in critic.modules()} - {k.__name__ for k in known}
        assert own == {"Residual", "_MeanOverPixels"}


def test_pixels_are_averaged():
    critic = ResNet(base_channels=4).discriminator(CIFAR)
    (pool,) = [module for module in critic if type(module).__name__ == "_MeanOverPixels"]
    assert torch.equal(pool(torch.ones(1, 2, 8, 8)), torch.ones(1, 2))


def test_weights_are_drawn_as_theirs():
    critic = ResNet().discriminator(CIFAR)
    inner, shortcut = critic[2].branch[1].weight, critic[1].shortcut[1].weight
    assert inner.std().item() == pytest.approx((4 / (9 * 128 + 9 * 128)) ** 0.5, rel=0.02)
    assert inner.abs().max().item() <= (3 * 4 / (9 * 128 + 9 * 128)) ** 0.5, "uniform"
    assert shortcut.std().item() == pytest.approx((2 / (128 + 128)) ** 0.5, rel=0.02)
    assert not any(layer.bias.any() for layer in modules(critic, (nn.Conv2d, nn.Linear)))


@pytest.mark.parametrize(("size", "left"), [(8, 4), (28, 7), (32, 8), (48, 12), (64, 8)])
def test_the_critic_judges_maps_of_at_least_7_pixels(size, left):
    critic = ResNet(base_channels=2).discriminator(DataSpec(shape=(1, size, size)))
    seen = []
    critic[-4].register_forward_hook(lambda module, given, maps: seen.append(maps.shape))
    critic(torch.zeros(2, 1, size, size))
    assert seen == [(2, 2, left, left)]


def test_the_recipe_is_the_papers():
    recipe = ResNet.recipe
    assert (recipe.generator_lr, recipe.discriminator_lr) == (2e-4, 2e-4)
    assert (recipe.betas, recipe.n_critic) == ((0.0, 0.9), 5)
    assert (recipe.batch_size, recipe.lr_decay, recipe.lr_decay_from) == (64, "linear", 0)


def test_it_trains_and_loads():
    options = {"arch.base_channels": 2, "arch.z_dim": 4, "data.image_size": "16x8"}
    run = ganzoo.train("resnet", settings=options, **{**TINY, "steps": 2})
    assert ganzoo.load(run).sample(3).shape == (3, 1, 16, 8)
