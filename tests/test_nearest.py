"""The nearest training samples of some images."""

import pytest
import torch

from ganzoo import DataSpec, Samples
from ganzoo.evaluation.nearest import NeighbourSearch, even_indices


def grey(*shades, size=4):
    return torch.stack([torch.full((1, size, size), shade, dtype=torch.uint8) for shade in shades])


def test_the_search_finds_what_comparing_all_finds():
    rng = torch.Generator().manual_seed(0)
    stored = torch.randint(0, 256, (50, 3, 4, 5), generator=rng, dtype=torch.uint8)
    images = torch.randint(0, 256, (6, 3, 4, 5), generator=rng, dtype=torch.uint8)
    images[2] = stored[17]
    found = NeighbourSearch(Samples(DataSpec(shape=(3, 4, 5)), stored)).nearest(images, 3)
    away = (images.flatten(1).double()[:, None] - stored.flatten(1).double()).square()
    expected, order = away.mean(2).sqrt().sort(dim=1)
    for row, distances, places in zip(found, expected, order, strict=True):
        assert [near.index for near in row] == places[:3].tolist()
        assert [near.distance for near in row] == pytest.approx(distances[:3].tolist())
    assert (found[2][0].index, found[2][0].distance) == (17, 0.0)


def test_mirrored_copies_are_found_where_training_mirrors():
    rng = torch.Generator().manual_seed(0)
    stored = torch.randint(0, 256, (9, 1, 4, 4), generator=rng, dtype=torch.uint8)
    samples = Samples(DataSpec(shape=(1, 4, 4)), stored, flip=True)
    (near,) = NeighbourSearch(samples).nearest(stored[3:4].flip(-1), 2)
    assert (near[0].index, near[0].distance, near[0].mirrored) == (3, 0.0, True)
    assert near[1].index != 3, "each sample once"


def test_of_too_many_samples_some_are_searched(monkeypatch):
    monkeypatch.setattr("ganzoo.evaluation.nearest.MAX_SEARCHED", 3 * 16)
    search = NeighbourSearch(Samples(DataSpec(shape=(1, 4, 4)), grey(0, 10, 20, 30, 40, 50)))
    assert search.candidates.tolist() == [0, 2, 4]
    (near,) = search.nearest(grey(30), 1)
    assert near[0].index in (2, 4)
    assert even_indices(10, 4).tolist() == [0, 2, 5, 7]


def test_how_far_training_samples_are_apart():
    samples = Samples(DataSpec(shape=(1, 4, 4)), grey(0, 10, 10, 40))
    assert NeighbourSearch(samples).median_spacing(4) == 0.0, (
        "the median of 10, 0, 0 and 30, the lower one"
    )
    assert NeighbourSearch(samples.subset(torch.tensor([0, 1, 3]))).median_spacing(4) == 10.0
    assert NeighbourSearch(samples.subset(torch.tensor([0]))).median_spacing(4) is None
