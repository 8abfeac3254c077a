"""``ganzoo list runs``: every run of a folder with its state, without locking or changing it."""

import json
import os
import shutil
import time

import pytest

import ganzoo
from ganzoo.runs.state import SILENCE_SECONDS
from tiny import TINY, Stopper

SETTINGS = {"arch.hidden": (4,), "data.image_size": 8}


def train(out, **options):
    return ganzoo.train("mlp", out=out, settings=SETTINGS, **{**TINY, **options})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run that finished, with scores, and one that was stopped."""
    folder = tmp_path_factory.mktemp("made")
    train(folder / "done", eval_every=2, eval_samples=20)
    with pytest.raises(ganzoo.errors.Interrupted):
        train(folder / "half", steps=9, checkpoint_every=5, observer=Stopper(3))
    return folder


@pytest.fixture
def runs(made, tmp_path):
    return shutil.copytree(made, tmp_path / "runs")


@pytest.fixture
def listed(ganzoo_cli):
    """List runs, and return what was printed about each, by name."""

    def run(*folder):
        result = ganzoo_cli("list", "runs", *folder, "--json")
        assert (result.code, result.err) == (0, "")
        return {row["run"].rpartition("/")[2]: row for row in json.loads(result.out)}

    return run


def age(folder, seconds):
    """Make a folder look as if nothing was written to it for some time."""
    then = time.time() - seconds
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (then, then))


def test_what_a_finished_run_is(runs, listed):
    found = listed()["done"]
    assert found["state"] == "finished"
    assert (found["architecture"], found["loss"], found["data"]) == (
        *("mlp", "non-saturating", "digits"),
    )
    assert (found["step"], found["steps"]) == (4, 4)
    best = json.loads((runs / "done" / "best" / "scores.json").read_text())[0]
    assert found["score"] == {
        key: best[key] for key in ("metric", "value", "higher_is_better", "step")
    }
    assert found["started"].startswith(time.strftime("%Y-"))


def test_a_stopped_run_and_how_to_continue_it(runs, listed, ganzoo_cli):
    half = listed()["half"]
    assert (half["state"], half["step"], half["steps"]) == ("stopped", 3, 9)
    result = ganzoo_cli("list", "runs")
    assert result.err == "to continue a stopped run: ganzoo train --resume runs/half\n"
    lines = result.out.splitlines()
    assert lines[0].split() == ["started", "run", "steps", "score", "state"]
    assert len(lines) == 3
    done = next(line for line in lines if " done " in line)
    assert " done (mlp, non-saturating, digits)  4/4 " in done
    assert "fid[digits-cnn]" in done


def test_a_run_that_was_killed_is_running_until_it_is_silent(runs, listed):
    shutil.rmtree(runs / "done" / "model")
    age(runs / "done", 1)
    assert listed()["done"]["state"] == "running"
    age(runs / "done", SILENCE_SECONDS + 60)
    assert listed()["done"]["state"] == "stopped"


def test_the_newest_run_is_first(runs, ganzoo_cli):
    age(runs / "half", 1e6)
    shown = ganzoo_cli("list", "runs").out.splitlines()[1:]
    assert [line.split()[3] for line in shown] == ["done", "half"]
    age(runs / "done", 2e6)
    shown = ganzoo_cli("list", "runs").out.splitlines()[1:]
    assert [line.split()[3] for line in shown] == ["half", "done"]


def test_a_run_that_diverged_says_so_until_it_is_resumed(runs, listed, tmp_path, monkeypatch):
    from ganzoo.training.loop import _TrainingLoop

    read = _TrainingLoop._read_metrics

    def fail(self, terms):
        row = read(self, terms)
        if self.state.step == 4:
            raise ganzoo.errors.Diverged("training diverged by step 4: a test")
        return row

    options = {"steps": 6, "checkpoint_every": 3, "log_every": 1, "retry_lr": 0.0}
    with monkeypatch.context() as patched:
        patched.setattr(_TrainingLoop, "_read_metrics", fail)
        with pytest.raises(ganzoo.errors.Diverged):
            train(runs / "blown", **options)
    assert (listed()["blown"]["state"], listed()["blown"]["step"]) == ("diverged", 3)
    ganzoo.resume(runs / "blown")
    assert listed()["blown"]["state"] == "finished"
    assert "diverged" not in (runs / "blown" / "metrics.jsonl").read_text()


DAMAGES = {
    "no JSON": lambda run: (run / "config.json").write_text("{"),
    "another format": lambda run: (run / "config.json").write_text('{"format": 9}'),
    "a pipe": lambda run: ((run / "config.json").unlink(), os.mkfifo(run / "config.json")),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_run_is_broken_and_hides_no_other(runs, listed, ganzoo_cli, name):
    DAMAGES[name](runs / "half")
    found = listed()
    assert found["done"]["state"] == "finished"
    if name == "a pipe":  # which is no run
        assert "half" not in found
        return
    assert found["half"]["state"] == "broken"
    assert found["half"]["problem"].startswith("runs/half/config.json")
    assert "broken: runs/half/config.json" in ganzoo_cli("list", "runs").err


def test_damaged_metrics_and_scores_are_survived(runs, listed):
    for file in ("metrics.jsonl", "scores.jsonl", "best/scores.json", "model/scores.json"):
        (runs / "done" / file).write_bytes(b'{"step": 1e999}\n[\n{"step": -1}\n\xff\n{"metric"')
    (runs / "done" / "checkpoints" / "99999999999999999999").mkdir()
    found = listed()["done"]
    assert found["score"] is None
    assert found["step"] == 4, "of the newest checkpoint"
    (runs / "done" / "metrics.jsonl").unlink()
    os.mkfifo(runs / "done" / "metrics.jsonl")
    assert listed()["done"]["state"] == "broken"


def test_only_the_end_of_long_metrics_is_read(runs, listed, monkeypatch):
    line = json.dumps({"step": 1, "images_seen": 1, "pad": "x" * 500}) + "\n"
    whole = (runs / "done" / "metrics.jsonl").read_text()
    (runs / "done" / "metrics.jsonl").write_text(line * 20_000 + whole)
    began = time.perf_counter()
    assert listed()["done"]["state"] == "finished"
    assert time.perf_counter() - began < 1


def test_looking_changes_nothing_and_takes_no_lock(runs, listed):
    def content():
        return {
            path: (path.stat().st_mtime_ns, path.stat().st_size, path.is_dir())
            for path in [runs, *runs.rglob("*")]
        }

    before = content()
    from ganzoo.runs.folder import Run

    with Run(runs / "half").lock():  # as a training has it
        during = content()
        assert set(listed()) == {"done", "half"}
        assert content() == during
    assert before.keys() <= during.keys()


def test_another_folder_a_single_run_and_none_at_all(runs, listed, ganzoo_cli, refused):
    runs.rename("elsewhere")
    assert set(listed("elsewhere")) == {"done", "half"}
    assert set(listed("elsewhere/done")) == {"done"}
    result = ganzoo_cli("list", "runs")
    assert (result.code, result.out) == (0, "")
    assert result.err.startswith("there is no run in runs; ")
    assert listed() == {}
    assert refused("list", "runs", "nowhere") == "Error: there is no folder nowhere"
    assert "drop elsewhere" in refused("list", "losses", "elsewhere")
    assert "--check imports components" in refused("list", "runs", "--check")


@pytest.mark.parametrize("room", [70, 80, 140])
def test_the_table_fits_the_terminal(runs, ganzoo_cli, monkeypatch, room):
    shutil.copytree(runs / "done", runs / f"a-run-with-a-name-of-its-own-{'x' * 40}")
    shutil.copytree(runs / "half", runs / "mlp-non-saturating-digits-20261121-101500")
    monkeypatch.setattr("ganzoo.cli.common.find_room", lambda: room)
    shown = ganzoo_cli("list", "runs").out.splitlines()
    assert max(map(len, shown)) <= room
    assert sum("4/4" in line and "finished" in line for line in shown) == 2


def test_many_runs_are_listed_quickly_and_without_torch(runs, tmp_path):
    import subprocess
    import sys

    for i in range(200):
        shutil.copytree(runs / "half", tmp_path / "many" / f"{i}", copy_function=os.link)
    code = (
        "import sys, time; from ganzoo.cli import main; began = time.process_time()\n"
        "assert main(['list', 'runs', 'many']) == 0\n"
        "assert 'torch' not in sys.modules; print(time.process_time() - began, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert len(done.stdout.splitlines()) == 201
    assert float(done.stderr.splitlines()[-1]) < 2
