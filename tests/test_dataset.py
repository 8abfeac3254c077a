"""What a dataset says of its samples, and the samples that it gives."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ganzoo.component import parse_options
from ganzoo.errors import InputError
from ganzoo.media import images
from ganzoo.protocols import dataset
from ganzoo.protocols.dataset import Dataset, DataSpec, ImageDataset, Samples

IMAGE = DataSpec(shape=(1, 2, 3))
VECTOR = DataSpec(shape=(2,))


def some_images(count=4, **more):
    values = torch.arange(count * 6, dtype=torch.uint8).view(count, 1, 2, 3)
    return Samples(IMAGE, values, **more)


def some_points():
    return Samples(VECTOR, torch.arange(6.0).view(3, 2))


# DataSpec


def test_an_image_specification():
    spec = DataSpec(shape=(3, 48, 64), classes=10, features="digits-cnn")
    assert spec.is_image
    assert spec.size == 3 * 48 * 64
    assert spec.image_channels == 3
    assert spec.image_size == (48, 64)
    assert (spec.classes, spec.features) == (10, "digits-cnn")


def test_a_vector_specification():
    spec = DataSpec(shape=(5,))
    assert not spec.is_image
    assert spec.size == 5
    assert spec.image_size is None
    assert (spec.classes, spec.features, spec.modes, spec.mode_std) == (None,) * 4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "option 'data.shape': field required"),
        ({"shape": ()}, r"a sample is (C, H, W), (C, T) or (D,), not ()"),
        ({"shape": (1, 1, 2, 2)}, r"a sample is (C, H, W), (C, T) or (D,), not (1, 1, 2, 2)"),
        ({"shape": (0,)}, "option 'data.shape'"),
        ({"shape": (3, -1, 8)}, "option 'data.shape'"),
        ({"shape": (2.5,)}, "option 'data.shape'"),
        ({"shape": (2,), "classes": 0}, "option 'data.classes'"),
        ({"shape": (2,), "modes": ((0.0, 0.0),)}, "modes and mode_std go together"),
        ({"shape": (2,), "mode_std": 1.0}, "modes and mode_std go together"),
        ({"shape": (2,), "modes": ((0.0, 0.0),), "mode_std": 0.0}, "option 'data.mode_std'"),
        ({"shape": (2,), "modes": ((float("nan"), 0.0),), "mode_std": 1.0}, "option 'data.modes'"),
        ({"shape": (2,), "class": 3}, "unknown option 'data.class'; did you mean 'classes'?"),
    ],
)
def test_senseless_specifications_are_refused(values, message):
    with pytest.raises(InputError) as caught:
        parse_options(DataSpec, values, "data.")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "halved"),
    [
        ((1, 8, 8), (1, 4, 4)),
        ((1, 28, 28), (2, 7, 7)),
        ((3, 32, 32), (3, 4, 4)),
        ((3, 48, 80), (3, 6, 10)),
        ((4, 128, 96), (4, 8, 6)),
    ],
)
def test_how_often_an_image_is_halved(shape, halved):
    assert DataSpec(shape=shape).count_halvings() == halved


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2,), "images are needed, and these samples are vectors of 2"),
        ((1, 7, 7), "7 x 7 stops at 7 x 7; resize it with --image-size"),
        ((1, 30, 30), "30 x 30 stops at 15 x 15; resize it with --image-size"),
        ((1, 32, 9), "32 x 9 stops at 32 x 9; resize it with --image-size"),
        ((1, 6, 6), "6 x 6 stops at 6 x 6; resize it with --image-size"),
    ],
)
def test_what_cannot_be_halved_is_refused(shape, message):
    with pytest.raises(InputError, match=message):
        DataSpec(shape=shape).count_halvings()


def test_a_class_goes_by_its_name_or_its_number():
    named = DataSpec(shape=(2,), classes=3, class_names=("cat", "dog", "1"))
    assert [named.class_index(name) for name in ("cat", "dog", "1", "0")] == [0, 1, 2, 0]
    assert DataSpec(shape=(2,), classes=3).class_index("2") == 2


@pytest.mark.parametrize(
    ("spec", "name", "message"),
    [
        (DataSpec(shape=(2,)), "cat", "these samples have no classes"),
        (DataSpec(shape=(2,), classes=2), "2", "no class is called '2'; they are 0 to 1"),
        (DataSpec(shape=(2,), classes=2), "-1", "no class is called '-1'"),
        (
            DataSpec(shape=(2,), classes=2, class_names=("cat", "dog")),
            "dgo",
            "no class is called 'dgo'; did you mean 'dog'",
        ),
        (
            DataSpec(shape=(2,), classes=2, class_names=("cat", "dog")),
            "horse",
            "no class is called 'horse'; there are cat, dog",
        ),
    ],
)
def test_a_class_that_is_not_there(spec, name, message):
    with pytest.raises(InputError, match=message):
        spec.class_index(name)


def test_a_specification_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        VECTOR.shape = (3,)


@pytest.mark.parametrize(
    "spec",
    [
        DataSpec(shape=(3, 8, 8), classes=2, features="x"),
        DataSpec(shape=(2,), modes=((0.1, 1 / 3), (2.0, 3.0)), mode_std=0.01),
    ],
)
def test_a_specification_survives_json(spec):
    assert DataSpec.model_validate_json(spec.model_dump_json()) == spec


# Samples


@pytest.mark.parametrize(
    ("spec", "stored"),
    [
        (IMAGE, torch.zeros(4, 1, 2, 3)),
        (IMAGE, torch.zeros(4, 1, 2, 3, dtype=torch.int64)),
        (IMAGE, torch.zeros(4, 1, 3, 2, dtype=torch.uint8)),
        (IMAGE, torch.zeros(1, 2, 3, dtype=torch.uint8)),
        (VECTOR, torch.zeros(4, 2, dtype=torch.float64)),
        (VECTOR, torch.zeros(4, 2, dtype=torch.uint8)),
        (VECTOR, torch.zeros(4, 3)),
        (VECTOR, torch.zeros(4, 2, 1)),
    ],
)
def test_samples_that_do_not_fit_are_refused(spec, stored):
    with pytest.raises(InputError, match="are stored as") as caught:
        Samples(spec, stored)
    wanted = "torch.uint8" if spec.is_image else "torch.float32"
    assert wanted in str(caught.value)
    assert str(tuple(stored.shape)) in str(caught.value)


def test_the_number_of_samples():
    assert len(some_images(7)) == 7
    assert len(some_points()) == 3


def test_a_batch_of_images_is_floats():
    samples = Samples(IMAGE, torch.tensor([0, 51, 102, 153, 204, 255]).byte().view(1, 1, 2, 3))
    batch = samples.batch(torch.tensor([0, 0]))
    assert batch.dtype == torch.float32
    assert batch.shape == (2, 1, 2, 3)
    assert batch[1].flatten().tolist() == pytest.approx([-1, -0.6, -0.2, 0.2, 0.6, 1])
    assert samples.stored.flatten().tolist() == [0, 51, 102, 153, 204, 255]


def test_a_batch_follows_its_indices():
    samples = some_images()
    batch = samples.batch(torch.tensor([2, 0, 2]))
    assert torch.equal(images.to_uint8(batch), samples.stored[[2, 0, 2]])


def test_a_batch_of_vectors_is_as_stored():
    batch = some_points().batch(torch.tensor([2, 0]))
    assert batch.dtype == torch.float32
    assert batch.tolist() == [[4, 5], [0, 1]]


def test_changing_a_batch_changes_no_sample():
    for samples in (some_images(), some_points()):
        before = samples.stored.clone()
        samples.batch(torch.arange(3)).mul_(0)
        assert torch.equal(samples.stored, before)


def test_a_subset_keeps_labels_beside_samples():
    samples = some_images(labels=torch.tensor([5, 6, 7, 8]))
    subset = samples.subset(torch.tensor([3, 1]))
    assert torch.equal(subset.stored, samples.stored[[3, 1]])
    assert subset.labels.tolist() == [8, 6]
    assert subset.spec == samples.spec
    assert some_points().subset(torch.tensor([0])).labels is None


def test_moving_to_a_device_moves_everything():
    samples = some_images(labels=torch.arange(4), skipped=("x.png: broken",))
    moved = samples.to("meta")
    assert (moved.stored.device.type, moved.labels.device.type) == ("meta", "meta")
    assert (samples.stored.device.type, samples.labels.device.type) == ("cpu", "cpu")
    assert moved.skipped == samples.skipped
    assert moved.spec == samples.spec
    assert some_points().to("cpu").labels is None


# The fingerprint


def test_fingerprints_never_change():
    # Others here mean that scores of the same data no longer compare.
    wanted_images = "7852bbe2bdb0b02b5cd64d32409d93196e6dc93fa64c9431cc82385c79bd4d9a"
    wanted_points = "97cd034286ed9ed28b552700757d9df8f27d959e41c0c56360b4198d12603d22"
    assert some_images().fingerprint == wanted_images
    assert some_points().fingerprint == wanted_points


def test_a_fingerprint_is_of_the_content():
    samples = some_images()
    backwards = np.ascontiguousarray(samples.stored.numpy()[:, :, :, ::-1])
    strided = torch.from_numpy(backwards).flip(3).transpose(2, 3).contiguous().transpose(2, 3)
    assert not strided.is_contiguous()
    assert Samples(IMAGE, strided).fingerprint == samples.fingerprint
    assert samples.to("cpu").fingerprint == samples.fingerprint
    assert samples.subset(torch.arange(4)).fingerprint == samples.fingerprint


def test_a_fingerprint_changes_with_the_content():
    samples = some_images()
    changed = samples.stored.clone()
    changed[3, 0, 1, 2] += 1
    turned = Samples(DataSpec(shape=(1, 3, 2)), samples.stored.view(4, 1, 3, 2))
    found = [
        samples.fingerprint,
        Samples(IMAGE, changed).fingerprint,
        samples.subset(torch.tensor([1, 0, 2, 3])).fingerprint,
        samples.subset(torch.arange(3)).fingerprint,
        turned.fingerprint,
    ]
    assert len(set(found)) == len(found)
    assert all(len(one) == 64 and int(one, 16) for one in found)


# What could not be read


def broken(count):
    return tuple(f"{i:02}.png: truncated" for i in range(count))


def test_no_complaints():
    assert some_images().describe_skipped() == []


@pytest.mark.parametrize("count", [1, 10])
def test_up_to_ten_are_named(count):
    lines = some_images(skipped=broken(count)).describe_skipped()
    assert lines == [
        f"{count} of {count + 4} images cannot be read",
        *(f"skipped {i:02}.png: truncated" for i in range(count)),
    ]


@pytest.mark.parametrize("count", [11, 250])
def test_more_than_ten_are_counted(count):
    lines = some_images(skipped=broken(count)).describe_skipped()
    assert lines == [
        f"{count} of {count + 4} images cannot be read",
        *(f"skipped {i:02}.png: truncated" for i in range(10)),
        f"and {count - 10} more",
    ]


# Datasets


class Plain(Dataset):
    """A set with one part."""

    def read(self):
        return some_points()


class Split(Plain):
    """A set with several parts."""

    split: str = "train"


class Pictures(ImageDataset):
    """Images of one size."""

    def read(self):
        return self.resize(torch.full((2, 3, 4, 4), 7, dtype=torch.uint8))


def test_a_dataset_must_say_how_it_reads():
    with pytest.raises(TypeError, match="abstract"):
        Dataset()


def test_the_name_of_what_is_read():
    assert Plain().split_name == "all"
    assert Split().split_name == "train"
    assert Split(split="test").split_name == "test"


@pytest.mark.parametrize(
    ("given", "size"),
    [
        (8, (8, 8)),
        ("8", (8, 8)),
        ("8x6", (8, 6)),
        ("8X6", (8, 6)),
        ("8,6", (8, 6)),
        ("[8, 6]", (8, 6)),
        ((8, 6), (8, 6)),
        ([8], (8, 8)),
        (4096, (4096, 4096)),
        (None, None),
    ],
)
def test_sizes_as_they_are_given(given, size):
    assert parse_options(Pictures, {"image_size": given}).image_size == size


@pytest.mark.parametrize("given", ["0", -1, 4097, "8x0", "8x6x4", "x", "8x", "big", 8.5, [], "[]"])
def test_senseless_sizes_are_refused(given):
    with pytest.raises(InputError, match=r"option 'data\.image_size'"):
        parse_options(Pictures, {"image_size": given}, "data.")


def test_images_are_resized_when_asked():
    assert Pictures().read().shape == (2, 3, 4, 4)
    resized = Pictures(image_size=(6, 2)).read()
    assert resized.dtype == torch.uint8
    assert torch.equal(resized, torch.full((2, 3, 6, 2), 7, dtype=torch.uint8))


def test_what_takes_long_to_resize_is_kept_by_its_content(monkeypatch):
    class Noise(ImageDataset):
        """Noise."""

        seed: int = 0

        def read(self):
            rng = torch.Generator().manual_seed(self.seed)
            stored = torch.randint(0, 256, (5, 3, 8, 6), generator=rng, dtype=torch.uint8)
            return Samples(DataSpec(shape=(3, 5, 7)), self.resize(stored))

    def read(**options):
        return Noise(image_size=(5, 7), **options).read().stored

    wanted, other = read(), read(seed=1)
    assert not Path("cache").exists()
    assert 1 << 20 < dataset.MIN_CACHED_BYTES < 40 << 20
    monkeypatch.setattr(dataset, "MIN_CACHED_BYTES", 0)
    resizes = []
    before = images.resize
    monkeypatch.setattr(images, "resize", lambda *given: resizes.append(1) or before(*given))
    for _ in range(2):
        assert torch.equal(read(), wanted)
        assert torch.equal(read(seed=1), other)
    assert len(resizes) == 2
    stored = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    assert Noise(image_size=(2, 2)).resize(stored).shape == (2, 1, 2, 2)
    assert Noise(image_size=(4, 4)).resize(stored) is stored
    assert Noise().resize(stored) is stored
    assert len(resizes) == 3
