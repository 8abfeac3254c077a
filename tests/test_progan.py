"""ProGAN: the published networks, their growth, and plain formulas of all that they compute."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

import crash
import ganzoo
from ganzoo import DataSpec, Progress, registry
from ganzoo.errors import InputError, Interrupted
from ganzoo.resolve import resolve
from ganzoo.training.prepare import build_trainer
from ganzoo_zoo.families.progan import ProGAN
from tiny import TINY, Stopper

PAPER = {"z_dim": 512, "channel_base": 8192, "channel_max": 512}
SMALL = {"z_dim": 5, "channel_base": 32, "channel_max": 12}
DATA = DataSpec(shape=(3, 32, 32), classes=4)
LEVELS = 3
PHASE = 100
GAIN = math.sqrt(2)
SIZES = [(8, 8), (28, 28), (32, 32), (48, 48), (96, 96), (32, 64), (56, 28)]


def progress(images):
    return Progress(images=images)


@pytest.fixture
def grown():
    """Build both networks in 64 bits, grown to a time of phases of 100 images."""

    def build(images, **options):
        torch.manual_seed(0)
        architecture = ProGAN(**{**SMALL, "phase_images": PHASE, **options})
        pair = architecture.generator(DATA), architecture.discriminator(DATA)
        for network in pair:
            network.double()
            architecture.advance(network, progress(images))
        return architecture, *pair

    return build


# Plain formulas: level by level, with lists of pixels and explicit sums ----------------------


def convolve(features, layer, gain=GAIN):
    """A convolution as a product with patches, of weights of variance gain^2 / fan-in."""
    after, before, size, _ = layer.weight.shape
    patches = F.unfold(features, size, padding=size // 2)
    weight = layer.weight.flatten(1) * gain / math.sqrt(before * size * size)
    sums = torch.einsum("oi,nip->nop", weight, patches) + layer.bias[:, None]
    return sums.view(len(features), after, *features.shape[2:])


def leaky(x):
    return torch.where(x > 0, x, 0.2 * x)


def normalised(x):
    return x / (x**2).mean(1, keepdim=True).add(1e-8).sqrt()


def doubled(x):
    return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def halved(x):
    return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4


def times(count, function, x):
    for _ in range(count):
        x = function(x)
    return x


def plain_features(generator, latents, level):
    stem, *blocks = generator.blocks[: level + 1]
    z = normalised(latents)
    x = z @ (stem.dense.weight * math.sqrt(2) / 4 / math.sqrt(z.shape[1])).T
    x = normalised(leaky(x.view(len(z), -1, 4, 4) + stem.bias))
    x = normalised(leaky(convolve(x, stem.convolution)))
    for block in blocks:
        x = normalised(leaky(convolve(doubled(x), block.first)))
        x = normalised(leaky(convolve(x, block.second)))
    return x


def plain_images(generator, latents, level):
    """The images of one level alone, at its own size."""
    return convolve(plain_features(generator, latents, level), generator.to_image[level], gain=1.0)


def deviation(features, size=4):
    """The mean deviation of each sample's group, of every so many-th sample, one by one."""
    count = len(features)
    found = []
    for i in range(count):
        group = [features[j] for j in range(count) if j % (count // size) == i % (count // size)]
        mean = sum(group) / size
        variance = sum((each - mean) ** 2 for each in group) / size
        found.append((variance + 1e-8).sqrt().mean())
    return torch.stack(found)


def plain_judge(discriminator, x, level):
    """Logits of features behind the first layer of a level."""
    for k in range(level, 0, -1):
        first, _, second, *_ = discriminator.blocks[k]
        x = halved(leaky(convolve(leaky(convolve(x, first)), second)))
    _, convolution, _, _, hidden, _ = discriminator.blocks[0]
    channel = deviation(x)[:, None, None, None].expand(-1, 1, 4, 4)
    x = leaky(convolve(torch.cat([x, channel], 1), convolution)).flatten(1)
    x = leaky(x @ (hidden.weight * math.sqrt(2 / x.shape[1])).T + hidden.bias)
    judge = discriminator.judge
    return x @ judge.weight.T / math.sqrt(x.shape[1]) + judge.bias


def read(discriminator, image, level):
    return leaky(convolve(image, discriminator.from_image[level][0]))


# The published networks ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (32, ("20.72", "20.73")),
        (64, ("22.49", "22.50")),
        (128, ("22.93", "22.94")),
        (256, ("23.04", "23.05")),
    ],
)
def test_parameters_of_the_published_networks(size, expected):
    data = DataSpec(shape=(3, size, size))
    with torch.device("meta"):
        pair = ProGAN(**PAPER).generator(data), ProGAN(**PAPER).discriminator(data)
    counts = [sum(each.numel() for each in network.parameters()) for network in pair]
    assert tuple(f"{count / 1e6:.2f}" for count in counts) == expected


