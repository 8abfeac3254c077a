"""R3GAN: closed forms of its loss, and networks that begin as straight lines."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

import ganzoo
from ganzoo import DataSpec, Progress, registry
from ganzoo.errors import InputError
from ganzoo.registry import AUGMENTATION
from ganzoo.resolve import change_resumed_config, resolve
from ganzoo.runs.reproduce import build_reproduction
from ganzoo.training.optimizers import OptimizerSettings, ema_decay
from ganzoo.training.parts import StepParts
from ganzoo_zoo.augmentations.ada.parts import GROUPS, find_factors
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


def test_penalties_of_a_linear_critic_teach_it_alone():
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


def papers_value(images, first, last):
    """Go from one value to another by half a cosine over 20 million images, and stay there."""
    share = min(images / 20e6, 1.0)
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


@pytest.mark.parametrize("step", [0, 1, 2, 100, 9_765, 19_531, 30_000, 39_062, 39_063, 60_000])
def test_the_papers_schedules(step):
    config = resolve("r3gan", None, "cifar10", {"train.recipe": "paper"})
    assert config.architecture.options["base_channels"] == 768
    assert (config.architecture.options["growth"], config.architecture.options["blocks"]) == (1, 2)
    assert (config.train.batch_size, config.train.n_critic) == (512, 1)
    assert config.train.optimizer == "adam"
    augment = {each.name: each.build(AUGMENTATION) for each in config.augmentations}
    parts = StepParts(R3GANLoss(**config.loss.options), {}, augment, config.train, config.schedules)
    images = 512 * step
    now = parts.at(Progress.at(config.train, step))
    for network in ("generator", "discriminator"):
        settings = OptimizerSettings.of(now.options, network)
        assert settings.lr == pytest.approx(papers_value(images, 2e-4, 5e-5), rel=1e-12)
        assert settings.betas == pytest.approx((0.0, papers_value(images, 0.9, 0.99)), rel=1e-12)
    assert now.loss.gamma == pytest.approx(papers_value(images, 0.05, 0.005), rel=1e-12)
    ada = now.augmentations["ada"]
    assert ada.probability == pytest.approx(papers_value(images, 0.0, 0.55), rel=1e-12)
    assert ada.target is None
    assert find_factors(ada.parts) == {
        **dict.fromkeys((*GROUPS["blit"], *GROUPS["geom"], "cutout"), 1.0),
        **dict.fromkeys(GROUPS["color"], 0.5),
    }
    half_life = papers_value(images, 0.0, 5e6)
    expected = 0.5 ** (512 / half_life) if step else 0.0
    assert ema_decay(now.options, Progress.at(config.train, step)) == pytest.approx(
        expected, rel=1e-12
    )


def test_the_papers_recipe_is_for_its_own_loss():
    config = resolve("r3gan", "hinge", "digits", {"train.recipe": "paper"})
    assert not config.schedules
    assert config.train.batch_size == 64


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
        assert network.state_dict().keys() == dict(network.named_parameters()).keys()
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


def resampling(name):
    architecture = R3GAN(base_channels=8, growth=1, resampling=name)
    # After a basis or a convolution, a block and, between two widths, a convolution.
    return architecture.generator(CIFAR)[3], architecture.discriminator(CIFAR)[2]


def test_resampling_filters_by_1_3_3_1_with_zeros_around():
    """A row at a time, by plain sums: as the authors' code does by its kernel."""
    up, down = resampling("binomial")
    image = torch.randn(2, 8, 6, 4)

    def along_rows(image, resample):
        return torch.stack([resample(row) for row in image.unbind(-2)], -2)

    def halve(row):
        padded = nn.functional.pad(row, (1, 1))
        pixels = [padded[..., i : i + row.shape[-1] : 2] for i in range(4)]
        return sum(weight * each for weight, each in zip((1, 3, 3, 1), pixels, strict=True)) / 8

    def double(row):
        padded = nn.functional.pad(row, (1, 1))
        before, here, after = padded[..., :-2], row, padded[..., 2:]
        return torch.stack([before + 3 * here, 3 * here + after], -1).flatten(-2) / 4

    for layer, resample in ((down, halve), (up, double)):
        expected = along_rows(image, resample)
        expected = along_rows(expected.transpose(-2, -1), resample).transpose(-2, -1)
        torch.testing.assert_close(layer(image), expected)


def test_the_generator_ends_linearly_and_samples_are_clamped():
    generator = R3GAN(base_channels=8).generator(CIFAR)
    far = 1e3 * torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        linear, clamped = generator.train()(far), generator.eval()(far)
    assert linear.abs().max() > 1
    assert torch.equal(clamped, linear.clamp(-1, 1))
    bounded = R3GAN(base_channels=8, output="tanh").generator(CIFAR)
    bounded.load_state_dict(generator.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(bounded(far), linear.tanh())


def test_a_file_of_before_these_options_has_the_networks_of_then():
    config = resolve("r3gan", None, "digits", {"arch.base_channels": 8, "arch.output": "linear"})
    options = dict(config.architecture.options)
    del options["output"], options["resampling"]
    earlier = config.architecture.model_copy(update={"options": options})
    built = earlier.build(registry.ARCHITECTURE)
    assert (built.output, built.resampling) == ("tanh", "bilinear")
    run = config.model_copy(update={"architecture": earlier})
    resumed = change_resumed_config(run, {"train.log_every": 1})
    assert resumed.architecture.options == built.model_dump()
    again = build_reproduction(run).settings
    assert (again["arch.output"], again["arch.resampling"]) == ("tanh", "bilinear")
    assert build_reproduction(config).settings["arch.output"] == "linear"


def test_it_trains_and_loads():
    options = {"arch.base_channels": 8, "arch.z_dim": 4, "data.image_size": "16x8"}
    run = ganzoo.train("r3gan", settings=options, **{**TINY, "steps": 2})
    assert ganzoo.load(run).sample(3).shape == (3, 1, 16, 8)
