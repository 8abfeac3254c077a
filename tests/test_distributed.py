"""Several processes that train one run and judge one model, against one process."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from PIL import Image

import distributed_cases
from ganzoo import distributed
from ganzoo.api.evaluation import evaluate
from ganzoo.api.training import resume
from ganzoo.distributed import heartbeat
from ganzoo.distributed.failures import LOST_STORE, Failure
from ganzoo.errors import InputError
from ganzoo.protocols.dataset import DataSpec, Samples
from ganzoo.runs.folder import Run
from ganzoo.storage.tensors import load_tensors
from ganzoo.training.batch_order import BalancedOrder, BatchOrder
from ganzoo.training.batches import BatchLoader
from test_training import content

CASES = Path(distributed_cases.__file__)
ROOT = CASES.parents[1]
EXACT = (*distributed_cases.LOSSES, "conditional", "pool", "phase")
OWN = ("unrolled", "batch-norm")
"""Cases that are not those of one process: they look at more than one sample at a time."""


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def started(world, *command, env=None):
    """Start processes as torchrun does, but for its agent."""
    shared = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(world),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(CASES.parent), *sys.path]),
        **(env or {}),
    }
    return [
        subprocess.Popen(
            [sys.executable, *map(str, command)],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]


def ended(processes, seconds=120):
    """Wait for processes, and return what each printed and its exit code."""
    try:
        return [(*each.communicate(timeout=seconds), each.returncode) for each in processes]
    finally:
        for each in processes:
            each.kill()


def domains(folder):
    """Make a folder of two classes of images."""
    rng = torch.Generator().manual_seed(0)
    for name in ("a", "b"):
        (folder / "domains" / name).mkdir(parents=True)
        for i in range(8):
            pixels = torch.randint(256, (24, 24), generator=rng, dtype=torch.uint8)
            Image.fromarray(pixels.numpy()).save(folder / "domains" / name / f"{i}.png")
    return folder


def site(folder):
    """Install a loss that remembers, for processes that have the folder on their path."""
    info = folder / "site" / "ganzoo_remembering-1.0.dist-info"
    info.mkdir(parents=True)
    metadata = "Metadata-Version: 2.1\nName: ganzoo-remembering\nVersion: 1.0\n"
    (info / "METADATA").write_text(metadata)
    points = "[ganzoo.losses]\nremembering = ganzoo_remembering:Remembering\n"
    (info / "entry_points.txt").write_text(points)
    (folder / "site" / "ganzoo_remembering.py").write_text(distributed_cases.REMEMBERING)
    return folder / "site"


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes find; whatever they do is done in one start of them."""
    folder = domains(tmp_path_factory.mktemp("two"))
    cases = (*EXACT, *OWN, "runs", "reading", "broken", "data")
    given = {"GANZOO_CACHE": str(folder / "cache")}
    given["PYTHONPATH"] = os.pathsep.join([str(site(folder)), str(CASES.parent), *sys.path])
    for out, err, code in ended(started(2, CASES, folder, *cases, env=given), 300):
        assert code == 0, (out, err)
    return folder


def of(folder, rank, name, world=2):
    return load_tensors(folder / f"rank{rank}-of-{world}" / f"{name}.safetensors")


def said(folder, rank, name):
    return json.loads((folder / f"rank{rank}-of-2" / f"{name}.json").read_text())


def alone(name, folder):
    """Do a case in this process."""
    with torch.random.fork_rng(), one_thread():
        return distributed_cases.steps_of(name, folder)


