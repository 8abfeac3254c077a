"""The classifiers of digits that travel with the package."""

import pytest
import torch

from ganzoo import open_dataset
from ganzoo.errors import InputError
from ganzoo.storage.files import sha256
from ganzoo.storage.tensors import load_tensors, save_tensors
from ganzoo_zoo.metrics.digit_classifiers import MNISTCNN, DigitsCNN, StackedMNISTCNN

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits():
    return open_dataset("digits")


def test_the_published_weights_are_what_they_were():
    """Scores that were made with them name their hash."""
    loaded = DigitsCNN().load(None, CPU)
    assert loaded.weights_sha256 == (
        "be80ba73f53619c44248111a5181f5bebdf88afda7528d60d1cdd9d09643b259"
    )
    assert loaded.published


@pytest.mark.parametrize("kind", [DigitsCNN, MNISTCNN])
def test_the_files_travel_light(kind):
    assert kind.file.stat().st_size < 300_000


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
