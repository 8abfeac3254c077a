"""Metrics of pairs, against independent computations from the papers' formulas."""

from __future__ import annotations

import math
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torch_fidelity.sample_similarity_lpips as theirs
from torchvision import models

from ganzoo import DataSpec, Samples, SampleSet
from ganzoo.errors import GanzooError, InputError
from ganzoo.testing import evaluator_checks
from ganzoo_zoo.metrics.fidelity import LPIPS, perceptual
from ganzoo_zoo.metrics.fidelity.networks import PerceptualDistance
from ganzoo_zoo.metrics.fidelity.paired import PSNR, SSIM


def images(count=3, channels=3, size=16, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, size, size), generator=rng, dtype=torch.uint8)


def of(stored):
    return Samples(DataSpec(shape=tuple(stored.shape[1:])), stored)


def score(metric, fake, target):
    given = SampleSet(of(fake), None, of(target))
    (found,) = metric.evaluate(given, SampleSet(of(target), None))
    return found.value


def noisy(target, level, seed=1):
    rng = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, target.shape, generator=rng) * 2 - 1
    middle = target.int().clamp(level, 255 - level)
    return (middle + level * signs).byte(), middle.byte()


@pytest.mark.parametrize("level", [1, 10, 51])
def test_psnr_of_known_noise_is_that_of_the_formula(level):
    fake, target = noisy(images(), level)
    assert score(PSNR(), fake, target) == pytest.approx(20 * math.log10(255 / level), abs=1e-9)


def test_psnr_of_an_image_itself_is_capped_and_the_mean_is_over_images():
    fake, target = noisy(images(2), 10)
    assert score(PSNR(), target, target) == 100.0
    mixed = torch.cat([fake[:1], target[1:]])
    alone = 20 * math.log10(255 / 10)
    assert score(PSNR(), mixed, target) == pytest.approx((alone + 100) / 2)


def independent_ssim(x, y):
    """Wang et al. 2004, equations 13 to 16, one window after another."""
    places = np.arange(11) - 5
    window = np.exp(-(places[:, None] ** 2 + places[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    found = []
    for one, other in zip(x.reshape(-1, *x.shape[2:]), y.reshape(-1, *y.shape[2:]), strict=True):
        for top in range(x.shape[2] - 10):
            for left in range(x.shape[3] - 10):
                a, b = (
                    each[top : top + 11, left : left + 11].astype(np.float64)
                    for each in (one, other)
                )
                mean_a, mean_b = (window * a).sum(), (window * b).sum()
                var_a, var_b = (
                    (window * (a - mean_a) ** 2).sum(),
                    (window * (b - mean_b) ** 2).sum(),
                )
                both = (window * (a - mean_a) * (b - mean_b)).sum()
                above = (2 * mean_a * mean_b + c1) * (2 * both + c2)
                found.append(above / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)))
    return np.mean(found)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_agrees_with_numpy(channels):
    target = images(channels=channels)
    fake, _ = noisy(target, 20)
    expected = independent_ssim(fake.numpy(), target.numpy())
    assert 0.1 < expected < 0.99
    assert score(SSIM(), fake, target) == pytest.approx(expected, abs=1e-12)
    assert score(SSIM(), target, target) == pytest.approx(1.0, abs=1e-12)


@pytest.fixture
def weights():
    """Random weights of both parts, as there is no network for the published ones."""
    rng = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {name: each.shape for name, each in models.vgg16().features.state_dict().items()}
    vgg = {
        f"features.{name}": torch.randn(shape, generator=rng) / math.sqrt(max(1, shape[1:].numel()))
        for name, shape in shapes.items()
    }
    layers = {
        f"lin{i}.model.1.weight": torch.rand(1, channels, 1, 1, generator=rng)
        for i, channels in enumerate((64, 128, 256, 512, 512))
    }
    return vgg, layers


def test_lpips_is_torch_fidelitys(weights, monkeypatch):
    vgg, layers = weights
    with torch.device("meta"):
        network = models.vgg16().features
    own = {name.removeprefix("features."): value for name, value in vgg.items()}
    network.load_state_dict(own, assign=True)
    monkeypatch.setattr(theirs, "load_state_dict_from_url", lambda *given, **named: layers)
    monkeypatch.setattr(
        theirs, "torchvision_load_pretrained_vgg16", lambda: SimpleNamespace(features=network)
    )
    monkeypatch.setattr(perceptual, "load_network", lambda device: PerceptualDistance(vgg, layers))
    target = images(2)
    fake, _ = noisy(target, 40)
    expected = theirs.SampleSimilarityLPIPS("published")(fake, target).mean().item()
    assert expected > 0.001
    assert score(LPIPS(), fake, target) == pytest.approx(expected, rel=1e-5)
    assert score(LPIPS(), target, target) == 0.0
    grey = images(2, channels=1)
    assert score(LPIPS(), grey, grey) == 0.0


def test_missing_weights_of_lpips_are_said(monkeypatch):
    def unreachable(*given, **named):
        raise URLError("no route")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(
        GanzooError, match="the weights of vgg16 cannot be downloaded from https://"
    ):
        score(LPIPS(), images(), images())


def test_what_each_can_judge():
    small, large = DataSpec(shape=(3, 8, 8)), DataSpec(shape=(4, 32, 32))
    assert [metric.fits(small) for metric in (PSNR(), SSIM(), LPIPS())] == [True, False, False]
    assert [metric.fits(large) for metric in (PSNR(), SSIM(), LPIPS())] == [True, True, False]
    assert not PSNR().fits(DataSpec(shape=(8,)))
    with pytest.raises(InputError, match="these are no pairs"):
        PSNR().evaluate(SampleSet(of(images()), None), SampleSet(of(images()), None))


@pytest.mark.parametrize("check", evaluator_checks, ids=lambda check: check.__name__)
def test_lpips_passes_the_kit(check, monkeypatch):
    # Its network takes a minute for so many images.
    def differ(one, other):
        return (one.float() - other.float()).square().flatten(1).mean(1)

    monkeypatch.setattr(perceptual, "load_network", lambda device: differ)
    check(LPIPS())
