"""FastGAN: its tables, its networks against another formulation, its decoder, how it draws."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

import ganzoo.testing.penalty
import ganzoo.testing.steps
from ganzoo import DataSpec, Discriminator
from ganzoo.config import TrainOptions
from ganzoo.errors import InputError
from ganzoo.models.generation import build_sampler
from ganzoo.models.size_check import build_on_meta
from ganzoo.nn import fuse
from ganzoo.protocols.packing import complete_reals
from ganzoo.resolve import resolve
from ganzoo.testing import check_options, penalty_checks
from ganzoo.testing.steps import SmallDiscriminator, SmallNetworks, draw_samples
from ganzoo.training.assembly import assemble_trainer
from ganzoo_zoo.families.fastgan import FastGAN
from ganzoo_zoo.families.fastgan.networks import Noise, _draw_quarters
from ganzoo_zoo.losses.hinge import Hinge
from ganzoo_zoo.penalties.reconstruction import Reconstruction

SMALL = FastGAN(z_dim=4, base_channels=2, standing_batches=2)
DATA = DataSpec(shape=(3, 32, 32))


def rng(seed=3):
    return torch.Generator().manual_seed(seed)


# The published tables ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "size", "wanted"),
    [
        ("generator", 256, 29_127_846),
        ("generator", 1024, 29_176_512),
        ("discriminator", 256, 11_526_160),
    ],
)
def test_parameters_are_the_papers(network, size, wanted):
    data = DataSpec(shape=(3, size, size))
    built = build_on_meta(lambda: getattr(FastGAN(), network)(data))
    assert sum(parameter.numel() for parameter in built.parameters()) == wanted


@pytest.mark.parametrize("size", [16, 32, 64, 128, 256, 512, 1024])
def test_shapes_at_every_size(size):
    data = DataSpec(shape=(3, size, size))
    architecture = FastGAN(z_dim=4, base_channels=1)
    generator, discriminator = architecture.generator(data), architecture.discriminator(data)
    with torch.no_grad():
        made = generator.eval()(torch.randn(2, 4))
        said = discriminator.eval()(made)
        pairs = discriminator.decoder(said)
    has_small = size >= 256
    assert made["samples"].shape == (2, 3, size, size)
    assert made["small"].shape == ((2, 3, 128, 128) if has_small else (2, 0))
    assert SMALL.real_parts(made["samples"])["small"].shape == made["small"].shape
    assert said["logits"].shape == (2, 50 if has_small else 25)
    assert said["features"].shape == (2, 8, 8, 8)
    assert said["details"].shape == (2, 4, 16, 16)
    sides = [min(size, 128), min(size // 2, 128), *([128] if has_small else [])]
    assert [found.shape[2:] for found, _ in pairs] == [(side, side) for side in sides]
    assert all(found.shape == wanted.shape for found, wanted in pairs)


@pytest.mark.parametrize("shape", [(3, 48, 48), (3, 32, 64), (1, 8, 8), (3, 2048, 2048), (5,)])
def test_other_samples_are_refused(shape):
    for build in (SMALL.generator, SMALL.discriminator):
        with pytest.raises(InputError, match=r"with --image-size|are vectors"):
            build(DataSpec(shape=shape))


def test_recipes():
    paper, tuned = (
        resolve("fastgan", settings={"train.recipe": name}) for name in ("paper", "tuned")
    )
    for config in (paper, tuned):
        assert config.loss.options["jitter"] == 0.2
        assert [each.name for each in config.augmentations] == ["color", "translation"]
        assert [each.name for each in config.penalties] == ["reconstruction"]
        assert config.train.reuse_fakes
    updates = paper.train.ema_half_life / paper.train.batch_size
    assert 0.5 ** (1 / updates) == pytest.approx(0.999, rel=1e-6)
    other = resolve("fastgan", "non-saturating")
    assert other.penalties == tuned.penalties


# Networks ---------------------------------------------------------------------------------------


def settled(network, iterations=0):
    """Draw lively weights, run power iterations, and evaluate in 64 bits."""
    network.double().train()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 2)
            if is_parametrized(module):
                for _ in range(iterations):
                    module.weight  # noqa: B018  (each look is a power iteration)
    return network.eval()


def normalise(norm, features):
    scale = norm.weight / (norm.running_var + 1e-5).sqrt()
    shifted = features - norm.running_mean[:, None, None]
    return shifted * scale[:, None, None] + norm.bias[:, None, None]


def leak(features):
    return torch.where(features > 0, features, 0.2 * features)


def gated(norm, features):
    values, gates = normalise(norm, features).chunk(2, dim=1)
    return values / (1 + (-gates).exp())


def excite(layer, low, high):
    """Scale channels by a number that a dense layer gives of the mean of 4 x 4 parts."""
    pooled = low.unflatten(3, (4, -1)).unflatten(2, (4, -1)).mean((3, 5))
    first, last = (layer.gate[i].weight for i in (1, 3))
    hidden = torch.einsum("nchw,dchw->nd", pooled, first)
    hidden = hidden / (1 + (-hidden).exp())
    gate = 1 / (1 + (-hidden @ last[:, :, 0, 0].T).exp())
    return high * gate[:, :, None, None]


def double(features):
    return features.repeat_interleave(2, 2).repeat_interleave(2, 3)


def test_the_generator_against_another_formulation():
    network = settled(SMALL.generator(DATA))
    latents = torch.randn(3, 4).double()
    first, norm = network.first[1], network.first[2]
    maps = [gated(norm, torch.einsum("nz,zchw->nchw", latents, first.weight))]
    for block in network.blocks:
        features = double(maps[-1])
        layers = [each for each in block if isinstance(each, (nn.Conv2d, nn.BatchNorm2d))]
        for convolution, each in zip(layers[::2], layers[1::2], strict=True):
            features = gated(each, F.conv2d(features, convolution.weight, padding=1))
        if features.shape[3] == 32:
            features = excite(network.excitations["32"], maps[0], features)
        maps.append(features)
    expected = F.conv2d(maps[-1], network.to_image[0].weight, padding=1).tanh()
    for each in (network, fuse(network)):
        found = each(latents)
        torch.testing.assert_close(found["samples"], expected, rtol=1e-8, atol=1e-8)
        assert found["small"].shape == (3, 0)


def test_noise_is_in_every_other_block():
    generator = build_on_meta(lambda: SMALL.generator(DataSpec(shape=(3, 256, 256))))
    counts = [sum(isinstance(each, Noise) for each in block) for block in generator.blocks]
    assert counts == [2, 0, 2, 0, 2, 0]
    assert sorted(generator.excitations) == ["128", "256", "64"]


def halve(block, features):
    one, norm, _, two, after, _ = block.branch
    branch = leak(normalise(norm, F.conv2d(features, one.weight, stride=2, padding=1)))
    branch = leak(normalise(after, F.conv2d(branch, two.weight, padding=1)))
    pooled = sum(features[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4
    _, convolution, norm, _ = block.shortcut
    return 0.5 * branch + 0.5 * leak(normalise(norm, F.conv2d(pooled, convolution.weight)))


def test_the_discriminator_against_another_formulation():
    data = DataSpec(shape=(1, 64, 64))
    network = settled(SMALL.discriminator(data))
    images = torch.randn(2, 1, 64, 64).double()
    maps = [leak(F.conv2d(images, network.stem[0].weight, padding=1))]
    for block in network.blocks:
        maps.append(halve(block, maps[-1]))
    maps[3] = excite(network.excitations["8"], maps[0], maps[3])
    first, norm, _, last, _ = network.judge
    logits = F.conv2d(leak(normalise(norm, F.conv2d(maps[3], first.weight))), last.weight)
    for each in (network, fuse(network)):
        found = each(images)
        torch.testing.assert_close(found["logits"], logits.flatten(1), rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(found["features"], maps[3], rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(found["details"], maps[2], rtol=1e-8, atol=1e-8)
        assert found["seen"] is images


def test_the_second_picture_is_judged_by_a_path_of_its_own():
    data = DataSpec(shape=(1, 256, 256))
    network = FastGAN(base_channels=1).discriminator(data).eval()
    images = torch.rand(1, 1, 256, 256) * 2 - 1
    whole = network(complete_reals(SMALL, images))["logits"]
    assert torch.equal(network(images)["logits"], whole)
    other = network({"samples": images, "small": -SMALL.real_parts(images)["small"]})["logits"]
    assert torch.equal(whole[:, :25], other[:, :25])
    assert not torch.isclose(whole[:, 25:], other[:, 25:]).any()


def test_every_weight_has_spectral_norm_1():
    for network in (SMALL.generator(DATA), SMALL.discriminator(DATA)):
        settled(network, iterations=20)
        layers = [
            each for each in network.modules() if isinstance(each, (nn.Conv2d, nn.ConvTranspose2d))
        ]
        for layer in layers:
            weight = layer.weight
            if isinstance(layer, nn.ConvTranspose2d):
                weight = weight.transpose(0, 1)
            assert torch.linalg.svdvals(weight.flatten(1))[0].item() == pytest.approx(1, rel=0.05)
            assert layer.bias is None


# How the generator draws ------------------------------------------------------------------------


def lively(size=32):
    network = SMALL.generator(DataSpec(shape=(3, size, size)))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, Noise):
                module.strength.fill_(0.5)
    return network.eval()


def test_samples_are_drawn_with_fixed_noise_and_standing_statistics():
    network = lively()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    latents = torch.randn(5, 4)
    sampler = build_sampler(SMALL, network, DATA)
    samples = sampler(latents)["samples"]
    assert torch.equal(samples, build_sampler(SMALL, network, DATA)(latents)["samples"])
    torch.testing.assert_close(sampler(latents[3:4])["samples"], samples[3:4])
    after = network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not any("noise_map" in name for name in sampler.state_dict())
    running = SMALL.model_copy(update={"standing_batches": 0})
    noisy = build_sampler(running, network, DATA)(latents)["samples"]
    plain = network(latents)["samples"]
    assert (samples - noisy).abs().mean() > 0.01  # other statistics
    assert (noisy - plain).abs().mean() > 1e-4  # noise


def test_noise_is_that_of_the_generator_in_the_argument():
    network, running = lively(), SMALL.model_copy(update={"standing_batches": 0})
    one, same, other = (
        running.sampler(network, DATA, rng=rng(seed)).blocks[0][2].noise_map for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == (1, 1, 8, 8)


def test_truncation_leaves_statistics():
    network = lively()
    whole, narrow = (build_sampler(SMALL, network, DATA, psi) for psi in (None, 0.1))
    for one, other in zip(whole.buffers(), narrow.generator.buffers(), strict=True):
        assert torch.equal(one, other)


# The decoder ------------------------------------------------------------------------------------


def test_quarters_are_the_same_of_maps_and_images():
    places = torch.arange(16.0).view(1, 1, 4, 4).expand(64, -1, -1, -1)
    torch.manual_seed(0)
    maps, images = _draw_quarters(places, double(places))
    assert torch.equal(double(maps), images)
    corners = {tuple(each.flatten().tolist()) for each in maps}
    assert corners == {
        *((0, 1, 4, 5), (2, 3, 6, 7)),
        *((8, 9, 12, 13), (10, 11, 14, 15)),
    }


def test_reals_are_reconstructed_as_they_were_seen_and_fakes_never():
    network = SMALL.discriminator(DATA)
    seen, calls = [], []
    network.decoder.register_forward_hook(lambda *given: calls.append(given[2]))

    class Half:
        def augment(self, samples):
            seen.append(samples / 2)
            return seen[-1]

    real, fake = torch.rand(2, 4, 3, 32, 32) * 2 - 1
    D = Discriminator(network, augmentations=(Half(),), remembers_calls=True)
    Hinge().discriminator_loss(D, real, fake)
    for distance, power in (("absolute", 1), ("squared", 2)):
        penalty = Reconstruction(weight=3.0, distance=distance)
        (term,) = penalty.discriminator_terms(D, real, fake).values()
        pairs = calls[-1]
        expected = 3 * sum((found - wanted).abs().pow(power).mean() for found, wanted in pairs)
        torch.testing.assert_close(term, expected)
        assert torch.equal(pairs[0][1], seen[0])
    assert len(calls) == len(seen) == 2  # no pass but the loss's


def test_the_penalty_alone_trains_the_decoder():
    options = TrainOptions(steps=1, batch_size=2, device="cpu")
    for penalties in ({}, {"reconstruction": Reconstruction()}):
        given = SMALL, Hinge(jitter=0.2), draw_samples(DATA), options
        trainer = assemble_trainer(*given, penalties=penalties)
        decoder = trainer.state.discriminator.decoder
        before = [each.detach().clone() for each in decoder.parameters()]
        terms = trainer.step()
        changed = [
            not torch.equal(one, other)
            for one, other in zip(before, decoder.parameters(), strict=True)
        ]
        assert any(changed) == all(changed) == bool(penalties)
        assert ("reconstruction" in terms.discriminator) == bool(penalties)


def test_architectures_without_a_decoder_are_refused(refused):
    assert "needs a network 'decoder', which 'mlp' does not have" in refused(
        "train", "mlp", "--penalty=reconstruction", "--steps=1"
    )


class Decoding(SmallDiscriminator):
    """A small discriminator with features that can be decoded."""

    def __init__(self, data, parts=()):
        super().__init__(data, ("features", "seen"))
        self.decoder = nn.Linear(2, 2)
        self.decoder.forward = self.decode

    def decode(self, said):
        found = F.linear(said["features"], self.decoder.weight, self.decoder.bias)
        return [(found, said["seen"])]


@pytest.mark.parametrize("check", penalty_checks, ids=lambda check: check.__name__)
def test_conformance_of_the_penalty(check, monkeypatch):
    for module in (ganzoo.testing.penalty, ganzoo.testing.steps):
        monkeypatch.setattr(module, "SmallDiscriminator", Decoding)
    monkeypatch.setattr(SmallNetworks, "extra_networks", ("decoder",))
    monkeypatch.setattr(SmallNetworks, "discriminator_parts", ("features", "seen"))
    if check is not check_options:
        check(Reconstruction())