def test_channels_by_level():
    data = DataSpec(shape=(3, 1024, 1024))
    with torch.device("meta"):
        generator = ProGAN(**PAPER).generator(data)
    widths = [layer.weight.shape[1] for layer in generator.to_image]
    assert widths == [512, 512, 512, 512, 256, 128, 64, 32, 16]


def test_the_papers_recipe():
    config = resolve("progan", None, "digits", {"train.recipe": "paper"})
    train, options = config.train, config.architecture.options
    assert config.loss.name == "wgan-gp"
    assert config.loss.options["gp_weight"] == 10
    assert [(each.name, each.options["weight"]) for each in config.penalties] == [("drift", 0.001)]
    assert {name: options[name] for name in PAPER} == PAPER
    assert (options["phase_images"], options["group_size"]) == (600_000, 4)
    assert (train.generator_lr, train.discriminator_lr, train.betas) == (1e-3, 1e-3, (0.0, 0.99))
    assert (train.eps, train.n_critic, train.batch_size) == (1e-8, 1, 16)
    assert 0.5 ** (train.batch_size / train.ema_half_life) == pytest.approx(0.999, abs=1e-7)
    assert train.steps * train.batch_size == 12_000_000


# Growth --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (0, (0, 1.0)),
        (99, (0, 1.0)),
        (100, (1, 0.0)),
        (125, (1, 0.25)),
        (199, (1, 0.99)),
        (200, (1, 1.0)),
        (299, (1, 1.0)),
        (350, (2, 0.5)),
        (400, (2, 1.0)),
        (500, (3, 0.0)),
        (599, (3, 0.99)),
        (600, (3, 1.0)),
        (12_345_678, (3, 1.0)),
    ],
)
def test_levels_follow_the_images(images, expected, grown):
    architecture, *pair = grown(images)
    assert architecture.find_level(images, LEVELS) == expected
    assert all((network.level, network.share) == expected for network in pair)


def test_networks_are_whole_where_nothing_grows():
    architecture = ProGAN(phase_images=0, **SMALL)
    generator = architecture.generator(DATA)
    assert (generator.level, generator.share) == (LEVELS, 1.0), "as built"
    architecture.advance(generator, progress(0))
    assert (generator.level, generator.share) == (LEVELS, 1.0)
    real = torch.randn(2, *DATA.shape)
    assert torch.equal(architecture.prepare_real(real, progress(0)), real)


def test_a_level_begins_as_the_one_before_ends(grown):
    """To the last bit, of fakes, of reals and of logits."""
    latents, real = torch.randn(4, 5).double(), torch.randn(4, *DATA.shape).double()
    for level in range(LEVELS):
        found = []
        for images in ((2 * level + 1) * PHASE - 1, (2 * level + 1) * PHASE):
            architecture, generator, discriminator = grown(images)
            fake = generator(latents)
            shown = architecture.prepare_real(real, progress(images))
            found.append((fake, shown, discriminator(fake), discriminator(shown)))
        before, after = found
        assert all(torch.equal(*both) for both in zip(before, after, strict=True))


@pytest.mark.parametrize(("images", "level"), [(0, 0), (150, 1), (250, 1), (300, 2), (460, 2)])
def test_layers_above_the_level_get_no_gradient(images, level, grown):
    _, generator, discriminator = grown(images)
    logits = discriminator(generator(torch.randn(4, 5).double()))
    logits.sum().backward()
    used = {level, level - 1} if images in (150, 300) else {level}
    for network, ends in (
        (generator, generator.to_image),
        (discriminator, discriminator.from_image),
    ):
        for k, (block, end) in enumerate(zip(network.blocks, ends, strict=True)):
            for part, reached in ((block, k <= level), (end, k in used)):
                assert all((each.grad is not None) == reached for each in part.parameters())


def cost(network, given):
    """Multiplications of a pass, and the bytes that it keeps for gradients."""
    kept = []
    with (
        FlopCounterMode(display=False) as counter,
        torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.nbytes) or x, lambda x: x),
    ):
        network(given)
    return counter.get_total_flops() / 2, sum(kept)


