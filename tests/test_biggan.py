"""BigGAN: its tables, its layers against another formulation, and how its generator draws."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from ganzoo import DataSpec
from ganzoo.errors import InputError
from ganzoo.models.generation import build_sampler
from ganzoo.models.size_check import build_on_meta
from ganzoo.nn import (
    ClassBatchNorm2d,
    ClassProjection,
    ConditionalBatchNorm2d,
    SelfAttention2d,
    fuse,
)
from ganzoo.protocols.latents import truncate_normal
from ganzoo.resolve import resolve
from ganzoo_zoo.families.biggan import BigGAN
from ganzoo_zoo.penalties.orthogonal import _weights
from residual_reference import attend, convolve, divided, down, multiply, normalise, settled, up

DATA = DataSpec(shape=(1, 16, 16), classes=3)
SMALL = BigGAN(z_dim=7, base_channels=2, shared_dim=4, attention=8, standing_batches=3)
LINEAR = (nn.Conv2d, nn.Linear)


def modules(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


def count(network, architecture, size, classes):
    """Count the parameters of the generator or of the discriminator."""
    data = DataSpec(shape=(3, size, size), classes=classes)
    built = build_on_meta(lambda: getattr(architecture, network)(data))
    return sum(parameter.numel() for parameter in built.parameters())


# The published tables ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "size", "generator", "discriminator"),
    [
        ({"base_channels": 64}, 128, 31.98, 39.45),
        ({"z_dim": 140}, 256, 82.24, 99.23),
        ({"z_dim": 100}, 64, 70.22, 45.51),
    ],
)
def test_imagenet_parameters(options, size, generator, discriminator):
    architecture = BigGAN(**{"base_channels": 96, **options})
    for name, wanted in (("generator", generator), ("discriminator", discriminator)):
        assert round(count(name, architecture, size, 1000) / 1e6, 2) == wanted


def test_cifar_parameters():
    wide = BigGAN(base_channels=96, z_dim=80, attention=16)
    assert round(count("generator", wide, 32, 10) / 1e6, 2) == 9.42


@pytest.mark.parametrize(
    ("size", "attention"),
    [
        *(((side, side), 0) for side in (16, 28, 32, 48)),
        *(((64, 64), 32), ((96, 96), 48), ((128, 128), 64), ((64, 128), 32)),
    ],
)
def test_every_size_and_where_its_attention_stands(size, attention):
    data = DataSpec(shape=(3, *size))
    architecture = BigGAN(z_dim=12, base_channels=1, conditional=False)
    generator, discriminator = architecture.generator(data), architecture.discriminator(data)
    seen = []
    for network in (generator, discriminator):
        assert len(modules(network, SelfAttention2d)) == bool(attention)
        for layer in modules(network, SelfAttention2d):
            layer.register_forward_hook(lambda *given: seen.append(min(given[2].shape[2:])))
    samples = generator(torch.randn(2, 12))
    assert samples.shape == (2, *data.shape)
    assert discriminator(samples).shape == (2,)
    assert seen == [attention] * (2 if attention else 0)


def test_attention_elsewhere():
    with pytest.raises(InputError, match=r"maps of \[8, 16\] pixels for these images"):
        BigGAN(attention=32, conditional=False).generator(DataSpec(shape=(1, 32, 32)))
    network = BigGAN(attention=0, conditional=False).generator(DataSpec(shape=(1, 64, 64)))
    assert not modules(network, SelfAttention2d)


def test_images_that_are_too_large():
    with pytest.raises(InputError, match="at most 512 to 896 pixels, not 1024"):
        BigGAN(conditional=False).discriminator(DataSpec(shape=(3, 1024, 1024)))


def test_recipes_by_name():
    paper, imagenet, cifar = (
        resolve("biggan", None, "digits", {"train.recipe": name})
        for name in ("paper", "imagenet128", "cifar10")
    )
    assert paper.penalties[0].options["weight"] == 1e-4
    assert [each.train.eps for each in (paper, imagenet, cifar)] == [1e-6, 1e-6, 1e-8]
    assert imagenet.train.accumulate == 8
    assert imagenet.penalties == cifar.penalties == ()
    for config in (paper, imagenet, cifar):
        train = config.train
        steps = train.ema_half_life / (train.n_critic * train.batch_size)
        assert 0.5 ** (1 / steps) == pytest.approx(0.9999, rel=1e-6)


# Layers -----------------------------------------------------------------------------------------


def test_the_generator_against_another_formulation():
    network = settled(SMALL.generator(DATA))
    latents, labels = torch.randn(4, 7).double(), torch.tensor([0, 2, 1, 2])
    first, *pieces = latents[:, :3], latents[:, 3:5], latents[:, 5:]
    features = multiply(network.first[0], first).view(4, 8, 4, 4)
    for block, behind, piece in zip(network.blocks, network.attention, pieces, strict=True):
        given = torch.cat([network.embedding.weight[labels], piece], dim=1)
        features = up(
            block, features, *(on(norm, given) for norm in (block.first_norm, block.second_norm))
        )
        if isinstance(behind, SelfAttention2d):
            features = attend(behind, features)
    norm, _, convolution, _ = network.ending
    expected = convolve(convolution, normalise(norm, features, norm.weight, norm.bias).relu())
    torch.testing.assert_close(network(latents, labels), expected.tanh(), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(
        fuse(network)(latents, labels), expected.tanh(), rtol=1e-8, atol=1e-8
    )


def on(norm, given):
    gain, bias = 1 + multiply(norm.gain, given), multiply(norm.bias, given)
    return lambda features: normalise(norm.norm, features, gain, bias)


def test_the_discriminator_against_another_formulation():
    network = settled(SMALL.discriminator(DATA))
    images, labels = torch.randn(3, 1, 16, 16).double(), torch.tensor([2, 0, 1])
    one, attention, two, _, three, *_ = network.body
    features = attend(attention, down(one, images, is_first=True))
    features = down(three, down(two, features, halves=False), halves=False)
    pooled = features.relu().sum((2, 3))
    expected = multiply(network.ending[0], pooled)[:, 0]
    expected = expected + torch.einsum("nc,nc->n", divided(network)[labels], pooled)
    torch.testing.assert_close(network(images, labels), expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(fuse(network)(images, labels), expected, rtol=1e-8, atol=1e-8)


def test_a_piece_of_the_latent_changes_its_own_block_and_what_follows():
    network = SMALL.generator(DATA).eval()
    assert network.pieces == (3, 2, 2)
    seen = []
    for block in network.blocks:
        block.register_forward_hook(lambda *given: seen.append(given[2]))
    latents, labels = torch.randn(2, 7), torch.tensor([0, 1])
    for changed in (None, 4, 6):
        given = latents.clone()
        if changed:
            given[:, changed] += 1
        network(given, labels)
    same = [torch.equal(seen[i], seen[i % 2]) for i in range(2, 6)]
    assert same == [False, False, True, False]


def test_a_latent_that_is_too_short_for_its_pieces():
    with pytest.raises(InputError, match=r"arch\.z_dim=2 is too short: .* give 3 or more"):
        BigGAN(z_dim=2).generator(DATA)


@pytest.mark.parametrize(
    "options", [{}, {"shared_dim": 0, "hierarchical": False}, {"conditional": False}]
)
def test_every_weight_but_the_shared_embedding_has_spectral_norm_1(options):
    architecture = SMALL.model_copy(update=options)
    tables = 0
    for network in (architecture.generator(DATA), architecture.discriminator(DATA)):
        for module in modules(settled(network), (*LINEAR, ClassProjection)):
            weight = divided(module)
            used = module.embedding if isinstance(module, ClassProjection) else module.weight
            torch.testing.assert_close(used, weight, rtol=1e-8, atol=1e-8)
        tables += sum(not is_parametrized(each) for each in modules(network, nn.Embedding))
    # Without the shared embedding, each of four normalisations has two tables.
    assert tables == {"shared_dim": 8, "conditional": 0}.get(next(iter(options), ""), 1)


def test_weights_begin_orthogonal_or_small():
    weight = SMALL.generator(DATA).blocks[0].first[2].parametrizations.weight.original.flatten(1)
    torch.testing.assert_close(weight @ weight.T, torch.eye(len(weight)))
    normal = SMALL.model_copy(update={"init": "normal", "base_channels": 16})
    weight = normal.generator(DATA).blocks[0].first[2].parametrizations.weight.original
    assert weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_orthogonal_regularisation_leaves_embeddings_alone():
    for network in (SMALL.generator(DATA), SMALL.discriminator(DATA)):
        found = list(_weights(network))
        wanted = [each.parametrizations.weight.original for each in modules(network, LINEAR)]
        assert {id(each) for each in found} == {id(each) for each in wanted}
        assert len(found) == len(wanted)


# Classes ----------------------------------------------------------------------------------------


def test_without_classes():
    data = DataSpec(shape=(1, 16, 16))
    with pytest.raises(InputError, match=r"or set arch\.conditional=false"):
        SMALL.generator(data)
    for hierarchical, norm in ((True, ConditionalBatchNorm2d), (False, nn.BatchNorm2d)):
        architecture = SMALL.model_copy(update={"conditional": False, "hierarchical": hierarchical})
        assert not architecture.takes_labels(data)
        generator, discriminator = architecture.generator(data), architecture.discriminator(data)
        assert discriminator(generator(torch.randn(2, 7))).shape == (2,)
        assert modules(generator, norm)


def test_gains_of_each_class_in_each_layer():
    with pytest.raises(InputError, match="shared_dim=0 needs hierarchical=false"):
        BigGAN(shared_dim=0)
    norm = ClassBatchNorm2d(2, 3).double()
    features, labels = torch.randn(4, 2, 3, 3).double(), torch.tensor([1, 0, 2, 1])
    plain = nn.BatchNorm2d(2).double()
    torch.testing.assert_close(norm(features, labels), plain(features))
    for table in (norm.gain, norm.bias):
        nn.init.normal_(table.weight)
    mean, var = features.mean((0, 2, 3)), features.var((0, 2, 3), correction=0)
    expected = torch.empty_like(features)
    for n, label in enumerate(labels.tolist()):
        for c in range(2):
            steady = (features[n, c] - mean[c]) / (var[c] + 1e-5).sqrt()
            expected[n, c] = (1 + norm.gain.weight[label, c]) * steady + norm.bias.weight[label, c]
    torch.testing.assert_close(norm(features, labels), expected)


# How the generator draws ------------------------------------------------------------------------


def draw_batches(truncation):
    """Draw as ``sampler`` does from seed 3."""
    rng = torch.Generator().manual_seed(3)
    for _ in range(3):
        latents = torch.randn(64, 7, generator=rng)
        labels = torch.randint(3, (64,), generator=rng)
        yield truncate_normal(latents, truncation) if truncation else latents, labels


@pytest.mark.parametrize("truncation", [None, 0.4])
def test_standing_statistics_by_hand(truncation):
    network = SMALL.generator(DATA).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    rng = torch.Generator().manual_seed(3)
    sampler = SMALL.sampler(network, DATA, truncation=truncation, rng=rng)
    means, variances = [], []
    for latents, _ in draw_batches(truncation):
        features = network.first(latents[:, :3])
        means.append(features.mean((0, 2, 3)))
        variances.append(features.var((0, 2, 3)))
    found = sampler.generator if truncation else sampler
    norm = found.blocks[0].first_norm.norm
    torch.testing.assert_close(norm.running_mean, torch.stack(means).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack(variances).mean(0))
    assert not any(module.training for module in sampler.modules())
    after = network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_standing_statistics_of_the_last_layer_are_those_of_its_features():
    """All layers before it normalise by the batch, while statistics are taken."""
    architecture = SMALL.model_copy(update={"standing_batches": 1})
    network = architecture.generator(DATA).eval()
    sampler = architecture.sampler(network, DATA, rng=torch.Generator().manual_seed(3))
    batch = next(draw_batches(None))
    seen = []
    network.ending[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    for module in modules(network, nn.BatchNorm2d):
        module.train()
    network(*batch)
    expected = seen[0].mean((0, 2, 3))
    torch.testing.assert_close(sampler.ending[0].running_mean, expected, rtol=1e-4, atol=1e-6)


def test_truncation_has_statistics_of_its_own():
    network = SMALL.generator(DATA).eval()
    wide, narrow = (
        build_sampler(SMALL, network, DATA, truncation).generator.ending[0].running_var
        for truncation in (10.0, 0.1)
    )
    assert not torch.allclose(wide, narrow, rtol=0.05)
    running = SMALL.model_copy(update={"standing_batches": 0})
    assert build_sampler(running, network, DATA) is network


def test_each_sample_is_drawn_and_judged_on_its_own():
    generator, discriminator = SMALL.generator(DATA).eval(), SMALL.discriminator(DATA).eval()
    latents, labels = torch.randn(5, 7), torch.tensor([0, 1, 2, 0, 1])
    samples = generator(latents, labels)
    torch.testing.assert_close(generator(latents[3:4], labels[3:4]), samples[3:4])
    logits = discriminator(samples, labels)
    torch.testing.assert_close(discriminator(samples[3:4], labels[3:4]), logits[3:4])
