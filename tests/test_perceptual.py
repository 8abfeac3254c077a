"""The perceptual penalty, by the discriminator's features and by those of a VGG."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import models

import ganzoo
from ganzoo import DataSpec, Discriminator
from ganzoo.errors import GanzooError, InputError
from ganzoo.testing import penalty_checks
from ganzoo_zoo.penalties import vgg
from ganzoo_zoo.penalties.perceptual import Perceptual
from ganzoo_zoo.penalties.vgg import MEAN, STD, build_extractor
from tiny import TINY

SMALL = {"arch.base_channels": 2, "arch.blocks": 1, "arch.pretrain_images": 0}
WIDTHS = {"vgg16": (1, 2, 2, 3, 3), "vgg19": (2, 2, 3, 3, 3)}
"""Channels of each level of a network that is small enough for a test."""


class Features(nn.Module):
    """Judges images by features that are all the same but for a factor."""

    def forward(self, images):
        features = 3 * images.flatten(1)
        return {"logits": features.mean(1), "features": features}


@pytest.fixture
def small_vgg(tmp_path, monkeypatch):
    """Make small networks of torchvision's layout, and their files where torch looks for them."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    files = tmp_path / "hub" / "checkpoints"
    files.mkdir(parents=True)
    build_extractor.cache_clear()
    made = {}
    for name, widths in WIDTHS.items():
        counts = (2, 2, 3, 3, 3) if name == "vgg16" else (2, 2, 4, 4, 4)
        made[name] = network_of(counts, widths)
        state = {**made[name].state_dict(prefix="features."), "classifier.0.bias": torch.ones(2)}
        torch.save(state, files / "made.pth")
        digest = hashlib.sha256((files / "made.pth").read_bytes()).hexdigest()[:8]
        file = (files / "made.pth").rename(files / f"{name}-{digest}.pth")
        place(monkeypatch, name, f"http://127.0.0.1:9/{file.name}")
        monkeypatch.setattr(models, name, builder(counts, widths))
    yield made
    build_extractor.cache_clear()


def network_of(counts, widths):
    torch.manual_seed(len(counts) + sum(counts))
    layers, before = [], 3
    for count, after in zip(counts, widths, strict=True):
        for _ in range(count):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True)]
            before = after
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


def builder(counts, widths):
    def build(weights=None, init_weights=True):
        whole = nn.Module()
        whole.features = network_of(counts, widths)
        return whole

    return build


def place(monkeypatch, name, url):
    class Weights:
        class IMAGENET1K_V1:
            pass

    Weights.IMAGENET1K_V1.url = url
    before = models.get_model_weights
    monkeypatch.setattr(
        models, "get_model_weights", lambda asked: Weights if asked == name else before(asked)
    )


def images(channels=3, seed=0):
    torch.manual_seed(seed)
    return 2 * torch.rand(2, channels, 16, 20) - 1


def term(penalty, real, fake):
    return penalty.generator_terms(Discriminator(Features()), real, fake)["perceptual"]


@pytest.mark.parametrize(
    ("distance", "measure"), [("absolute", torch.abs), ("squared", torch.square)]
)
def test_the_discriminators_features_are_compared_one_by_one(distance, measure):
    real, fake = images(), images(seed=1)
    found = term(Perceptual(weight=2, distance=distance), real, fake)
    torch.testing.assert_close(found, 2 * measure(3 * (fake - real)).mean())
    assert term(Perceptual(), real, real) == 0


def test_no_gradient_reaches_the_reals():
    real, fake = images().requires_grad_(), images(seed=1).requires_grad_()
    term(Perceptual(), real, fake).backward()
    assert real.grad is None
    torch.testing.assert_close(fake.grad, 3 * (fake - real).sign().detach() / fake.numel())


@pytest.mark.parametrize("network", WIDTHS)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_features_of_a_vgg_are_of_images_as_in_its_training(small_vgg, network, channels):
    real, fake = images(channels), images(channels, seed=1)
    weights = {"conv1_2": 0.5, "conv3_1": 2.0}
    found = term(Perceptual(network=network, layers=weights), real, fake)
    layers = small_vgg[network]
    expected = 0.0
    for name, end in (("conv1_2", 3), ("conv3_1", 11)):  # with all layers up to the convolution
        ours, theirs = (
            plain(layers[:end], each[:, :3] if channels > 1 else each.repeat(1, 3, 1, 1))
            for each in (fake, real)
        )
        expected = expected + weights[name] * (ours - theirs).abs().mean()
    torch.testing.assert_close(found, expected)