def test_low_levels_cost_little():
    data = DataSpec(shape=(3, 128, 128))
    architecture = ProGAN(**PAPER, phase_images=PHASE)
    with torch.device("meta"):
        pair = architecture.generator(data), architecture.discriminator(data)
        inputs = torch.randn(1, 512), torch.randn(1, *data.shape)
    for network, given in zip(pair, inputs, strict=True):
        costs = []
        for level in range(6):
            architecture.advance(network, progress(2 * level * PHASE))
            costs.append(cost(network, given))
        for (work, memory), (more_work, more_memory) in itertools.pairwise(costs):
            assert work < more_work
            assert memory < more_memory
        assert costs[0][0] < 0.01 * costs[-1][0]
        assert costs[0][1] < 0.3 * costs[-1][1], "of which the weights are most"
    # Of the discriminator; the generator multiplies less, as it convolves before it enlarges.
    assert costs[3][0] == pytest.approx(6.4e9, rel=0.01), "32 x 32"
    assert costs[-1][0] == pytest.approx(20.9e9, rel=0.01)


# Values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("images", [0, 130, 200, 377, 599, 700])
def test_fakes_are_a_blend_of_two_levels(images, grown):
    architecture, generator, _ = grown(images)
    level, share = architecture.find_level(images, LEVELS)
    latents = torch.randn(3, 5).double()
    expected = plain_images(generator, latents, level)
    if share < 1:
        coarse = doubled(plain_images(generator, latents, level - 1))
        expected = (1 - share) * coarse + share * expected
    expected = times(LEVELS - level, doubled, expected)
    torch.testing.assert_close(generator(latents), expected)
    torch.testing.assert_close(generator.eval()(latents), expected.clamp(-1, 1))


@pytest.mark.parametrize("images", [0, 130, 200, 377, 599, 700])
def test_logits_are_of_a_blend_of_two_levels(images, grown):
    architecture, _, discriminator = grown(images)
    level, share = architecture.find_level(images, LEVELS)
    samples = torch.randn(8, *DATA.shape).double()
    image = times(LEVELS - level, halved, samples)
    x = read(discriminator, image, level)
    if share < 1:
        first, _, second, *_ = discriminator.blocks[level]
        fine = halved(leaky(convolve(leaky(convolve(x, first)), second)))
        x = (1 - share) * read(discriminator, halved(image), level - 1) + share * fine
        level -= 1
    expected = plain_judge(discriminator, x, level)[:, 0]
    torch.testing.assert_close(discriminator(samples), expected)


