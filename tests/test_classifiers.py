"""The classifiers that travel with the package."""

import dataclasses
import io
import json
import sys
import zipfile

import pytest
import torch
from PIL import Image

from ganzoo import open_dataset
from ganzoo.errors import InputError
from ganzoo.storage.files import sha256
from ganzoo.storage.tensors import load_tensors, save_tensors
from ganzoo.testing import feature_extractor_checks
from ganzoo_zoo.metrics.classifiers import (
    CIFAR10CNN,
    MNISTCNN,
    DigitsCNN,
    StackedMNISTCNN,
    train,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits():
    return open_dataset("digits")


HASHES = {
    DigitsCNN: "be80ba73f53619c44248111a5181f5bebdf88afda7528d60d1cdd9d09643b259",
    MNISTCNN: "b5ecd1223f8ab3d51f3993ec340befcb4f1575da65c2811f9a07d78acd31715c",
    CIFAR10CNN: "a8a212671e299b785df47bdd00408f2934c51ef553969de24fd04aa931b106fb",
}


@pytest.mark.parametrize("kind", HASHES)
def test_the_published_weights_are_what_they_were(kind):
    """Scores that were made with them name their hash."""
    loaded = kind().load(None, CPU)
    assert loaded.weights_sha256 == HASHES[kind]
    assert loaded.published


@pytest.mark.parametrize(
    ("kind", "most"), [(DigitsCNN, 300_000), (MNISTCNN, 300_000), (CIFAR10CNN, 900_000)]
)
def test_the_files_travel_light(kind, most):
    assert kind.file.stat().st_size < most


@pytest.mark.parametrize(("kind", "least"), [(DigitsCNN, 0.98), (MNISTCNN, 0.7)])
def test_digits_are_recognised(kind, least, digits):
    """Those of another set and pen, too, which MNIST's classifier never saw."""
    found = kind().load(None, CPU).extract(digits.stored)
    assert found.pooled.shape == (1797, 64)
    right = found.logits.argmax(1) == digits.labels
    assert right.float().mean() > least


def test_a_stack_of_digits_is_three_digits(digits):
    """Of three in each image, red counts hundreds, green tens and blue ones."""
    stacked = digits.stored[:90].view(30, 3, *digits.spec.image_size)
    found = StackedMNISTCNN().load(None, CPU).extract(stacked)
    alone = MNISTCNN().load(None, CPU).extract(digits.stored[:90])
    predicted = alone.logits.argmax(1).view(30, 3)
    assert torch.equal(found.logits.argmax(1), predicted @ torch.tensor([100, 10, 1]))
    assert torch.allclose(found.pooled, alone.pooled.view(30, 192), atol=1e-5)
    shares = alone.logits.softmax(1).view(30, 3, 10)
    number = 100 * 4 + 10 * 0 + 7
    expected = shares[:, 0, 4] * shares[:, 1, 0] * shares[:, 2, 7]
    assert torch.allclose(found.logits[:, number].exp(), expected, atol=1e-6)
    assert torch.allclose(found.logits.exp().sum(1), torch.ones(30), atol=1e-5)


def test_a_stack_has_three_channels():
    assert StackedMNISTCNN().load(None, CPU).image_channels == 3
    assert StackedMNISTCNN().load(None, CPU).weights_sha256 == sha256(MNISTCNN.file)


def test_other_weights_are_not_the_published_ones(tmp_path):
    other = tmp_path / "other.safetensors"
    tensors = load_tensors(MNISTCNN.file)
    save_tensors(other, {name: tensor + 1 for name, tensor in tensors.items()})
    assert not MNISTCNN().load(other, CPU).published
    save_tensors(other, {name: tensor for name, tensor in tensors.items() if "bias" in name})
    with pytest.raises(InputError, match=r"it has no 'body\.0\.weight'"):
        MNISTCNN().load(other, CPU)


# CIFAR-10 ---------------------------------------------------------------------------------------

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.fixture
def photos():
    """20 images, of one colour each."""
    rng = torch.Generator().manual_seed(0)
    colours = torch.randint(256, (20, 3, 1, 1), generator=rng, dtype=torch.uint8)
    return colours.expand(-1, -1, 32, 32)


def zipped(path, photos, names=NAMES):
    """Write images to a zip with a folder a class."""
    with zipfile.ZipFile(path, "w") as file:
        for i, photo in enumerate(photos):
            buffer = io.BytesIO()
            Image.fromarray(photo.permute(1, 2, 0).numpy()).save(buffer, "PNG")
            file.writestr(f"{names[i % len(names)]}/{i:02}.png", buffer.getvalue())
    return str(path)


def test_photographs_have_128_features_in_single_precision(photos):
    loaded = CIFAR10CNN().load(None, CPU)
    assert loaded.image_channels == 3
    assert {tensor.dtype for tensor in load_tensors(CIFAR10CNN.file).values()} == {
        torch.float16,
        torch.int64,
    }
    found = loaded.extract(photos)
    assert (found.pooled.shape, found.logits.shape) == ((20, 128), (20, 10))
    assert found.pooled.dtype == found.logits.dtype == torch.float32
    assert found.pooled.std(0).max() > 0.1
    small = loaded.extract(photos[..., :9, :9])
    assert torch.allclose(small.pooled, found.pooled, atol=1e-4), "all sizes are brought to 32"
    for check in feature_extractor_checks:
        check(loaded)


def test_scores_of_own_photographs_name_the_classifier(photos, tmp_path, ganzoo_cli):
    data = zipped(tmp_path / "photos.zip", photos)
    asked = ["eval", "--floor", "--data", data, "--features", "cifar10-cnn", "--json"]
    result = ganzoo_cli(*asked, "--metric=fid", "--metric=is", "--metric=gan-test")
    assert result.code == 0, result
    rows = json.loads(result.out)["scores"]
    assert [row["metric"] for row in rows] == [
        f"{metric}[cifar10-cnn]" for metric in ("fid", "is", "gan-test")
    ]
    assert {row["features"]["sha256"] for row in rows} == {HASHES[CIFAR10CNN]}


def test_photographs_are_refused_by_a_classifier_of_digits(photos, tmp_path, refused):
    data = zipped(tmp_path / "photos.zip", photos)
    message = refused(
        *("train", "mlp", "--data", data, "--eval-every=1", "--out=run"),
        "--set=train.eval_features=mnist-cnn",
    )
    assert message == (
        "Error: mnist-cnn takes images of 1 channel, and these have 3; choose another feature "
        "extractor"
    )
    assert not (tmp_path / "run").exists()


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """The plan of CIFAR-10's classifier for one step, which writes elsewhere."""
    monkeypatch.setattr(CIFAR10CNN, "file", tmp_path / "new.safetensors")
    plan = dataclasses.replace(train.PLANS["cifar10-cnn"], steps=1)
    monkeypatch.setitem(train.PLANS, "cifar10-cnn", plan)
    return plan


def run_script(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["train.py", "cifar10-cnn", *words])
    train.main()


def test_the_script_trains_weights_and_tells_their_accuracy(
    photos, plan, tmp_path, monkeypatch, capsys
):
    """One in ten images is held out: here those of class 0 and of class 5."""
    data = zipped(tmp_path / "photos.zip", photos)
    run_script(monkeypatch, "--data", data)
    _, held_out = train.read_images(plan, data, None)
    assert held_out.labels.tolist() == [0, 5]
    right = CIFAR10CNN().load(None, CPU).extract(held_out.stored).logits.argmax(1).tolist()
    share = sum(found == wanted for found, wanted in zip(right, [0, 5], strict=True)) / 2
    assert capsys.readouterr().out == f"accuracy on 2 held-out images: {share:.4f}\n"


def test_the_script_wants_the_ten_classes(photos, plan, tmp_path, monkeypatch, capsys):
    data = zipped(tmp_path / "photos.zip", photos, names=("cat", "dog"))
    with pytest.raises(SystemExit):
        run_script(monkeypatch, "--data", data)
    assert "the classes must be airplane, automobile, bird" in capsys.readouterr().err
    assert not CIFAR10CNN.file.exists()
