"""Threads beside other programs: how long they wait, how many there are, and what is recorded."""

import json
import os
import subprocess
import sys

import pytest
import torch

import ganzoo
from ganzoo.compute import threads
from ganzoo.runs.folder import Run

TINY = {
    "train.recipe": "paper",
    "arch.hidden": (4,),
    "data.samples": 64,
    "train.batch_size": 8,
    "train.device": "cpu",
}
LOADED = """
import sys
from ganzoo.cli import main, process
process.signals.set_stop_handlers = lambda *handlers: None
import ganzoo.cli.commands as commands
def run(arguments):
    import os
    print("torch" in sys.modules, os.environ.get("GOMP_SPINCOUNT"))
    return 0
commands.run = run
main()
"""


@pytest.fixture
def free(monkeypatch):
    """Have a machine of some cores without variables, and return a function that loads it."""
    for name in (*threads.COUNT_VARIABLES, *threads.WAITING_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()

    def load(cores, *idle, wanted=None):
        looks = iter(idle)
        monkeypatch.setattr(threads, "count_cpus", lambda: cores)
        monkeypatch.setattr(threads, "_measure_free_cpus", lambda: next(looks))
        torch.set_num_threads(wanted or cores)

    yield load
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("given", "spins"),
    [
        ({}, threads.SPINS),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "active"}, "None"),
        ({"OMP_NUM_THREADS": "2"}, threads.SPINS),
    ],
)
def test_a_command_sets_how_threads_wait_before_torch_and_leaves_what_you_set(given, spins):
    names = (*threads.WAITING_VARIABLES, *threads.COUNT_VARIABLES)
    environment = {key: value for key, value in os.environ.items() if key not in names}
    done = subprocess.run(
        [sys.executable, "-c", LOADED],
        env={**environment, **given},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"False {spins}\n", done.stderr


@pytest.mark.parametrize(
    ("cores", "idle", "count"),
    [
        (2, [1.9], 2),
        (2, [1.1, 1.0, 0.9], 1),
        (2, [0.9, 1.8], 2),  # a short moment
        (2, [0.0, 0.0, 0.0], 1),
        (8, [6.9, 7.2, 7.0], 7),
        (8, [0.1, 0.0, 0.0], 4),  # a share of each core is worth more than what is left
        (2, [62.0], 2),  # a control group of a large machine
        (3, [None], 3),  # not Linux
    ],
)
def test_there_are_as_many_threads_as_free_cores_but_at_least_half(free, cores, idle, count):
    free(cores, *idle)
    assert threads.choose_thread_count() == count


def test_fewer_cores_than_threads_are_seen_where_a_control_group_limits_them(free):
    free(2, 60.0, 60.0, 60.0, wanted=4)
    assert threads.choose_thread_count() == 2


@pytest.mark.parametrize("name", threads.COUNT_VARIABLES)
def test_your_own_number_of_threads_stays(free, monkeypatch, name):
    free(2)
    monkeypatch.setenv(name, "2")
    assert threads.choose_thread_count() == 2
    with threads.use_threads(1):
        assert torch.get_num_threads() == 2


@pytest.mark.skipif(not threads.STATISTICS.exists(), reason="needs /proc/stat")
def test_own_work_and_work_of_a_lower_priority_count_as_free(tmp_path, monkeypatch):
    lines = iter([(100, 100), (100, 900), (100, 100), (150, 100)])
    usable = sorted(os.sched_getaffinity(0))
    monkeypatch.setattr(threads, "SECONDS", 0.5)

    def read():
        user, nice = next(lines)
        rest = "0 0 0 0 0 0 0 0"
        one = f"cpu{usable[0]} {user} {nice} {rest}\n"
        stranger = f"cpu{usable[-1] + 1} {user * 9} 0 {rest}\n"
        return f"cpu {user} {nice} {rest}\n{one}{stranger}intr 1 2 3\n"

    class Statistics:
        read_text = staticmethod(read)

    monkeypatch.setattr(threads, "STATISTICS", Statistics)
    assert threads._measure_free_cpus() == pytest.approx(len(usable), abs=0.1)
    assert threads._measure_free_cpus() == pytest.approx(len(usable) - 1, abs=0.2)


def test_a_run_beside_other_work_records_its_threads_and_is_resumed_with_them(free, tmp_path):
    seen = []

    class Observer(ganzoo.training.observer.Observer):
        def on_warning(self, message):
            seen.append(message)

        def on_step(self, step):
            seen.append(torch.get_num_threads())

    free(2, 1.0, 1.0, 1.0)
    run = ganzoo.train("mlp", data="ring", out="run", settings=TINY, steps=1, observer=Observer())
    assert seen[1:] == [1]
    assert seen[0].startswith("other programs or limits leave fewer than 2 cores")
    assert run.config().threads == 1
    assert torch.get_num_threads() == 2
    seen.clear()
    free(2)
    ganzoo.resume("run", {"train.steps": 2}, Observer())
    assert seen == [1]
    assert Run(tmp_path / "run").config().threads == 1


def test_a_run_on_a_quiet_machine_records_nothing_and_is_resumed_as_it_began(free, tmp_path):
    free(2, 1.9)
    ganzoo.train("mlp", data="ring", out="run", settings=TINY, steps=1)
    assert "threads" not in json.loads((tmp_path / "run" / "config.json").read_text())
    free(2)  # it would fail if anybody looked
    ganzoo.resume("run", {"train.steps": 2})


def test_a_fork_looks_anew(free):
    free(2, 1.0, 1.0, 1.0)
    with pytest.warns(ganzoo.GanzooWarning, match="threads: 1"):
        ganzoo.train("mlp", data="ring", out="run", settings=TINY, steps=1)
    free(2, 2.0)
    assert ganzoo.train(fork="run", out="fork", steps=2).config().threads is None
