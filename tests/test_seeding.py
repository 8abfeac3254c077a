"""Randomness as a function of a seed and a place."""

import random

import pytest
import torch

from ganzoo.compute.seeding import derive_seed, make_rng
from ganzoo.training import batch_order
from ganzoo.training.batch_order import BatchOrder


def test_derived_seeds_never_change():
    # Other numbers here mean that no run can be repeated or resumed as it was.
    assert derive_seed(0) == 3582888934675442504
    assert derive_seed(0, "latents", 0) == 1545247067761528591
    assert derive_seed(1, "epoch", 2) == 3102591332323740805


def test_each_place_has_its_own_seed():
    places = [
        (seed, *place)
        for seed in (0, 1, 2**63 - 1)
        for place in ((), ("a",), ("b",), (1,), ("1",), ("a", 1), (1, "a"), ("a", 2), ("a1",))
    ]
    seeds = [derive_seed(*place) for place in places]
    assert len(set(seeds)) == len(places)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_generators_draw_the_same_for_the_same_place():
    before = torch.get_rng_state()
    first, again, other, later = (
        torch.rand(4, generator=make_rng(*place))
        for place in ((0, "x", 1), (0, "x", 1), (1, "x", 1), (0, "x", 2))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, later)
    assert torch.equal(before, torch.get_rng_state())
    assert make_rng(0).device == torch.device("cpu")
    assert make_rng(5, "y").initial_seed() == derive_seed(5, "y")


SIZES = [(10, 4), (10, 5), (10, 10), (7, 3), (3, 8), (1, 4), (5, 1)]


@pytest.mark.parametrize(("count", "size"), SIZES)
def test_epochs_are_permutations_without_a_gap(count, size):
    order = BatchOrder(count, size, seed=3)
    epochs = 6
    batches = [order(i) for i in range(-(-epochs * count // size))]
    assert all(batch.shape == (size,) and batch.dtype == torch.int64 for batch in batches)
    drawn = torch.cat(batches)[: epochs * count].view(epochs, count)
    assert torch.equal(drawn.sort(1).values, torch.arange(count).expand(epochs, count))


def test_epochs_differ():
    order = BatchOrder(50, 50, seed=0)
    epochs = {tuple(order(i).tolist()) for i in range(5)}
    assert len(epochs) == 5
    assert tuple(range(50)) not in epochs


def test_a_batch_may_hold_several_epochs():
    batch, after = (BatchOrder(3, 8, seed=0)(i) for i in range(2))
    assert batch[:3].sort().values.tolist() == [0, 1, 2]
    assert batch[3:6].sort().values.tolist() == [0, 1, 2]
    assert len(set(batch[6:].tolist())) == 2
    assert {*batch[6:].tolist(), int(after[0])} == {0, 1, 2}


@pytest.mark.parametrize(("count", "size"), SIZES)
def test_a_batch_is_a_function_of_seed_and_number(count, size):
    order = BatchOrder(count, size, seed=7)
    wanted = [order(i).clone() for i in range(12)]
    shuffled = [*range(12), *range(12)]
    random.Random(0).shuffle(shuffled)
    used = BatchOrder(count, size, seed=7)
    torch.manual_seed(99)
    for i in shuffled:
        assert torch.equal(used(i), wanted[i])
        assert torch.equal(BatchOrder(count, size, seed=7)(i), wanted[i])


def test_other_seeds_give_other_orders():
    first, other = (BatchOrder(50, 50, seed=seed)(0) for seed in (0, 1))
    assert not torch.equal(first, other)


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    BatchOrder(10, 25, seed=0)(3)
    assert torch.equal(before, torch.get_rng_state())


def test_indices_are_put_on_the_device():
    order = BatchOrder(10, 4, seed=0, device="meta")
    assert [order(i).device.type for i in range(4)] == ["meta"] * 4
    assert order(2).shape == (4,)


def test_the_stream_of_samples_does_not_depend_on_the_size_of_batches():
    streams = [
        torch.cat([BatchOrder(7, size, seed=5)(i) for i in range(60 // size)])
        for size in (1, 4, 5, 20)
    ]
    assert all(torch.equal(stream, streams[0]) for stream in streams)


def test_the_order_of_samples_never_changes():
    # As for seeds; the last is that of more samples than are shuffled as a whole.
    assert BatchOrder(10, 4, seed=0)(1).tolist() == [9, 3, 6, 2]
    assert BatchOrder(batch_order.MAX_WHOLE_SHUFFLE, 3, seed=1)(5).tolist() == [
        787822,
        2974267,
        2516506,
    ]
    assert BatchOrder(10_000_000, 3, seed=1)(3_333_333).tolist() == [3298343, 6150832, 1555871]


@pytest.mark.parametrize(("count", "size"), [*SIZES, (100, 7)])
@pytest.mark.parametrize("part", [1, 4, 64])
def test_a_large_epoch_is_worked_out_in_parts(monkeypatch, count, size, part):
    monkeypatch.setattr(batch_order, "MAX_WHOLE_SHUFFLE", 0)
    monkeypatch.setattr(batch_order, "PART_SIZE", part)
    test_epochs_are_permutations_without_a_gap(count, size)
    test_a_batch_is_a_function_of_seed_and_number(count, size)
    order = BatchOrder(count, count, seed=0)
    assert count < 50 or len({tuple(order(i).tolist()) for i in range(5)}) == 5


def test_a_large_epoch_is_shuffled_as_well_as_a_small_one(monkeypatch):
    count, whole = 40_000, torch.arange(40_000)
    monkeypatch.setattr(batch_order, "MAX_WHOLE_SHUFFLE", 0)
    for seed in range(3):
        drawn = BatchOrder(count, count, seed)(0)
        assert torch.equal(drawn.sort().values, whole)
        # Neither where a sample comes nor what comes after it depends on its number, by the
        # deviation of such sums for random orders: 1 / sqrt(count).
        for one, other in ((drawn, whole), (drawn[:-1], drawn[1:]), (drawn[:-200], drawn[200:])):
            assert abs(torch.corrcoef(torch.stack([one, other]).double())[0, 1]) < 5 / count**0.5
        # How many of each hundredth of the samples come in each hundredth of the epoch: chi-square.
        found = torch.bincount(drawn // 400 + 100 * (whole // 400), minlength=10_000)
        chi = float(((found - 4) ** 2 / 4).sum())
        assert abs(chi - 99 * 99) < 5 * (2 * 99 * 99) ** 0.5
        # Fixed points, and neighbours that stay neighbours: about one of each.
        assert (drawn == whole).sum() < 10
        assert ((drawn[1:] - drawn[:-1]) == 1).sum() < 10


def test_a_large_order_takes_little_memory():
    order = BatchOrder(10**9, 64, seed=0)
    first, later = order(0), order(10**7)
    assert len(set(first.tolist() + later.tolist())) == 128
    held = sum(part.nbytes for part in order._parts.values())
    assert held == 8 * batch_order.PART_SIZE
