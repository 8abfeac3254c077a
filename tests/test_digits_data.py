"""The digits that travel with the package."""

import pytest
import torch

from ganzoo import open_dataset
from ganzoo.errors import InputError
from ganzoo.media import images
from ganzoo.storage.tensors import load_tensors
from ganzoo_zoo.data.digits import FILE, Digits

COUNTS = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
"""Images of each digit, 0 to 9."""


@pytest.fixture(scope="module")
def small():
    return Digits(image_size=8).read()


def test_1797_digits_of_10_classes(small):
    assert len(small) == 1797
    assert small.spec.classes == 10
    assert small.labels.dtype == torch.int64
    assert small.labels.bincount().tolist() == COUNTS
    assert (min(COUNTS), max(COUNTS), sum(COUNTS)) == (174, 183, 1797)
    assert small.skipped == ()


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (1, 16, 16)),
        ({"image_size": 8}, (1, 8, 8)),
        ({"image_size": "16"}, (1, 16, 16)),
        ({"image_size": "12x20"}, (1, 12, 20)),
        ({"image_size": [64, 48]}, (1, 64, 48)),
    ],
)
def test_shape_follows_the_size(options, shape):
    samples = open_dataset("digits", **options)
    assert samples.spec.shape == shape
    assert samples.stored.shape == (1797, *shape)
    assert samples.stored.dtype == torch.uint8
    assert samples.spec.features == "digits-cnn"
    assert samples.labels.bincount().tolist() == COUNTS


def test_a_digit_always_has_a_size():
    with pytest.raises(InputError, match=r"option 'data\.image_size'"):
        open_dataset("digits", image_size=None)


def test_17_grey_levels_over_the_whole_range(small):
    levels = [round(level * 255 / 16) for level in range(17)]
    assert small.stored.unique().tolist() == levels
    batch = small.batch(torch.arange(len(small)))
    assert (float(batch.min()), float(batch.max())) == (-1.0, 1.0)


def test_larger_sizes_are_the_same_digits(small):
    assert torch.equal(Digits().read().stored, images.resize(small.stored, (16, 16)))


def test_the_content_never_changes(small):
    assert small.fingerprint == "e749ad8b2256636ed84f40961a901a93c4441c107e9f9355b446f7591d5edbce"


def test_the_fingerprint_differs_by_size(small):
    others = {Digits(image_size=size).read().fingerprint for size in (8, 16, 32)}
    assert len(others) == 3
    assert small.fingerprint in others


def test_the_embedded_file_is_the_published_set(small):
    published = pytest.importorskip("sklearn.datasets").load_digits()
    tensors = load_tensors(FILE)
    assert set(tensors) == {"images", "labels"}
    assert torch.equal(tensors["images"][:, 0].double(), torch.from_numpy(published.images))
    assert torch.equal(tensors["labels"].long(), torch.from_numpy(published.target).long())
    assert torch.equal(small.labels, tensors["labels"].long())
