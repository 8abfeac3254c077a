"""Turns on a machine that is made up: which rounds count, and what is said of them."""

import itertools
from collections import Counter
from pathlib import Path

import pytest
import torch


@pytest.fixture
def measuring(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent / "benchmarks")
    import measuring

    return measuring


class Machine:
    """Time that passes as work is done, and what others do meanwhile, by round."""

    def __init__(self, monkeypatch, measuring, others):
        self.now = self.worked = self.foreign = 0.0
        self.others = iter(others)
        self.share = 0.0
        monkeypatch.setattr(measuring.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(measuring, "own", lambda: self.worked)
        monkeypatch.setattr(measuring, "busy", lambda: self.worked + self.foreign)

    def step(self, seconds):
        def work():
            self.now += seconds
            self.worked += 2 * seconds
            self.foreign += self.share * seconds

        return work

    def next_round(self):
        self.share = next(self.others)
        return {"asked": self.share}


@pytest.fixture
def machine(monkeypatch, measuring):
    return lambda *others: Machine(monkeypatch, measuring, others)


def turns_of(measuring, machine, rounds):
    arms = {"slow": machine.step(0.4), "quick": machine.step(0.1)}
    return measuring.Turns(arms, steps=3, rounds=rounds, aside=machine.next_round)


def test_ratios_are_of_a_round(measuring, machine):
    turns = turns_of(measuring, machine(0.0, 0.0), 2)
    rounds = turns.play()
    assert [each.aside for each in rounds] == [{"asked": 0.0}] * 2
    for each in rounds:
        assert each.wall == pytest.approx({"slow": 0.4, "quick": 0.1})
        assert each.process == pytest.approx({"slow": 0.8, "quick": 0.2})
    told = turns.told(torch.device("cpu"))
    walls = [measuring.column(told["raw"], "wall", arm) for arm in turns.arms]
    assert measuring.ratio(*walls)["median"] == pytest.approx(4.0)
    assert told["machine"]["cores_used"] == 2.0
    assert "2 rounds; others had 0.00 cores" in measuring.conditions(told)


def test_rounds_in_which_others_were_busy_are_repeated(measuring, machine):
    turns = turns_of(measuring, machine(0.5, 0.1, 0.2, 0.0), 2)
    assert [each.others for each in turns.play()] == pytest.approx([0.1, 0.0])
    told = turns.told(torch.device("cpu"))
    assert (told["dropped_rounds"], told["unquiet_rounds"]) == (2, 0)
    assert "2 rounds, after 2 that were dropped" in measuring.conditions(told)


def test_where_it_is_never_quiet_the_quietest_count_and_are_named(measuring, machine):
    turns = turns_of(measuring, machine(0.9, 0.3, 0.1, 0.5, 0.8, 0.7), 3)
    assert [each.others for each in turns.play()] == pytest.approx([0.3, 0.1, 0.5])
    told = turns.told(torch.device("cpu"))
    assert (told["dropped_rounds"], told["unquiet_rounds"]) == (3, 2)
    assert "3 rounds, 2 of them while others were busy" in measuring.conditions(told)


def test_steps_that_are_done_elsewhere_have_their_turns(measuring, machine):
    machine = machine(*[0.0] * 3)
    arms = {"here": machine.step(0.1), "there": None}
    turns = measuring.Turns(arms, steps=4, rounds=3, aside=machine.next_round, settling=2)
    asked = []
    for number in turns:
        asked.append(number)
        for _ in range(number):
            machine.step(0.2)()
    assert asked == [1, *[2, 4] * 3]
    assert all(each.wall == pytest.approx({"here": 0.1, "there": 0.2}) for each in turns.kept())
    with pytest.raises(ValueError, match="no step"):
        measuring.Turns(arms, rounds=1, aside=dict).play()


@pytest.mark.parametrize("names", ["ab", "abc", "abcde", "abcdef"])
def test_each_arm_is_first_and_behind_each_other_as_often(measuring, names):
    orders = [measuring.balanced(list(names), by) for by in range(2 * len(names))]
    assert all(sorted(order) == list(names) for order in orders)
    assert set(Counter(order[0] for order in orders).values()) == {2}
    behind = Counter(pair for order in orders for pair in itertools.pairwise(order))
    assert set(behind.values()) == {2}
    assert len(behind) == len(names) * (len(names) - 1)


def test_a_devices_own_clock_is_read(measuring, machine):
    """A GPU is behind its host: what counts lies between the events in its queue."""
    machine = machine(0.0)

    class Clock:
        name = "events"

        def __init__(self):
            self.marks = 0

        def mark(self):
            self.marks += 1
            return self.marks

        def spans(self, marks):
            return [5.0 * (after - before) for before, after in itertools.pairwise(marks)]

    arms = {"only": machine.step(0.1)}
    turns = measuring.Turns(arms, steps=2, rounds=1, clock=Clock(), aside=machine.next_round)
    (found,) = turns.play()
    assert found.wall == {"only": 2.5}


def test_a_spread_holds_the_middle_half(measuring):
    found = measuring.spread([5.0, 1.0, 3.0, 2.0, 4.0])
    assert (found["min"], found["median"], found["max"]) == (1.0, 3.0, 5.0)
    assert found["quartile_1"] == 1.5
    assert measuring.in_words(found, ".1f") == "3.0 (1.5 to 4.5)"
    assert measuring.spread([2.0])["quartile_3"] == 2.0
    assert measuring.table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