@contextmanager
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def close(found, wanted):
    assert found.keys() == wanted.keys()
    parts = [name for name in wanted if name.startswith(("generator.", "discriminator."))]
    assert parts
    for name in parts:
        torch.testing.assert_close(found[name], wanted[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", EXACT)
def test_two_processes_find_the_parameters_of_one(name, two):
    close(of(two, 0, name), alone(name, two))


def test_four_processes_find_the_parameters_of_one(tmp_path, two):
    cases = ("non-saturating", "wgan-gp")
    for out, err, code in ended(started(4, CASES, tmp_path, *cases)):
        assert code == 0, (out, err)
    for name in cases:
        first, *others = (of(tmp_path, rank, name, world=4) for rank in range(4))
        close(first, alone(name, tmp_path))
        assert all(same(first, other) for other in others)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", [*EXACT, *OWN, "whole", "stopped", "diverged"])
def test_processes_hold_the_same_numbers(name, two):
    found = of(two, 0, name)
    assert same(found, of(two, 1, name))
    assert name != "batch-norm" or any("running_mean" in key for key in found)


def test_a_run_that_is_stopped_anywhere_ends_in_the_bytes_of_one_that_is_not(two):
    for rank in (0, 1):
        stop = said(two, rank, "stopped")
        assert stop["kind"] == "Interrupted"
        # The signal came to the second process alone, within its third step.
        assert stop["message"].startswith("stopped after step 3 of 6, state saved")
        assert (stop["spoken"] is None) == (rank == 1)
    whole, stopped = (content(Run(two / name)) for name in ("whole", "stopped"))
    assert whole == stopped
    assert same(of(two, 0, "whole"), of(two, 0, "stopped"))


def test_buffers_that_training_depends_on_are_alike_after_every_step(two):
    whole = of(two, 0, "seldom")
    assert whole["discriminator.updates"] == 2 + 2 + 2 + 1 + 1 + 1
    assert whole["discriminator.means"].abs().min() > 0
    for name in ("seldom", "often", "remembering-stopped"):
        assert same(of(two, 0, name), whole), name
        assert same(of(two, 1, name), whole), name


def test_what_diverges_in_one_process_goes_back_in_all(two):
    lines = (two / "diverged" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2, 4, 6]
    state = json.loads((two / "diverged" / "checkpoints" / "00000006" / "state.json").read_text())
    assert state["retries"] == 1
    assert not same(of(two, 0, "whole"), of(two, 0, "diverged"))


def test_scores_are_the_very_numbers_of_one_process(two, monkeypatch):
    monkeypatch.setenv("GANZOO_CACHE", str(two / "other-cache"))
    with one_thread():
        rows = evaluate(two / "diverged", ["fid", "kid"], samples=700, device="cpu")
    wanted = [row.model_dump(mode="json") for row in rows]
    assert said(two, 0, "scores") == said(two, 1, "scores") == wanted


def test_of_the_processes_of_a_machine_one_looks_for_the_data(two):
    first, second = (said(two, rank, "reading") for rank in (0, 1))
    assert first["listed"] == 2  # how many there are, and to keep them
    assert (second["listed"], first["read"], second["read"]) == (0, 16, 0)
    for key in ("names", "labels", "fingerprint"):
        assert first[key] == second[key]
    assert len(first["names"]) == 16


def test_an_error_in_one_process_ends_the_others_with_its_reason(two):
    first, second = (said(two, rank, "broken") for rank in (0, 1))
    assert second["kind"] == "RuntimeError"
    assert first["kind"] == "PeerFailed"
    assert first["message"].startswith("rank 1: RuntimeError: this one breaks; continue with: ")
    # One of them says it.
    assert sorted([first["spoken"] is None, second["spoken"] is None]) == [False, True]
    assert "rank 1: " in (first["spoken"] or second["spoken"])


def test_processes_that_read_other_data_are_refused(two):
    first, second = (said(two, rank, "data") for rank in (0, 1))
    wrong = "the data here are not those of the first process: give each the same"
    assert (second["kind"], second["message"]) == ("InputError", wrong)
    assert (first["kind"], first["message"]) == ("PeerFailed", f"rank 1: {wrong}")


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_a_process_that_is_killed_ends_the_others_and_the_run_goes_on(tmp_path):
    command = [
        "-m",
        "ganzoo",
        "train",
        "mlp",
        "--recipe",
        "paper",
        "--steps",
        "100000",
        "--batch-size",
        "8",
    ]
    command += ["--checkpoint-every", "20", "--device", "cpu", "--out", tmp_path / "run"]
    processes = started(2, *command)
    first, second = processes
    try:
        until = time.monotonic() + 60
        while not (tmp_path / "run" / "checkpoints" / "00000020").exists():
            assert first.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        second.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        out, err = first.communicate(timeout=60)
    finally:
        ended(processes)
    assert time.monotonic() - killed < 30
    assert first.returncode == 1
    assert out == ""
    lines = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert lines == [
        "Error: rank 1: ended without a word (killed, or its machine is lost); "
        f"continue with: ganzoo train --resume {tmp_path / 'run'}"
    ]
    assert "Traceback" not in err
    done = max(int(path.name) for path in (tmp_path / "run" / "checkpoints").glob("0*"))
    # In one process, with the same batches.
    run = resume(tmp_path / "run", {"train.steps": 100_000 if done > 90_000 else done + 5})
    assert (run.model / "config.json").is_file()


def test_a_process_that_hangs_ends_with_the_others(tmp_path):
    timeout = {"GANZOO_RANKS_TIMEOUT": "1"}
    found = ended(started(2, CASES, tmp_path, "hung", env=timeout))
    assert [code for *_, code in found] == [1, 1]
    lines = [line for _, err, _ in found for line in err.splitlines() if "Error: " in line]
    wrong = "hangs: it lives, and the others have waited for it for 1 seconds"
    assert lines == [f"Error: rank 1: {wrong} (GANZOO_RANKS_TIMEOUT)"]


class Team(distributed.Processes):
    """One of several, with no others."""

    def __init__(self, rank, world):
        self.rank = rank
        self.world = world

    def take_share(self, whole):
        return whole[self.rank :: self.world]


def test_shares_of_a_batch_make_the_batch():
    stored = torch.arange(40, dtype=torch.uint8).view(40, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
    stored[..., 1] += 100  # so that a mirrored image is another one
    samples = Samples(DataSpec(shape=(1, 2, 2)), stored, flip=True)
    order, cpu = BatchOrder(40, 12, seed=0), torch.device("cpu")
    whole = BatchLoader(samples, cpu, seed=3).batch(2, order)[0]
    shares = [
        BatchLoader(samples, cpu, seed=3, team=Team(r, 3)).batch(2, order)[0] for r in range(3)
    ]
    assert torch.equal(torch.stack(shares, 1).flatten(0, 1), whole)


def test_shares_of_a_balanced_batch_are_balanced():
    labels = torch.arange(30) % 3
    indices = BalancedOrder(labels, 12, seed=0)(0)
    for rank in range(2):
        assert labels[Team(rank, 2).take_share(indices)].tolist() == [0, 0, 1, 1, 2, 2]


def test_a_batch_must_divide(monkeypatch, ganzoo_cli):
    monkeypatch.setattr(distributed, "current", lambda: Team(0, 2))
    result = ganzoo_cli("train", "mlp", "--batch-size", "15", "--device", "cpu")
    assert result.code == 2
    assert result.err == (
        "Error: train.batch_size must be a multiple of the 2 processes, which share each batch; "
        "it is 15\n"
    )


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({}, "RANK is not set: start them with torchrun"),
        ({"RANK": "two"}, "RANK is 'two'"),
        ({"RANK": "2"}, "RANK is 2 and WORLD_SIZE 2"),
        ({"RANK": "0"}, "MASTER_ADDR is not set"),
    ],
)
def test_processes_that_cannot_find_each_other_are_refused(given, wrong, monkeypatch):
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"WORLD_SIZE": "2", **given}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=wrong), distributed.join_team():
        pass
    assert distributed.current().world == 1


