"""The conformance kit over every component that is installed."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from ganzoo import registry
from ganzoo.testing import (
    architecture_checks,
    check_options,
    dataset_checks,
    evaluator_checks,
    feature_extractor_checks,
    loss_checks,
)

DOWNLOADED = {"mnist", "fashion-mnist", "cifar10"}
"""Read from folders that tests/test_published_data.py makes."""


def names(kind):
    return [entry.name for entry in registry.entries(kind)]


def test_every_kind_has_something_in_the_box():
    assert all(names(kind) for kind in registry.KINDS)


@pytest.mark.parametrize("check", architecture_checks, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", names(registry.ARCHITECTURE))
def test_architecture(name, check):
    check(registry.get(registry.ARCHITECTURE, name)())


@pytest.mark.parametrize("check", loss_checks, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", names(registry.LOSS))
def test_loss(name, check):
    check(registry.get(registry.LOSS, name)())


@pytest.mark.parametrize("check", evaluator_checks, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", names(registry.EVALUATOR))
def test_evaluator(name, check):
    check(registry.get(registry.EVALUATOR, name)())


@pytest.mark.parametrize("check", dataset_checks, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(set(names(registry.DATASET)) - DOWNLOADED))
def test_dataset(name, check, tmp_path):
    dataset = registry.get(registry.DATASET, name)
    options = {}
    if "path" in dataset.model_fields:
        options["path"] = str(some_images(tmp_path, zipped=name == "zip"))
    elif "samples" in dataset.model_fields:
        options["samples"] = 500
    check(dataset(**options))


@pytest.mark.parametrize("check", feature_extractor_checks, ids=lambda check: check.__name__)
def test_digits_cnn(check):
    extractor = registry.get(registry.FEATURE_EXTRACTOR, "digits-cnn")()
    check(extractor.load(None, torch.device("cpu")))


@pytest.mark.parametrize("name", names(registry.FEATURE_EXTRACTOR))
def test_feature_extractor_options(name):
    check_options(registry.get(registry.FEATURE_EXTRACTOR, name)())


def some_images(folder: Path, zipped: bool) -> Path:
    import shutil

    root = folder / "images"
    for i, level in enumerate((10, 120, 250)):
        file = root / ("dark" if i == 0 else "light") / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 12), (level, 0, 255 - level)).save(file)
    return Path(shutil.make_archive(str(root), "zip", root)) if zipped else root
