"""StyleGAN2: its authors' parameter counts, and each piece against an independent formulation."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ganzoo import DataSpec
from ganzoo.errors import InputError
from ganzoo.nn import BinomialBlur, BinomialDownsample, BinomialUpsample, MinibatchStd
from ganzoo.resolve import resolve
from ganzoo_zoo.families.stylegan2 import StyleGAN2
from ganzoo_zoo.families.stylegan2.networks import (
    ConditionalDiscriminator,
    Mapping,
    StyledConv2d,
    ToImage,
)
from ganzoo_zoo.penalties.path_length import path_lengths

TINY = {"z_dim": 6, "w_dim": 5, "channel_max": 4}
SMALL = DataSpec(shape=(3, 8, 8))
GAIN = 2**0.5


@pytest.fixture
def exact():
    """Compute in 64 bits."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def build(data=SMALL, seed=0, **options):
    torch.manual_seed(seed)
    return StyleGAN2(**{**TINY, **options}).generator(data)


def strengthen(network, value=0.3):
    """Let noise and biases count, which begin at 0."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(value * torch.randn_like(parameter))
    return network


# Configurations -------------------------------------------------------------------------------

CIFAR = DataSpec(shape=(3, 32, 32), classes=10)


def count(name, data, **settings):
    """Count the parameters of both networks of a recipe."""
    given = {"train.recipe": name, **{f"arch.{key}": value for key, value in settings.items()}}
    architecture = resolve("stylegan2", data="digits", settings=given).architecture
    built = StyleGAN2(**architecture.options)
    with torch.device("meta"):
        networks = built.generator(data), built.discriminator(data)
    return tuple(sum(each.numel() for each in network.parameters()) for network in networks)


@pytest.mark.parametrize(
    ("recipe", "side", "expected"),
    [
        ("auto", 64, (22_243_608, 23_407_361)),
        ("auto", 128, (22_949_277, 23_882_369)),
        ("auto", 256, (23_191_522, 24_001_089)),
        ("paper", 256, (30_034_338, 28_864_129)),
        ("paper512", 512, (30_276_583, 28_982_849)),
        ("paper1024", 1024, (30_370_060, 29_012_513)),
        ("tiny", 32, (1_251_347, 1_346_305)),
        ("tiny", 64, (1_395_288, 1_465_025)),
    ],
)
def test_the_configurations_have_the_authors_numbers_of_parameters(recipe, side, expected):
    assert count(recipe, DataSpec(shape=(3, side, side))) == expected


def test_classes_add_as_many_parameters_as_the_authors():
    """With the authors' 8 layers, they are those of the recipe for CIFAR-10 by class."""
    found = count("cifar10", CIFAR, conditional=True, label_layers=2)
    assert found == (20_215_315, 21_513_728)


def test_a_recipe_by_name_is_the_authors_table():
    train, options, penalties = (
        getattr(resolve("stylegan2", data="digits", settings={"train.recipe": "cifar10"}), name)
        for name in ("train", "architecture", "penalties")
    )
    assert (train.steps * train.batch_size, train.ema_half_life) == (100_000_000, 500_000)
    assert (train.generator_lr, train.betas, train.ema_ramp) == (2.5e-3, (0.0, 0.99), 0.05)
    assert (options.options["mixing"], options.options["group_size"]) == (0.0, 32)
    assert [(each.name, each.options["gamma"]) for each in penalties] == [("r1", 0.01)]
    paper = resolve("stylegan2", data="digits", settings={"train.recipe": "paper"})
    assert [each.name for each in paper.penalties] == ["r1", "path-length"]
    assert [each.options["interval"] for each in paper.penalties] == [16, 4]


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (48, 24), (64, 64)])
@pytest.mark.parametrize("form", ["residual", "plain"])
def test_both_networks_serve_every_reachable_size(size, form):
    architecture = StyleGAN2(**TINY, discriminator_form=form)
    data = DataSpec(shape=(1, *size))
    found = architecture.generator(data)(torch.randn(2, 6))
    assert found["samples"].shape == (2, 1, *size)
    halvings = data.count_halvings()[0]
    assert found["w"].shape == (2, 2 * halvings + 2, 5)
    assert architecture.discriminator(data)(found["samples"]).shape == (2,)


