"""R3GAN: closed forms of its loss, and networks that begin as straight lines."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

import ganzoo
from ganzoo import DataSpec
from ganzoo.errors import InputError
from ganzoo_zoo.families.r3gan import R3GAN, R3GANLoss
from tiny import TINY

CIFAR = DataSpec(shape=(3, 32, 32))
SIZES = [(8, 8), (28, 28), (32, 32), (48, 48), (64, 64), (96, 96), (128, 128), (32, 64), (56, 28)]


def identity(samples):
    return samples.flatten(1).sum(1)


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def modules(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


def last_convolutions(network):
    return [block.branch[-1] for block in network.modules() if type(block).__name__ == "_Block"]


def test_the_loss_is_the_papers():
    real, fake = column(0.7, -1.2, 3.0), column(0.4, 2.0, -1.0)
    terms = R3GANLoss(gamma=0.5).discriminator_loss(identity, real, fake)
    assert list(terms) == ["relativistic", "r1", "r2"]
    torch.testing.assert_close(terms["relativistic"], softplus(fake - real).mean())
    assert terms["r1"].item() == pytest.approx(0.25), "gamma / 2 for a slope of 1"
    assert terms["r2"].item() == pytest.approx(0.25)
    terms = R3GANLoss().generator_loss(identity, real, fake)
    assert list(terms) == ["relativistic"]
    torch.testing.assert_close(terms["relativistic"], softplus(real - fake).mean())


def test_each_real_is_paired_with_a_fake():
    real, fake = column(5.0, -5.0), column(5.0, -5.0)
    paired = R3GANLoss().discriminator_loss(identity, real, fake)["relativistic"]
    crossed = R3GANLoss().discriminator_loss(identity, real, fake.flip(0))["relativistic"]
    assert paired.item() == pytest.approx(math.log(2))
    assert crossed.item() > 4


@pytest.mark.parametrize("count", [1, 4, 16])
@pytest.mark.parametrize("gamma", [0.0, 1.0, 3.0])
def test_penalties_of_a_linear_critic_are_the_square_of_its_slope(count, gamma):
    slope = torch.randn(3, 5, 4)
    real, fake = torch.randn(2, count, 3, 5, 4)
    terms = R3GANLoss(gamma=gamma).discriminator_loss(
        lambda samples: (samples * slope).flatten(1).sum(1) + 7, real, fake
    )
    expected = gamma / 2 * slope.square().sum()
    torch.testing.assert_close(terms["r1"], expected)
    torch.testing.assert_close(terms["r2"], expected)


def test_r1_is_taken_at_the_reals_and_r2_at_the_fakes():
    terms = R3GANLoss(gamma=2.0).discriminator_loss(
        lambda samples: samples.square().sum(1) / 2, column(3.0, 1.0), column(0.5, -0.5)
    )
    assert terms["r1"].item() == pytest.approx((9 + 1) / 2)
    assert terms["r2"].item() == pytest.approx(0.25)


def test_each_sample_has_its_own_norm():
    """A norm over the batch would square the sum of the slopes."""
    steep, flat = column(2.0), column(0.0)
    loss = R3GANLoss(gamma=2.0)
    terms = loss.discriminator_loss(
        lambda samples: samples.square().sum(1) / 2, torch.cat([steep, flat]), column(0.0, 0.0)
    )
    assert terms["r1"].item() == pytest.approx((4 + 0) / 2)


def test_logits_of_parts_are_averaged():
    def parts(samples):
        return torch.stack([identity(samples), 3 * identity(samples)], dim=1)

    terms = R3GANLoss(gamma=2.0).discriminator_loss(parts, column(0.0, 0.0), column(0.0, 0.0))
    assert terms["r1"].item() == pytest.approx(4), "the mean of the parts has a slope of 2"


def test_penalties_teach_the_critic_and_not_the_samples():
    critic = nn.Linear(3, 1)
    real, fake = torch.randn(4, 3), torch.randn(4, 3, requires_grad=True)
    terms = R3GANLoss().discriminator_loss(lambda samples: critic(samples)[:, 0], real, fake)
    (terms["r1"] + terms["r2"]).backward()
    torch.testing.assert_close(critic.weight.grad, 2 * critic.weight.detach())
    assert fake.grad is None
    assert not real.requires_grad


def test_what_the_loss_declares():
    recipe = R3GANLoss.recipe
    assert (recipe.generator_lr, recipe.discriminator_lr) == (2e-4, 2e-4)
    assert (recipe.betas, recipe.n_critic) == ((0.0, 0.99), 1)
    assert R3GANLoss.independent_samples
    assert R3GANLoss.second_order


@pytest.mark.parametrize("size", SIZES)
def test_every_reachable_size_is_made_and_judged(size):
    architecture = R3GAN(base_channels=8, z_dim=5)
    data = DataSpec(shape=(3, *size))
    samples = architecture.generator(data)(torch.randn(2, 5))
    assert samples.shape == (2, 3, *size)
    assert architecture.discriminator(data)(samples).shape == (2,)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_image_channels(channels):
    data = DataSpec(shape=(channels, 28, 28))
    samples = R3GAN(base_channels=8).generator(data)(torch.randn(2, 64))
    assert samples.shape == (2, channels, 28, 28)
    assert R3GAN(base_channels=8).discriminator(data)(samples).shape == (2,)


@pytest.mark.parametrize("size", [(30, 30), (7, 7), (36, 36), (31, 64)])
def test_sizes_out_of_reach_are_refused(size):
    with pytest.raises(InputError, match=r"stops at \d+ x \d+; resize it with --image-size"):
        R3GAN().generator(DataSpec(shape=(1, *size)))


def test_vectors_are_refused():
    with pytest.raises(InputError, match="images are needed, and these samples are vectors of 2"):
        R3GAN().discriminator(DataSpec(shape=(2,)))


def test_groups_must_divide_the_channels():
    with pytest.raises(InputError, match="24, must be a multiple of group_size, 16"):
        R3GAN(base_channels=12)


def test_networks_of_the_papers_size():
    """4 resolutions of 2 blocks, 768 channels, 1536 inside in 96 groups."""
    block = 768 * 1536 + 1536 + 1536 * 16 * 9 + 1536 + 1536 * 768
    with torch.device("meta"):
        paper = R3GAN(base_channels=768, growth=1, blocks=2)
        generator, discriminator = paper.generator(CIFAR), paper.discriminator(CIFAR)
    for network, ends in (
        (generator, 64 * 768 + 768 * 16 + 3 * 768),
        (discriminator, 3 * 768 + 768 * 16 + 768),
    ):
        assert sum(parameter.numel() for parameter in network.parameters()) == 8 * block + ends
        grouped = [layer for layer in modules(network, nn.Conv2d) if layer.kernel_size == (3, 3)]
        assert {(layer.in_channels, layer.groups) for layer in grouped} == {(1536, 96)}


def test_channels_double_at_each_halving():
    architecture = R3GAN(base_channels=8, growth=4)
    for network, expected in (
        (architecture.generator(CIFAR), [(32, 16), (16, 8), (8, 3)]),
        (architecture.discriminator(CIFAR), [(3, 8), (8, 16), (16, 32)]),
    ):
        transitions = [
            (layer.in_channels, layer.out_channels)
            for layer in network
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)
        ]
        assert transitions == expected, "and none between two resolutions of one width"


def test_neither_network_has_normalisation():
    architecture = R3GAN(base_channels=8)
    for network in (architecture.generator(CIFAR), architecture.discriminator(CIFAR)):
        assert not list(network.buffers())
        assert {layer.negative_slope for layer in modules(network, nn.LeakyReLU)} == {0.2}


def test_blocks_begin_as_the_identity_and_learn():
    architecture = R3GAN(base_channels=8, growth=1, blocks=2)
    for network, given in (
        (architecture.generator(CIFAR), torch.randn(2, 64)),
        (architecture.discriminator(CIFAR), torch.randn(2, 3, 32, 32)),
    ):
        blocks = [module for module in network.modules() if type(module).__name__ == "_Block"]
        assert len(blocks) == 4 * 2
        features = torch.randn(2, 8, 6, 6)
        assert all(torch.equal(block(features), features) for block in blocks)
        network(given).sum().backward()
        for block in blocks:
            assert not block.branch[0].weight.grad.any()
            assert not block.branch[2].weight.grad.any()
            assert block.branch[-1].weight.grad.any(), "the last convolution leaves 0"


def test_weights_shrink_with_depth_by_fix_up():
    scales = []
    for blocks in (1, 4):
        generator = R3GAN(base_channels=64, growth=1, blocks=blocks).generator(CIFAR)
        first = modules(generator, nn.Conv2d)[0]
        he = math.sqrt(2 / (1 + 0.2**2) / 64)
        scales.append(first.weight.std().item() / he)
        assert scales[-1] == pytest.approx((4 * blocks) ** -0.25, rel=0.05)
    assert scales[0] / scales[1] == pytest.approx(math.sqrt(2), rel=0.05)


def test_both_penalties_are_right_on_the_network_itself():
    """Finite differences of the logit along the gradient give its norm."""
    torch.manual_seed(0)
    data = DataSpec(shape=(1, 8, 8))
    critic = R3GAN(base_channels=8, growth=1).discriminator(data).double()
    with torch.no_grad():
        for layer in last_convolutions(critic):
            layer.weight.normal_(0, 0.2)
    real, fake = torch.randn(2, 3, 1, 8, 8, dtype=torch.float64)
    terms = R3GANLoss(gamma=2.0).discriminator_loss(critic, real, fake)
    step = 1e-6
    for name, samples in (("r1", real), ("r2", fake)):
        total = 0.0
        for row, across in itertools.product(range(8), range(8)):
            moved = torch.zeros_like(samples)
            moved[:, 0, row, across] = step
            with torch.no_grad():
                slopes = (critic(samples + moved) - critic(samples - moved)) / (2 * step)
            total += slopes.square().mean().item()
        assert terms[name].item() == pytest.approx(total, rel=1e-5)


def test_it_trains_and_loads():
    options = {"arch.base_channels": 8, "arch.z_dim": 4, "data.image_size": "16x8"}
    run = ganzoo.train("r3gan", settings=options, **{**TINY, "steps": 2})
    assert ganzoo.load(run).sample(3).shape == (3, 1, 16, 8)
