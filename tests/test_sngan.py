"""SN-GAN's networks: the layers of its tables, and a discriminator with a bounded slope."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

import ganzoo
from ganzoo import DataSpec
from ganzoo.errors import InputError
from ganzoo.models.size_check import build_on_meta
from ganzoo.nn import Residual, SumOverPixels, draw_glorot, first_block, fuse
from ganzoo_zoo.families.sngan import SNGAN, SNGANResNet
from tiny import TINY

BOTH = pytest.mark.parametrize("family", [SNGAN, SNGANResNet])
CIFAR = DataSpec(shape=(3, 32, 32))
SIZES = [(8, 8), (28, 28), (32, 32), (48, 48), (64, 64), (96, 96), (128, 128), (32, 64), (56, 28)]


def modules(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


def weights(network):
    return [layer.weight for layer in modules(network, (nn.Conv2d, nn.Linear))]


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@BOTH
@pytest.mark.parametrize("size", SIZES)
def test_every_reachable_size_is_made_and_judged(family, size):
    architecture = family(base_channels=2, z_dim=5)
    data = DataSpec(shape=(3, *size))
    samples = architecture.generator(data)(torch.randn(2, 5))
    assert samples.shape == (2, 3, *size)
    assert architecture.discriminator(data)(samples).shape == (2,)


@BOTH
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_image_channels(family, channels):
    data = DataSpec(shape=(channels, 28, 28))
    architecture = family(base_channels=2)
    samples = architecture.generator(data)(torch.randn(2, 128))
    assert samples.shape == (2, channels, 28, 28)
    assert architecture.discriminator(data)(samples).shape == (2,)


@BOTH
@pytest.mark.parametrize("size", [(30, 30), (7, 7), (36, 36), (31, 64)])
def test_sizes_out_of_reach_are_refused(family, size):
    with pytest.raises(InputError, match=r"stops at \d+ x \d+; resize it with --image-size"):
        family().generator(DataSpec(shape=(1, *size)))


@BOTH
def test_vectors_are_refused(family):
    with pytest.raises(InputError, match="images are needed, and these samples are vectors of 2"):
        family().discriminator(DataSpec(shape=(2,)))


@BOTH
def test_every_weight_of_the_discriminator_and_none_of_the_generator_is_normalised(family):
    architecture = family(base_channels=4)
    layers = modules(architecture.discriminator(CIFAR), (nn.Conv2d, nn.Linear))
    assert all(is_parametrized(layer, "weight") for layer in layers)
    assert not any(is_parametrized(module) for module in architecture.generator(CIFAR).modules())
    assert not modules(architecture.discriminator(CIFAR), nn.BatchNorm2d)


@BOTH
def test_the_largest_singular_value_is_one_and_stays_so_when_weights_grow(family):
    discriminator = family(base_channels=4).discriminator(CIFAR)
    with torch.no_grad():
        for parameter in discriminator.parameters():
            parameter.mul_(50)
        for _ in range(60):  # each pass is one power iteration
            discriminator(torch.rand(2, 3, 32, 32))
    for weight in weights(discriminator):
        largest = torch.linalg.matrix_norm(weight.detach().flatten(1), 2).item()
        assert largest == pytest.approx(1, abs=0.02)


@BOTH
def test_evaluation_changes_nothing(family):
    discriminator = family(base_channels=4).discriminator(CIFAR).eval()
    before = {name: value.clone() for name, value in discriminator.state_dict().items()}
    discriminator(torch.rand(2, 3, 32, 32))
    after = discriminator.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_standard_cnn_is_that_of_table_3():
    generator, discriminator = SNGAN().generator(CIFAR), SNGAN().discriminator(CIFAR)
    assert generator[0].out_features == 512 * 4 * 4
    ups = modules(generator, nn.ConvTranspose2d)
    assert [layer.out_channels for layer in ups] == [256, 128, 64]
    assert {(layer.kernel_size, layer.stride) for layer in ups} == {((4, 4), (2, 2))}
    assert len(modules(generator, nn.BatchNorm2d)) == 3
    assert isinstance(generator[-1], nn.Tanh)
    downs = modules(discriminator, nn.Conv2d)
    assert [(layer.kernel_size[0], layer.stride[0], layer.out_channels) for layer in downs] == [
        (3, 1, 64),
        (4, 2, 64),
        (3, 1, 128),
        (4, 2, 128),
        (3, 1, 256),
        (4, 2, 256),
        (3, 1, 512),
    ]
    assert {layer.negative_slope for layer in modules(discriminator, nn.LeakyReLU)} == {0.1}
    (dense,) = modules(discriminator, nn.Linear)
    assert dense.in_features == 512 * 4 * 4


def test_the_standard_cnn_starts_from_6_x_6_for_48_pixels():
    generator = SNGAN().generator(DataSpec(shape=(3, 48, 48)))
    assert generator[0].out_features == 512 * 6 * 6


def test_channels_stop_doubling_at_eight_times_the_base():
    discriminator = SNGAN(base_channels=2).discriminator(DataSpec(shape=(3, 128, 128)))
    assert max(layer.out_channels for layer in modules(discriminator, nn.Conv2d)) == 16


def test_the_resnet_is_that_of_table_4():
    generator, discriminator = SNGANResNet().generator(CIFAR), SNGANResNet().discriminator(CIFAR)
    assert generator[0].out_features == 256 * 4 * 4
    assert [layer.mode for layer in modules(generator, nn.Upsample)] == ["nearest"] * 6
    block = 2 * (256 * 256 * 9 + 256) + 256 * 256 + 256 + 2 * 2 * 256
    ends = 128 * 4096 + 4096 + 2 * 256 + 256 * 3 * 9 + 3
    assert parameters(generator) == 3 * block + ends
    layers = modules(discriminator, nn.Conv2d)
    assert {layer.out_channels for layer in layers} == {128}
    assert len(layers) == 3 + 3 + 2 + 2, "shortcuts are learned where the shape changes"
    plain = 2 * (128 * 128 * 9 + 128)
    shortcut = 128 * 128 + 128
    first = 3 * 128 * 9 + 128 + plain // 2 + 3 * 128 + 128
    assert parameters(discriminator) == first + plain + shortcut + 2 * plain + 128 + 1


@pytest.mark.parametrize(
    ("size", "lowest", "made", "judged"),
    [
        (48, 6, [512, 256, 128, 64], [64, 128, 256, 512, 1024]),
        (128, 4, [1024, 1024, 512, 256, 128, 64], [64, 128, 256, 512, 1024, 1024]),
    ],
)
def test_tapered_resnets_are_those_of_tables_5_and_6(size, lowest, made, judged):
    architecture, data = (
        SNGANResNet(tapered=True, base_channels=64),
        DataSpec(shape=(3, size, size)),
    )
    generator = build_on_meta(lambda: architecture.generator(data))
    discriminator = build_on_meta(lambda: architecture.discriminator(data))
    assert generator[0].out_features == made[0] * lowest**2
    blocks = modules(generator, Residual)
    assert [block.shortcut[0].in_channels for block in blocks] == made[:-1]
    assert [block.shortcut[0].out_channels for block in blocks] == made[1:]
    convolutions = [modules(each.branch, nn.Conv2d) for each in modules(discriminator, Residual)]
    assert [(one.out_channels, two.out_channels) for one, two in convolutions] == [
        (width, width) for width in judged
    ]
    halvings = [
        len(modules(each.branch, nn.AvgPool2d)) for each in modules(discriminator, Residual)
    ]
    assert halvings == [1] * (len(judged) - 1) + [0]


def test_classes_in_blocks_and_in_the_projection_against_another_formulation():
    architecture = SNGANResNet(
        tapered=True, base_channels=1, z_dim=4, conditional=True, upsampling="bilinear"
    )
    data = DataSpec(shape=(3, 16, 16), classes=3)
    generator = architecture.generator(data).double().eval()
    discriminator = architecture.discriminator(data).double().eval()
    for parameter in generator.parameters():
        nn.init.normal_(parameter, 0.0, 0.3)
    latents, labels = torch.randn(3, 4).double(), torch.tensor([2, 0, 1])
    first, _, one, two, *ending = generator
    features = first(latents).view(3, 4, 4, 4)
    for block in (one, two):
        h = double(scaled(block.first_norm, features, labels).relu())
        h = F.conv2d(h, block.first[2].weight, block.first[2].bias, padding=1)
        h = scaled(block.second_norm, h, labels).relu()
        h = F.conv2d(h, block.second[1].weight, block.second[1].bias, padding=1)
        shortcut = block.shortcut[0]
        features = h + F.conv2d(double(features), shortcut.weight, shortcut.bias)
    for layer in ending:
        features = layer(features)
    torch.testing.assert_close(generator(latents, labels), features)
    torch.testing.assert_close(fuse(generator)(latents, labels), features)
    pooled = discriminator.body(features)
    expected = discriminator.ending(pooled) + (discriminator.embedding[labels] * pooled).sum(1)
    torch.testing.assert_close(discriminator(features, labels), expected)
    largest = torch.linalg.matrix_norm(discriminator.embedding, 2).item()
    assert largest == pytest.approx(1, abs=0.05)


def scaled(norm, features, labels):
    gain, bias = 1 + norm.gain.weight[labels], norm.bias.weight[labels]
    return features / (1 + 1e-5) ** 0.5 * gain[..., None, None] + bias[..., None, None]


def double(features):
    """Weigh each pixel and its neighbours by 3 to 1, in both directions; the border repeats."""
    for axis in (2, 3):
        size = features.shape[axis]
        places = torch.arange(size)
        before, after = (places - 1).clamp(0), (places + 1).clamp(max=size - 1)
        sides = [
            (3 * features + features.index_select(axis, other)) / 4 for other in (before, after)
        ]
        features = torch.stack(sides, dim=axis + 1).flatten(axis, axis + 1)
    return features


def test_the_first_block_sees_the_image_and_not_its_positive_part():
    discriminator = SNGANResNet(base_channels=4).discriminator(CIFAR).eval()
    dark = -torch.rand(2, 3, 32, 32)
    assert not torch.equal(discriminator(dark), discriminator(torch.zeros_like(dark)))


def test_pixels_are_summed_and_not_averaged():
    discriminator = SNGANResNet(base_channels=4).discriminator(CIFAR)
    (pool,) = [module for module in discriminator if isinstance(module, SumOverPixels)]
    assert torch.equal(pool(torch.ones(1, 2, 8, 8)), torch.full((1, 2), 64.0))


@pytest.mark.parametrize(("size", "left"), [(8, 4), (28, 7), (32, 8), (48, 12), (64, 8)])
def test_the_resnet_judges_maps_of_at_least_7_pixels(size, left):
    discriminator = SNGANResNet(base_channels=2).discriminator(DataSpec(shape=(1, size, size)))
    seen = []
    discriminator[-4].register_forward_hook(lambda module, given, maps: seen.append(maps.shape))
    discriminator(torch.zeros(2, 1, size, size))
    assert seen == [(2, 2, left, left)]


def test_a_seed_draws_the_last_layer_first_and_then_the_blocks_in_order():
    torch.manual_seed(0)
    judge, first = draw_glorot(nn.Linear(4, 1)), first_block(3, 4)
    torch.manual_seed(0)
    discriminator = SNGANResNet(base_channels=4).discriminator(CIFAR)
    for mine, drawn in ((first.branch[0], discriminator[0].branch[0]), (judge, discriminator[-2])):
        assert torch.equal(mine.weight, drawn.parametrizations.weight.original)


def test_recipes_are_the_papers():
    cnn, resnet = SNGAN.recipe, SNGANResNet.recipe
    assert (cnn.generator_lr, cnn.discriminator_lr, cnn.betas) == (2e-4, 2e-4, (0.5, 0.999))
    assert (cnn.n_critic, cnn.batch_size, cnn.lr_decay) == (1, 64, "none")
    assert (resnet.generator_lr, resnet.discriminator_lr) == (2e-4, 2e-4)
    assert (resnet.betas, resnet.n_critic) == ((0.0, 0.9), 5)
    assert (resnet.batch_size, resnet.lr_decay) == (64, "linear")
    assert SNGAN.bounds_slope
    assert SNGANResNet.bounds_slope


@pytest.mark.parametrize("name", ["sngan", "sngan-resnet"])
def test_it_trains_and_loads(name):
    options = {"arch.base_channels": 2, "arch.z_dim": 4, "data.image_size": "16x8"}
    run = ganzoo.train(name, settings=options, **{**TINY, "steps": 2})
    model = ganzoo.load(run)
    assert model.sample(3).shape == (3, 1, 16, 8)
    assert is_parametrized(modules(model.discriminator, nn.Conv2d)[0], "weight")
