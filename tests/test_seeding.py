"""Randomness as a function of a seed and a place."""

import random

import pytest
import torch

from ganzoo.seeding import BatchOrder, derived_seed, generator_for


def test_derived_seeds_never_change():
    # Other numbers here mean that no run can be repeated or resumed as it was.
    assert derived_seed(0) == 3582888934675442504
    assert derived_seed(0, "latents", 0) == 1545247067761528591
    assert derived_seed(1, "epoch", 2) == 3102591332323740805


def test_each_place_has_its_own_seed():
    places = [
        (seed, *place)
        for seed in (0, 1, 2**63 - 1)
        for place in ((), ("a",), ("b",), (1,), ("1",), ("a", 1), (1, "a"), ("a", 2), ("a1",))
    ]
    seeds = [derived_seed(*place) for place in places]
    assert len(set(seeds)) == len(places)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_generators_draw_the_same_for_the_same_place():
    before = torch.get_rng_state()
    first, again, other, later = (
        torch.rand(4, generator=generator_for(*place))
        for place in ((0, "x", 1), (0, "x", 1), (1, "x", 1), (0, "x", 2))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, later)
    assert torch.equal(before, torch.get_rng_state())
    assert generator_for(0).device == torch.device("cpu")
    assert generator_for(5, "y").initial_seed() == derived_seed(5, "y")


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
