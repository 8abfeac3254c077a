"""A step launches no more than its arithmetic needs, by the count of the benchmark."""

from pathlib import Path

import pytest

OVER_THE_FLOOR = 4
"""A copy of averaged buffers for each type, the sum of the terms, and a count on the host."""


@pytest.fixture
def dispatches(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent / "benchmarks")
    import dispatches

    return dispatches


@pytest.mark.parametrize("name", ["mlp", "dcgan", "sngan", "resnet"])
def test_a_step_launches_what_a_loop_by_hand_does_and_much_less_than_a_plain_one(name, dispatches):
    found = dispatches.count(name, steps=1)
    launches = found["launches"]
    assert launches["ganzoo"] < 0.8 * launches["plain"]
    assert launches["ganzoo"] - launches["floor"] <= OVER_THE_FLOOR, dispatches.blame(found)


def test_views_and_reads_are_no_launches(dispatches):
    torch = dispatches.torch
    with dispatches.Launches() as launches:
        made = torch.ones(4, 4)
        (made.t()[1:, None].detach()[0, 0, 0] + 1).item()
    assert launches.counts == {"ones": 1, "add": 1}


def test_a_table_names_every_arm(dispatches):
    arms = dict.fromkeys(dispatches.ARMS, 7)
    shown = dispatches.show({"dcgan": {"launches": arms, "ms": arms}})
    assert shown.splitlines()[-1] == "| dcgan | 7 | 7 | 7 | 7.00 | 7.00 | 7.00 |"
    found = {"operators": {"ganzoo": {"add": 5, "mul": 2}, "floor": {"add": 2, "mul": 2}}}
    assert dispatches.blame(found) == "3 add"
