"""What a training is fed: the same batches from memory and from the disk, mirrored where asked."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest
import torch

from ganzoo.protocols.dataset import DataSpec, Samples
from ganzoo.storage.mapped_array import MappedArray
from ganzoo.training.batch_order import BatchOrder
from ganzoo.training.batches import PREFETCH, BatchLoader

CPU = torch.device("cpu")
COUNT = 50


def samples(channels=1, **more):
    rng = torch.Generator().manual_seed(0)
    stored = torch.randint(0, 256, (COUNT, channels, 4, 6), generator=rng, dtype=torch.uint8)
    labels = torch.arange(COUNT) % 5
    return Samples(DataSpec(shape=(channels, 4, 6), classes=5), stored, labels, **more)


@pytest.fixture(params=["by place", "by the map"])
def mapped(request, tmp_path):
    """Give the same samples, mapped from a file."""

    def build(kept):
        np.save(tmp_path / "images.npy", kept.stored.numpy())
        if request.param == "by the map":
            stored = torch.from_numpy(np.load(tmp_path / "images.npy", mmap_mode="c"))
            return dataclasses.replace(kept, stored=stored, streamed=True)
        rows = MappedArray(tmp_path / "images.npy")
        small = kept.labels.to(torch.uint8)
        return dataclasses.replace(
            kept, stored=rows.tensor, labels=small, streamed=True, mapped_array=rows
        )

    return build


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("flip", [False, True])
def test_batches_from_the_disk_are_those_from_memory(mapped, channels, flip):
    kept = samples(channels, flip=flip)
    memory, disk = BatchLoader(kept, CPU, seed=1), BatchLoader(mapped(kept), CPU, seed=1)
    assert (memory.streamed, disk.streamed) == (False, True)
    order = BatchOrder(COUNT, 16, seed=1)
    # In order, again, and back to an earlier one, as a run that diverged goes.
    for number in (0, 1, 2, 3, 9, 4, 5, 1, 1, 2):
        found = [feed.batch(number, order) for feed in (memory, disk)]
        assert torch.equal(found[0][0], found[1][0])
        assert torch.equal(found[0][1], found[1][1])


def test_batches_are_read_ahead_and_no_more_than_that(mapped):
    feed = BatchLoader(mapped(samples()), CPU, seed=0)
    asked = []

    def order(number):
        asked.append(number)
        return BatchOrder(COUNT, 8, seed=0)(number)

    feed.batch(0, order)
    assert asked == list(range(1 + PREFETCH))
    feed.batch(1, order)
    assert asked == list(range(2 + PREFETCH))
    feed.batch(1, order)
    assert len(feed._prefetched) == PREFETCH


def test_reading_happens_in_threads_of_its_own(mapped, monkeypatch):
    feed = BatchLoader(mapped(samples()), CPU, seed=0)
    readers, read = set(), feed._read
    monkeypatch.setattr(
        feed, "_read", lambda indices: readers.add(threading.current_thread().name) or read(indices)
    )
    for number in range(20):
        feed.batch(number, BatchOrder(COUNT, 8, seed=0))
    assert readers
    assert all(name.startswith("ganzoo-feed") for name in readers)


def test_a_failure_to_read_reaches_the_training(mapped):
    feed = BatchLoader(mapped(samples()), CPU, seed=0)
    with pytest.raises(IndexError):
        feed.batch(0, lambda number: torch.tensor([COUNT]))


def test_half_of_the_images_are_mirrored_by_seed_and_number():
    kept = samples()
    plain, flipped = BatchLoader(kept, CPU, seed=3), BatchLoader(samples(flip=True), CPU, seed=3)
    order = BatchOrder(COUNT, COUNT, seed=0)
    shares = []
    for number in range(20):
        before, after = plain.batch(number, order)[0], flipped.batch(number, order)[0]
        mirrored = (after == before.flip(-1)).flatten(1).all(1)
        assert ((after == before).flatten(1).all(1) | mirrored).all()
        assert torch.equal(after, flipped.batch(number, order)[0])
        shares.append(mirrored.float().mean())
    assert 0.4 < torch.stack(shares).mean() < 0.6
    assert len({float(share) for share in shares}) > 1
    other = BatchLoader(samples(flip=True), CPU, seed=4)
    assert not torch.equal(other.batch(0, order)[0], flipped.batch(0, order)[0])


def test_points_are_never_mirrored():
    points = Samples(DataSpec(shape=(2,)), torch.randn(COUNT, 2))
    real, labels, _ = BatchLoader(points, CPU, seed=0).batch(0, BatchOrder(COUNT, 8, seed=0))
    assert real.shape == (8, 2)
    assert labels is None