def plain(layers, colours):
    """Normalise RGB in [0, 1], and call layers one by one."""
    features = (colours + 1) / 2
    features = (features - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    for layer in layers:
        features = F.relu(features) if isinstance(layer, nn.ReLU) else layer(features)
    return features


def test_the_last_convolution_is_the_usual_one_before_its_activation(small_vgg):
    real, fake = images(), images(seed=1)
    layers = small_vgg["vgg19"]
    for activated, end in ((False, 35), (True, 36)):
        found = term(Perceptual(network="vgg19", activated=activated), real, fake)
        expected = (plain(layers[:end], fake) - plain(layers[:end], real)).abs().mean()
        torch.testing.assert_close(found, expected)
    assert Perceptual(network="vgg19").layer_weights == {"conv5_4": 1}
    assert Perceptual(network="vgg16").layer_weights == {"conv5_3": 1}


def test_places_are_torchvisions():
    from ganzoo_zoo.penalties.perceptual import _places

    for name in WIDTHS:
        with torch.device("meta"):
            whole = getattr(models, name)(weights=None, init_weights=False).features
        places = [i for i, layer in enumerate(whole) if isinstance(layer, nn.Conv2d)]
        assert list(_places(name).values()) == places


def test_options_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="layers and activated are of a VGG"):
        Perceptual(activated=True)
    with pytest.raises(InputError, match="'vgg16' has no layer 'conv5_4'; it has conv1_1"):
        Perceptual(network="vgg16", layers={"conv5_4": 1})
    deep, shallow = Perceptual(network="vgg16"), Perceptual(network="vgg16", layers={"conv1_1": 1})
    assert (deep.fits(DataSpec(shape=(3, 16, 16))), deep.fits(DataSpec(shape=(3, 8, 32)))) == (
        True,
        False,
    )
    assert shallow.fits(DataSpec(shape=(3, 8, 32)))
    assert not shallow.fits(DataSpec(shape=(5,)))
    assert Perceptual().fits(DataSpec(shape=(5,)))


@pytest.mark.parametrize("check", penalty_checks, ids=lambda check: check.__name__)
def test_the_kit_with_a_vgg(small_vgg, check):
    if check.__name__ not in ("check_steps", "check_gradients"):
        check(Perceptual(network="vgg16"))


# In a training


def train(out, *penalties, **settings):
    given = {**SMALL, "data.image_size": 16, "train.penalty": list(penalties), **settings}
    return ganzoo.train("srgan", data="digits", out=out, settings=given, **{**TINY, "steps": 2})


def test_a_vgg_is_in_no_checkpoint(small_vgg, tmp_path):
    run = train(tmp_path / "run", "perceptual", **{"penalty.perceptual.network": "vgg16"})
    files = {file.name for file in run.path.rglob("*.safetensors")}
    assert not any("penalty" in file for file in files)
    assert "generator/perceptual" in (run.path / "metrics.jsonl").read_text()


def test_without_the_weights_nothing_begins(small_vgg, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(GanzooError) as found:
        train(tmp_path / "run", "perceptual", **{"penalty.perceptual.network": "vgg19"})
    message = str(found.value)
    assert message.startswith("the weights of vgg19 cannot be had: ")
    assert str(tmp_path / "elsewhere" / "hub" / "checkpoints" / "vgg19-") in message
    assert message.endswith("by --set penalty.perceptual.network=null")
    assert not list(tmp_path.glob("run/checkpoints/*"))


def test_weights_of_another_network_or_hash_are_refused(small_vgg, tmp_path, monkeypatch):
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    monkeypatch.setattr(vgg, "_load_weights", lambda network: {"features.0.weight": torch.ones(1)})
    with pytest.raises(InputError, match="the weights of vgg16 are those of another network"):
        build_extractor("vgg16", ((0, "conv1_1"),), torch.device("cpu"))
    monkeypatch.undo()
    (folder / "vgg16-00000000.pth").write_text("half a file")
    place(monkeypatch, "vgg16", "http://127.0.0.1:9/vgg16-00000000.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(GanzooError, match="the weights of vgg16 cannot be had"):
        vgg._load_weights("vgg16")


def test_an_architecture_without_sources_is_refused(tmp_path):
    with pytest.raises(InputError, match="compares each fake with the sample of its source"):
        ganzoo.train(
            "dcgan", data="digits", out=tmp_path / "run", settings={"train.penalty": ["perceptual"]}
        )