def test_a_command_that_cannot_find_the_others_ends_in_one_line(monkeypatch, refused):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    assert "RANK is not set: start them with torchrun" in refused("list")


@pytest.mark.parametrize("world", [None, "", "1"])
def test_one_process_is_one_that_is_alone(world, monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    if world is not None:
        monkeypatch.setenv("WORLD_SIZE", world)
    with distributed.join_team() as team:
        assert type(team) is distributed.Processes
        assert distributed.local_rank() is None
        assert distributed.is_first()


class Store:
    """What processes tell each other, here in one of them."""

    def __init__(self):
        self.told = {}

    def set(self, name, value):
        self.told[name] = value.encode()

    def get(self, name):
        return self.told[name]

    def check(self, names):
        return all(name in self.told for name in names)

    def compare_set(self, name, expected, value):
        return self.told.setdefault(name, value.encode())


@pytest.fixture
def ends(monkeypatch):
    """Have beats come quickly, and keep a watch from ending this process."""
    found = []
    monkeypatch.setattr(heartbeat, "BEAT", 0.01)
    monkeypatch.setattr(heartbeat, "EXIT_GRACE", 0.05)
    monkeypatch.setattr(os, "_exit", found.append)
    return found


@contextmanager
def watching(store, count_calls=lambda: 0, timeout=60.0):
    """Watch the second process of two, from the first."""
    found = heartbeat.Heartbeat(Team(0, 2), store, count_calls, timeout)
    found.start()
    try:
        yield found
    finally:
        found.stop()


def moments(seconds):
    """Yield the time that has passed, again and again until it is over."""
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        yield passed
        time.sleep(0.01)


def test_a_process_that_lives_and_does_not_come_to_an_exchange_is_named(ends, capsys):
    store, begun = Store(), [3]
    with watching(store, lambda: begun[0], timeout=0.5) as found:
        for passed in moments(1.5):  # both are as far as each other, whatever they do meanwhile
            store.set("beat/1", f"{passed} 3")
        assert found.failure is None
        begun[0] = 4
        for passed in moments(10):
            store.set("beat/1", f"-{passed} 3")
            if ends:
                break
    assert found.failure == Failure(
        1,
        "hangs: it lives, and the others have waited for it for 0.5 seconds (GANZOO_RANKS_TIMEOUT)",
    )
    assert ends == [1]
    assert capsys.readouterr().err.startswith("Error: rank 1: hangs: ")


def test_a_process_that_is_late_and_comes_is_left_alone(ends):
    store = Store()
    with watching(store, lambda: 100, timeout=1.0) as found:
        for passed in moments(2.0):
            store.set("beat/1", f"{passed} {int(10 * passed)}")
        assert found.failure is None
    assert ends == []


def test_a_process_that_is_stopped_is_one_that_is_dead(ends, capsys, monkeypatch):
    monkeypatch.setattr(heartbeat, "SILENCE", 0.2)
    store = Store()
    store.set("beat/1", "7 3")
    with watching(store):
        assert any(ends for _ in moments(10))
    assert "rank 1: ended without a word" in capsys.readouterr().err


def test_a_store_that_does_not_answer_is_lost(ends, capsys, monkeypatch):
    monkeypatch.setattr(heartbeat, "SILENCE", 0.2)
    answers = threading.Event()

    class Frozen(Store):
        def check(self, names):
            answers.wait()
            return super().check(names)

    try:
        with watching(Frozen()) as found:
            assert any(ends for _ in moments(10))
            answers.set()
    finally:
        answers.set()
    assert found.failure == LOST_STORE
    assert ends == [1]
    assert "by which the others are reached is gone" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "1e300"])
def test_a_timeout_is_a_number_of_seconds(text, monkeypatch):
    assert heartbeat.exchange_timeout() == heartbeat.TIMEOUT
    monkeypatch.setenv(heartbeat.TIMEOUT_VARIABLE, "12.5")
    assert heartbeat.exchange_timeout() == 12.5
    monkeypatch.setenv(heartbeat.TIMEOUT_VARIABLE, text)
    with pytest.raises(InputError, match=f"GANZOO_RANKS_TIMEOUT must be .*, not '{text}'"):
        heartbeat.exchange_timeout()