def test_sizes_out_of_reach_are_refused():
    with pytest.raises(InputError, match="halved"):
        build(DataSpec(shape=(3, 30, 30)))


# Pieces in 64 bits ----------------------------------------------------------------------------


def zero_inserted(features):
    """Put a row and a column of zeros behind each of features ``(N, C, H, W)``."""
    n, c, h, w = features.shape
    found = features.new_zeros(n, c, 2 * h, 2 * w)
    found[:, :, ::2, ::2] = features
    return found


def filtered(features, before, behind):
    """Correlate with [1, 3, 3, 1] in both directions, pixel by pixel, with zeros around."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    for _ in range(2):  # rows, and then columns
        features = F.pad(features, (0, 0, before, behind)).movedim(2, 0)
        rows = [sum(line[k] * features[i + k] for k in range(4)) for i in range(len(features) - 3)]
        features = torch.stack(rows, 2).transpose(2, 3)
    return features


def test_the_filter_is_zero_insertion_and_correlation(exact):
    features = torch.randn(2, 3, 6, 4)
    up = 4 * filtered(zero_inserted(features), 2, 1)
    torch.testing.assert_close(BinomialUpsample().double()(features), up)
    down = filtered(features, 1, 1)[:, :, ::2, ::2]
    torch.testing.assert_close(BinomialDownsample().double()(features), down)
    torch.testing.assert_close(BinomialBlur(padding=2)(features), filtered(features, 2, 2))
    torch.testing.assert_close(
        BinomialBlur(padding=1, gain=4.0)(features), 4 * filtered(features, 1, 1)
    )


@pytest.mark.parametrize("up", [False, True])
def test_a_modulated_convolution_has_a_weight_for_each_sample(exact, up):
    """As the paper has it: weights are scaled, brought to unit norm, and used sample by sample."""
    size = (8, 12) if up else (4, 6)
    layer = strengthen(StyledConv2d(3, 5, 7, 1, size, up=up, noise=True)).eval()
    features, styles = torch.randn(4, 3, 4, 6), torch.randn(4, 2, 7)
    found = layer(features, styles)
    for sample, style, result in zip(features, styles[:, 1], found, strict=True):
        scales = layer.affine.weight @ style / 7**0.5 + layer.affine.bias
        weight = layer.weight * scales[:, None, None] / (3 * 9) ** 0.5
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if up:
            # A transposed convolution correlates what has zeros inserted with the flipped kernel.
            spread = F.pad(zero_inserted(sample[None]), (2, 1, 2, 1))
            made = 4 * filtered(F.conv2d(spread, weight.flip(2, 3)), 1, 1)[0]
        else:
            made = F.conv2d(sample[None], weight, padding=1)[0]
        made = made + layer.noise_strength * layer.noise_map[0] + layer.bias[:, None, None]
        torch.testing.assert_close(result, GAIN * torch.where(made > 0, made, 0.2 * made))


def test_an_image_is_a_modulated_convolution_without_demodulation(exact):
    layer = strengthen(ToImage(4, 3, 5, 1))
    features, styles = torch.randn(2, 4, 3, 3), torch.randn(2, 2, 5)
    scales = F.linear(styles[:, 1], layer.affine.weight / 5**0.5, layer.affine.bias) / 4**0.5
    weight = layer.weight[:, :, 0, 0]
    expected = torch.einsum("kc,nc,nchw->nkhw", weight, scales, features)
    torch.testing.assert_close(layer(features, styles), expected + layer.bias[:, None, None])


def test_the_skip_generator_is_a_sum_of_enlarged_images(exact):
    network = strengthen(build()).eval().synthesis
    styles = 0.1 * torch.randn(2, 4, 5)
    (first,), (up, second) = network.convolutions
    low = first(network.start.repeat(2, 1, 1, 1), styles)
    high = second(up(low, styles), styles)
    images = 4 * filtered(zero_inserted(network.to_images[0](low, styles)), 2, 1)
    images = images + network.to_images[1](high, styles)
    torch.testing.assert_close(network(styles)["samples"], images.clamp(-1, 1))
    assert [layer.style for layer in (first, up, second)] == [0, 1, 2]
    assert [layer.style for layer in network.to_images] == [1, 3], "that of the next up-convolution"


def test_the_mapping_is_slow_layers_behind_a_normalised_latent(exact):
    torch.manual_seed(0)
    mapping = Mapping(4, 3, 2, classes=2, copies=2, mixing=0.0, decay=0.9).eval()
    latents, labels = torch.randn(5, 4), torch.tensor([0, 1, 1, 0, 1])
    found = mapping(latents, labels)
    for latent, label, result in zip(latents, labels, found, strict=True):
        row = mapping.embedding.linear.weight[:, label] / 2**0.5 + mapping.embedding.linear.bias
        h = torch.cat([each / each.square().mean().sqrt() for each in (latent, row)])
        for layer in mapping.layers[::2]:
            h = 0.01 * (layer.weight @ h) / len(h) ** 0.5 + 0.01 * layer.bias
            h = GAIN * torch.where(h > 0, h, 0.2 * h)
        torch.testing.assert_close(result, h.expand(2, 3), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("count", "size"), [(8, 4), (6, 4), (5, 4), (4, 32)])
def test_minibatch_deviation_is_that_of_each_group(exact, count, size):
    layer = MinibatchStd(size, decay=0.25)
    features = torch.randn(count, 3, 2, 4)
    found = layer(features)
    assert torch.equal(found[:, :3], features)
    groups = next(g for g in range(1, count + 1) if count % g == 0 and count // g <= size)
    means = []
    for i in range(count):
        group = features[i % groups :: groups]
        deviation = ((group - group.mean(0)).square().mean(0) + 1e-8).sqrt().mean()
        torch.testing.assert_close(found[i, 3], deviation.expand(2, 4), rtol=1e-6, atol=1e-6)
        means.append(deviation)
    average = 0.25 * torch.stack(means).mean()
    torch.testing.assert_close(layer.average, average.float(), check_dtype=False)
    torch.testing.assert_close(layer.eval()(features)[0, 3], layer.average.expand(2, 4))


@pytest.mark.parametrize("form", ["residual", "plain"])
def test_the_discriminator_is_a_chain_of_the_papers_layers(exact, form):
    torch.manual_seed(0)
    network = StyleGAN2(channel_max=4, group_size=0, discriminator_form=form).discriminator(SMALL)
    strengthen(network)
    samples = torch.randn(3, 3, 8, 8)
    weights = [each.detach() for each in network.parameters()]

    def layer(x, use, stride=1, padding=0, gain=GAIN):
        weight, bias = weights.pop(0), weights.pop(0)[:, None, None]
        x = use(x, weight / weight[0].numel() ** 0.5, stride=stride, padding=padding) + bias
        return gain * torch.where(x > 0, x, 0.2 * x)

    x = layer(samples, F.conv2d)
    skipped = filtered(x, 1, 1)[:, :, ::2, ::2]
    x = layer(
        layer(x, F.conv2d, padding=1), lambda x, *w, **o: F.conv2d(filtered(x, 2, 2), *w, **o), 2
    )
    if form == "residual":
        x = (x + F.conv2d(skipped, weights.pop(0) / 4**0.5)) / 2**0.5
    x = layer(x, F.conv2d, padding=1).flatten(1)
    weight, bias = weights.pop(0), weights.pop(0)
    x = GAIN * F.leaky_relu(F.linear(x, weight / 64**0.5, bias), 0.2)
    weight, bias = weights
    torch.testing.assert_close(network(samples), F.linear(x, weight / 2, bias)[:, 0])


def test_a_conditional_discriminator_projects_onto_a_mapping_of_the_class(exact):
    torch.manual_seed(0)
    network = ConditionalDiscriminator(nn.Flatten(), classes=3, width=4, layers=2)
    features, labels = torch.randn(2, 4), torch.tensor([2, 0])
    for label, feature, logit in zip(labels, features, network(features, labels), strict=True):
        row = network.embedding.linear.weight[:, label] / 3**0.5
        h = row / row.square().mean().sqrt()
        for layer in network.mapping[::2]:
            h = GAIN * F.leaky_relu(0.01 * (layer.weight @ h) / 4**0.5, 0.2)
        torch.testing.assert_close(logit, (feature @ h) / 4**0.5, rtol=1e-6, atol=1e-6)


def test_path_lengths_are_those_of_the_whole_jacobian(exact):
    synthesis = strengthen(build(DataSpec(shape=(1, 8, 8)), noise=False)).synthesis
    styles = torch.randn(2, 4, 5, requires_grad=True)
    torch.manual_seed(1)
    direction = torch.randn(2, 1, 8, 8) / 8
    torch.manual_seed(1)
    lengths = path_lengths(synthesis(styles)["samples"], styles)
    for i in range(2):

        def made(style):
            return synthesis(style[None])["samples"].flatten()

        jacobian = torch.autograd.functional.jacobian(made, styles[i].detach(), vectorize=True)
        slopes = torch.einsum("p,plw->lw", direction[i].flatten(), jacobian)
        torch.testing.assert_close(lengths[i], slopes.square().sum(1).mean().sqrt())


@pytest.mark.parametrize("up", [False, True])
def test_a_modulated_convolution_can_be_differentiated_twice(exact, up):
    layer = strengthen(StyledConv2d(2, 2, 3, 0, (4, 4), up=up, noise=False))
    given = torch.randn(2, 2, 2, 2, requires_grad=True), torch.randn(2, 1, 3, requires_grad=True)
    assert torch.autograd.gradgradcheck(layer, given)


# Behaviour ------------------------------------------------------------------------------------


def test_training_tracks_the_mean_style_of_the_first_latents_alone():
    generator = build(mixing=1.0, w_average_decay=0.75)
    latents = torch.randn(7, 6)
    generator(latents)
    mean = generator.eval().mapping(latents)[:, 0].mean(0)
    torch.testing.assert_close(generator.mapping.w_average, 0.25 * mean)
    generator(latents)
    torch.testing.assert_close(generator.mapping.w_average, 0.25 * mean)


def test_mixing_takes_the_layers_from_one_on_from_another_style():
    data = DataSpec(shape=(3, 16, 16))
    mapping, latents = build(data, mixing=1.0).mapping, torch.randn(3, 6)
    own = mapping.eval()(latents)[:, 0]
    starts = set()
    for styles in (mapping.train()(latents) for _ in range(60)):
        is_own = (styles == own[:, None]).all(2)
        start = int(is_own[0].sum())
        assert is_own.tolist() == [[True] * start + [False] * (6 - start)] * 3, "one cut a batch"
        assert (styles[:, start:] == styles[:, -1:]).all()
        starts.add(start)
    assert starts == {1, 2, 3, 4, 5}


def test_a_batch_mixes_with_the_probability_that_is_given():
    mapping, latents = build(mixing=0.25).mapping, torch.randn(2, 6)
    mixed = [bool((styles != styles[:, :1]).any()) for styles in map(mapping, [latents] * 200)]
    assert 20 < sum(mixed) < 80
    mapping = build(mixing=0.0).mapping
    assert not any(bool((w != w[:, :1]).any()) for w in map(mapping, [latents] * 20))


def test_noise_is_fixed_in_evaluation_and_drawn_in_training():
    architecture = StyleGAN2(**TINY, mixing=0.0)
    generator = strengthen(build(mixing=0.0))
    latents = torch.randn(1, 6).repeat(2, 1)
    one, other = generator(latents)["samples"]
    assert not torch.allclose(one, other)
    first = generator.eval()(latents)["samples"]
    torch.testing.assert_close(first[0], first[1], msg="not the same for all samples")
    assert torch.equal(generator(latents)["samples"], first)
    architecture.fix_noise(generator, seed=5)
    changed = generator(latents)["samples"]
    assert not torch.allclose(changed, first)
    architecture.fix_noise(generator, seed=6)
    architecture.fix_noise(generator, seed=5)
    assert torch.equal(generator(latents)["samples"], changed)


def test_noise_begins_without_effect_and_can_be_left_out():
    generator = build(mixing=0.0)
    latents = torch.randn(2, 6)
    assert torch.equal(*(generator(latents)["samples"] for _ in range(2)))
    names = [name for name, _ in build(noise=False).named_parameters()]
    assert not any("noise" in name for name in names)


def test_truncation_moves_styles_towards_their_mean():
    architecture, generator = StyleGAN2(**TINY), build()
    for _ in range(3):
        generator(torch.randn(8, 6))
    generator.eval()
    latents, mean = torch.randn(4, 6), generator.mapping.w_average
    styles = generator.mapping(latents)
    found = architecture.truncate(generator, 0.5)(latents)
    torch.testing.assert_close(found["w"], mean + 0.5 * (styles - mean))
    torch.testing.assert_close(found["samples"], generator.synthesis(found["w"])["samples"])
    for truncation in (1.0, 10.0):
        same = architecture.truncate(generator, truncation)(latents)
        torch.testing.assert_close(same["samples"], generator(latents)["samples"])


def test_a_generator_falls_into_a_mapping_and_a_synthesis():
    data = DataSpec(shape=(3, 16, 16), classes=3)
    generator = build(data, conditional=True).eval()
    styles = StyleGAN2(**TINY).styles(generator)
    latents, labels = torch.randn(3, 6), torch.tensor([0, 1, 2])
    w = styles.mapping(latents, labels)
    assert w.shape == (3, 6, 5)
    assert torch.equal(styles.synthesis(w)["samples"], generator(latents, labels)["samples"])
    assert styles.mean is generator.mapping.w_average
    assert styles.affine_layers == tuple(layer for layer in range(5) for _ in range(4))
    row = styles.affine_layers.index(3)
    layer = generator.synthesis.styled_layers()[3]
    scales = layer.affine(w[:, 3]) - layer.affine.bias
    torch.testing.assert_close(w[:, 3] @ styles.affine[row : row + 4].t(), scales)


def test_labels_change_images_and_logits():
    data = DataSpec(shape=(3, 8, 8), classes=2)
    architecture = StyleGAN2(**TINY, conditional=True, label_layers=2)
    generator, latents = build(data, conditional=True).eval(), torch.randn(2, 6)
    ours, theirs = (generator(latents, torch.full((2,), i))["samples"] for i in (0, 1))
    assert not torch.allclose(ours, theirs, atol=1e-3)
    discriminator = architecture.discriminator(data, independent_samples=True).eval()
    logits = [discriminator(ours, torch.full((2,), i)) for i in (0, 1)]
    assert not torch.allclose(*logits, atol=1e-4)


def test_groups_mix_the_batch_unless_samples_must_be_independent():
    assert StyleGAN2().mixes_batch
    assert not StyleGAN2(group_size=1).mixes_batch
    for options, independent, has in (({}, False, 1), ({}, True, 0), ({"group_size": 0}, False, 0)):
        network = StyleGAN2(**TINY, **options).discriminator(SMALL, independent_samples=independent)
        assert sum(isinstance(each, MinibatchStd) for each in network.modules()) == has