@pytest.mark.parametrize(("images", "level", "share"), [(50, 0, 1), (330, 2, 0.3), (550, 3, 0.5)])
def test_reals_are_a_blend_of_two_resolutions(images, level, share):
    architecture = ProGAN(phase_images=PHASE)
    real = torch.randn(2, *DATA.shape).double()
    kept = real.clone()

    def at(level):
        """The mean of each square of pixels, at every pixel of it."""
        side = 2 ** (LEVELS - level)
        squares = real.view(2, 3, 32 // side, side, 32 // side, side)
        return squares.mean((3, 5), keepdim=True).expand_as(squares).reshape(real.shape)

    expected = (1 - share) * at(max(level - 1, 0)) + share * at(level)
    torch.testing.assert_close(architecture.prepare_real(real, progress(images)), expected)
    assert torch.equal(real, kept)


def test_classes_stand_beside_the_latent_and_at_the_end(grown):
    _, generator, discriminator = grown(600, conditional=True)
    latents, labels = torch.randn(4, 5).double(), torch.tensor([3, 0, 3, 1])
    stem = generator.blocks[0]
    weight = stem.dense.weight * math.sqrt(2) / 4 / 3  # of 5 numbers and 4 classes
    given = normalised(latents) @ weight[:, :5].T + weight[:, 5:].T[labels]
    expected = normalised(leaky(given.view(4, -1, 4, 4) + stem.bias))
    with torch.no_grad():
        found = []
        stem.convolution.register_forward_pre_hook(lambda _, given: found.append(given[0]))
        generator(latents, labels)
    torch.testing.assert_close(found[0], expected.detach())
    samples = torch.randn(4, *DATA.shape).double()
    outputs = plain_judge(discriminator, read(discriminator, samples, LEVELS), LEVELS)
    expected = outputs[:, 0] + outputs[range(4), [4, 1, 4, 2]]
    torch.testing.assert_close(discriminator(samples, labels), expected)


def test_a_bias_for_each_pixel(grown):
    _, generator, _ = grown(600, pixel_bias=True)
    stem = generator.blocks[0]
    assert stem.bias.shape == (12, 4, 4)
    torch.nn.init.normal_(stem.bias)
    given = torch.randn(2, 5).double()
    weight = stem.dense.weight * math.sqrt(2 / 5) / 4
    dense = (given @ weight.T).view(2, 12, 4, 4) + stem.bias
    expected = normalised(leaky(convolve(normalised(leaky(dense)), stem.convolution)))
    torch.testing.assert_close(stem(given), expected)


def test_labels_need_classes():
    architecture = ProGAN(conditional=True)
    for build in (architecture.generator, architecture.discriminator):
        with pytest.raises(InputError, match=r"arch\.conditional=true needs the class"):
            build(DataSpec(shape=(3, 32, 32)))


@pytest.mark.parametrize(
    ("group_size", "independent", "mixed"),
    [(4, False, True), (4, True, False), (1, False, False), (0, False, False)],
)
def test_the_batch_is_mixed_on_purpose_alone(group_size, independent, mixed):
    architecture = ProGAN(**SMALL, group_size=group_size)
    assert architecture.mixes_batch == (group_size > 1)
    discriminator = architecture.discriminator(DATA, independent_samples=independent)
    sample, others = torch.randn(1, *DATA.shape), torch.randn(2, 3, *DATA.shape)
    these, those = (discriminator(torch.cat([sample, each]))[0] for each in others)
    assert torch.allclose(these, those) != mixed


# Sizes and trainings -------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("images", [0, 150, 900])
def test_every_reachable_size_is_made_and_judged(size, images):
    architecture = ProGAN(**SMALL, phase_images=PHASE)
    data = DataSpec(shape=(1, *size))
    pair = architecture.generator(data), architecture.discriminator(data)
    for network in pair:
        architecture.advance(network, progress(images))
    generator, discriminator = pair
    samples = generator(torch.randn(2, 5))
    assert samples.shape == architecture.prepare_real(samples, progress(images)).shape
    assert samples.shape == (2, 1, *size)
    assert discriminator(samples).shape == (2,)


@pytest.mark.parametrize("size", [(30, 30), (7, 7), (36, 36)])
def test_sizes_out_of_reach_are_refused(size):
    with pytest.raises(InputError, match=r"stops at \d+ x \d+; resize it with --image-size"):
        ProGAN().generator(DataSpec(shape=(1, *size)))


SETTINGS = {
    **{f"arch.{name}": value for name, value in SMALL.items()},
    "arch.phase_images": 32,
    "data.image_size": 16,
}
"""Batches of 8 grow by a level each 8 steps, and fade in for 4 of these."""


def test_all_three_networks_grow_with_a_training():
    options = {"train.batch_size": 8, "train.device": "cpu", "train.recipe": "paper"}
    config = resolve("progan", None, "digits", {**SETTINGS, **options})
    trainer = build_trainer(config, config.data.build(registry.DATASET).read())
    levels = []
    for _ in range(9):
        assert "drift" in trainer.step().discriminator
        state = trainer.state
        networks = state.generator, state.discriminator, state.generator_ema.module
        assert len({(network.level, network.share) for network in networks}) == 1
        levels.append((state.generator.level, state.generator.share))
    assert levels == [(0, 1.0)] * 3 + [(1, share) for share in (0, 0.25, 0.5, 0.75, 1, 1)]


def test_a_run_that_stops_in_a_fade_ends_in_the_same_bytes(tmp_path):
    def train(out, observer=None):
        options = {**TINY, "steps": 7}
        return ganzoo.train("progan", out=out, settings=SETTINGS, observer=observer, **options)

    whole = train(tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(tmp_path / "run", Stopper(5))
    run = ganzoo.resume(tmp_path / "run")
    assert not crash.difference(crash.content(whole.path), crash.content(run.path))
    model = ganzoo.load(run)
    assert (model.generator.level, model.generator.share) == (1, 0.75)
    samples = model.sample(4, seed=0)
    assert torch.equal(samples[..., ::2], samples[..., 1::2]), "of 8 pixels"
    assert not torch.equal(samples[..., ::4], samples[..., 2::4])
