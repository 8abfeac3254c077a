"""Snapshots of a training: judged on the way, the best kept beside the last, nothing disturbed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

import crash
import ganzoo
from ganzoo.api.training import resume, start
from ganzoo.errors import GanzooError, InputError, Interrupted
from ganzoo.evaluation.judge import Judge
from ganzoo.resolve import resolve
from ganzoo.runs.scores import read_logged_scores, read_scores
from ganzoo.storage.files import sha256
from ganzoo.training import checkpoint, health
from ganzoo.training.observer import Observer
from tiny import TINY, Stopper

SMALL = {
    "train.recipe": "paper",
    "arch.hidden": (8,),
    "data.image_size": 8,
    "train.eval_metric": ("fid",),
    "train.eval_samples": 100,
}


def train(tmp_path, name="run", observer=None, settings=None, **options):
    return ganzoo.train(
        "mlp",
        data="digits",
        out=tmp_path / name,
        settings={**SMALL, **(settings or {})},
        observer=observer,
        **{**TINY, **options},
    )


class Watcher(Observer):
    def __init__(self):
        self.rows, self.messages = [], []

    def on_scores(self, rows):
        self.rows.append(rows)

    def on_warning(self, message):
        self.messages.append(message)


def test_none_are_judged_unless_asked_for(tmp_path):
    run = train(tmp_path)
    assert not run.score_log.exists()
    assert not run.best.exists()


def test_snapshots_are_judged_every_so_many_steps_and_at_the_end(tmp_path):
    watcher = Watcher()
    run = train(tmp_path, observer=watcher, eval_every=2, steps=5)
    rows = read_logged_scores(run.score_log)
    assert [row.step for row in rows] == [2, 4, 5]
    assert [row for rows in watcher.rows for row in rows] == rows
    assert {(row.metric, row.fake_samples, row.real_samples) for row in rows} == {
        ("fid[digits-cnn]", 100, 100)
    }
    assert not [message for message in watcher.messages if "judged" in message]


def test_the_last_score_is_what_eval_finds(tmp_path):
    run = train(tmp_path, eval_every=2)
    (found,) = ganzoo.evaluate(run, ["fid"], samples=100, real_samples=100)
    logged = read_logged_scores(run.score_log)[1]
    assert found == logged.without_time()
    assert found.key == logged.key


def test_another_network_may_judge(tmp_path):
    run = train(tmp_path, eval_every=4, eval_features="mnist-cnn")
    (logged,) = read_logged_scores(run.score_log)
    assert logged.metric == "fid[mnist-cnn]"
    (found,) = ganzoo.evaluate(run, ["fid"], samples=100, real_samples=100, features="mnist-cnn")
    assert found == logged.without_time()
    resume(run.path, {"train.steps": 6, "train.eval_features": "digits-cnn"})
    rows = read_logged_scores(run.score_log)
    assert [(row.step, row.metric) for row in rows[-1:]] == [(6, "fid[digits-cnn]")]
    assert [row.metric for row in read_scores(run.best)] == ["fid[digits-cnn]"]


def test_the_best_is_a_model_of_its_own(tmp_path, ganzoo_cli):
    run = train(tmp_path, eval_every=1, steps=6)
    rows = read_logged_scores(run.score_log)
    (best,) = read_scores(run.best)
    assert best == min(rows, key=lambda row: row.value).without_time()
    model = ganzoo.load(run.best)
    assert model.config.step == best.step
    (found,) = ganzoo.evaluate(run.best, ["fid"], samples=100, real_samples=100)
    assert found.value == best.value
    assert read_logged_scores(run.score_log)[-1] == found, "remembered by the run"
    assert ganzoo_cli("sample", run.best, "-n", 2, "--out", "x.png").code == 0


def test_judging_does_not_change_the_training(tmp_path):
    plain, judged = train(tmp_path, "plain"), train(tmp_path, "judged", eval_every=1)
    for name in ("model.safetensors", "discriminator.safetensors"):
        assert sha256(plain.model / name) == sha256(judged.model / name)
    a, b = ((run.path / "metrics.jsonl").read_text().splitlines() for run in (plain, judged))
    for one, other in zip(a, b, strict=True):
        one, other = json.loads(one), json.loads(other)
        one.pop("images_per_second"), other.pop("images_per_second")
        assert one == other


def untimed(run):
    return [row.without_time() for row in read_logged_scores(run.score_log)]


def content(run):
    kept = [*sorted(run.best.iterdir()), *sorted(run.samples.iterdir())]
    return {path.name: path.read_bytes() for path in kept if path.name != "README.md"}


@pytest.mark.parametrize("at", [1, 2, 3, 5])
def test_a_resumed_run_has_the_same_scores_and_the_same_best(tmp_path, at):
    whole = train(tmp_path, "whole", eval_every=1, steps=6)
    with pytest.raises(Interrupted):
        train(tmp_path, "stopped", observer=Stopper(at), eval_every=1, steps=6)
    stopped = resume(tmp_path / "stopped")
    assert content(stopped).keys() == content(whole).keys()
    assert untimed(stopped) == untimed(whole)
    for name in ("scores.json", "model.safetensors", "discriminator.safetensors"):
        assert (stopped.best / name).read_bytes() == (whole.best / name).read_bytes()


def test_what_was_judged_after_the_checkpoint_is_judged_again_and_stands_once(tmp_path):
    run = train(tmp_path, eval_every=1, steps=5)
    before = untimed(run)
    # As if it had been killed between the last score and the last checkpoint.

    for step in checkpoint.steps(run.checkpoints):
        if step > 4:
            shutil.rmtree(run.checkpoints / f"{step:08d}")
    resume(run.path)
    assert untimed(run) == before


class Killed(BaseException):
    """Ends a process at once."""


class Killer(Observer):
    """Ends a run after its scores of a step are written."""

    def __init__(self, step):
        self.step = step

    def on_scores(self, rows):
        if rows[0].step == self.step:
            raise Killed


@pytest.mark.parametrize("at", [3, 6])
def test_a_run_killed_after_a_score_between_pictures_ends_the_same(tmp_path, monkeypatch, at):
    monkeypatch.setattr(health, "EARLY_STEPS", 3)
    monkeypatch.setattr(health, "COLLAPSED_SPREAD", 1e6)
    options = {"steps": 8, "eval_every": 3, "sample_every": 100, "checkpoint_every": 5}
    settings = {**SMALL, **{f"train.{k}": v for k, v in {**TINY, **options}.items()}}
    settings["tracker.report.neighbours"] = 0
    config = resolve("mlp", data="digits", settings=settings, trackers=["report"])
    whole = start(config, tmp_path / "a" / "run")
    with pytest.raises(Killed):
        start(config, tmp_path / "b" / "run", observer=Killer(at))
    stopped = resume(tmp_path / "b" / "run")
    assert crash.difference(crash.content(whole.path), crash.content(stopped.path)) == []
    assert list(whole.pictures()) == [0, 3, 6, 8]
    lines = (whole.path / "metrics.jsonl").read_text().splitlines()
    assert [row["step"] for row in map(json.loads, lines) if "warning" in row] == [3]


def test_what_the_best_holds_is_on_the_disk_before_it_appears(tmp_path, monkeypatch):
    flushed, real = [], os.fsync

    def fsync(handle):
        flushed.append(os.fstat(handle).st_ino)
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    run = train(tmp_path, eval_every=2)
    assert [path.name for path in run.best.iterdir() if path.stat().st_ino not in flushed] == []


def test_metrics_of_points_rank_by_every_number(tmp_path):
    run = ganzoo.train(
        "mlp",
        data="ring",
        out=tmp_path / "ring",
        settings={"arch.hidden": (8,), "data.samples": 500, "train.eval_metric": ("modes",)},
        **TINY,
        eval_every=1,
    )
    rows = read_logged_scores(run.score_log)
    assert [(row.step, row.metric) for row in rows[:2]] == [(1, "modes"), (1, "high-quality")]
    best = read_scores(run.best)
    pairs = [(rows[i].value, rows[i + 1].value) for i in range(0, len(rows), 2)]
    assert (best[0].value, best[1].value) == max(pairs)
    # Of equal ones the first stays.
    assert best[0].step == 1 + pairs.index(max(pairs))


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        ("digits", {"train.eval_metric": "fud"}, "did you mean 'fid'"),
        ("digits", {"train.eval_metric": "fid,modus"}, "modus"),
        ("gaussian", {"train.eval_metric": "fid"}, "'fid' cannot judge samples of 2"),
        ("digits", {"train.eval_samples": 0}, "train.eval_samples"),
        ("digits", {"train.eval_features": "mnist-cn"}, "did you mean 'mnist-cnn'"),
        ("ring", {"train.eval_features": "mnist-cnn"}, "no feature extractor is used by modes"),
        ("digits", {"train.eval_every": -1}, "train.eval_every"),
    ],
)
def test_what_cannot_be_judged_is_refused_before_a_folder_appears(
    tmp_path, data, settings, message
):
    with pytest.raises(InputError, match=message):
        ganzoo.train(
            "mlp", data=data, out=tmp_path / "run", settings={"train.eval_every": 1, **settings}
        )
    assert not (tmp_path / "run").exists()


def test_missing_weights_are_missed_before_a_folder_appears(tmp_path, monkeypatch):
    def fetch(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    from PIL import Image

    (tmp_path / "photos").mkdir()
    for i in range(4):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / "photos" / f"{i}.png")
    with pytest.raises(GanzooError, match="--features-weights"):
        ganzoo.train(
            "mlp",
            data=str(tmp_path / "photos"),
            out=tmp_path / "run",
            settings={"train.eval_metric": "fid"},
            **{**TINY, "eval_every": 1},
        )
    assert not (tmp_path / "run").exists()


def test_a_metric_that_fails_is_said_and_the_training_goes_on(tmp_path, monkeypatch):
    watcher = Watcher()

    def fail(*args, **kwargs):
        raise ZeroDivisionError("of a metric")

    monkeypatch.setattr(Judge, "judge", fail)
    run = train(tmp_path, observer=watcher, eval_every=2)
    assert ganzoo.load(run).config.step == 4
    assert [message for message in watcher.messages if "judged" in message] == [
        f"the snapshot of step {step} cannot be judged: of a metric" for step in (2, 4)
    ]


def test_trackers_receive_the_scores(tmp_path, plugin):
    plugin(
        "ganzoo-watching",
        "from ganzoo import TrackedRun, Tracker\n"
        "class Watching(Tracker):\n"
        "    '''Writes what it is given.'''\n"
        "    def start(self, folder, config, step):\n"
        "        return Run(folder)\n"
        "class Run(TrackedRun):\n"
        "    def __init__(self, folder):\n"
        "        self.folder = folder\n"
        "    def metrics(self, row):\n"
        "        with (self.folder / 'seen').open('a') as file:\n"
        "            print(sorted(row), file=file)\n",
        {"ganzoo.trackers": {"watching": "ganzoo_watching:Watching"}},
    )
    config = resolve(
        "mlp",
        data="digits",
        settings={**SMALL, **{f"train.{k}": v for k, v in TINY.items()}, "train.eval_every": 4},
        trackers=["watching"],
    )
    run = start(config, tmp_path / "run")
    assert "['score/fid[digits-cnn]', 'step']" in (run.path / "seen").read_text()


def test_the_command_reports_both_the_last_and_the_best(ganzoo_cli):
    small = [f"--set={key}={value}" for key, value in SMALL.items() if key.startswith("data")]
    command = ["train", "mlp", "--steps", 3, "--eval-every", 1, "--out", "run", *small]
    command += ["--set=arch.hidden=8", "--set=train.eval_samples=50"]
    result = ganzoo_cli(*command, "--set=train.eval_metric=fid")
    assert result.code == 0, result
    lines = result.err.splitlines()
    assert [line.split()[1] for line in lines if "fid[digits-cnn]" in line][:3] == [
        "1/3",
        "2/3",
        "3/3",
    ]
    (last,) = [line for line in lines if line.startswith("last ")]
    (best,) = [line for line in lines if line.startswith("best ")]
    assert "at step 3 (run/model)" in last
    assert "(run/best)" in best


def test_json_says_what_the_last_and_the_best_took(ganzoo_cli):
    settings = [f"--set={key}={value}" for key, value in SMALL.items() if key.startswith("data")]
    command = ["train", "mlp", "--steps=3", "--eval-every=1", "--out=run", "--json", *settings]
    result = ganzoo_cli(*command, "--set=arch.hidden=8", "--set=train.eval_samples=50")
    assert result.code == 0, result
    found = json.loads(result.out)["scores"]
    rows = [json.loads(line) for line in Path("run/scores.jsonl").read_text().splitlines()]
    for word in ("last", "best"):
        assert found[word]
        for row in found[word]:
            assert row in rows
            assert min(row["images_seen"], row["seconds"], row["processor_seconds"]) > 0
    assert "seconds" not in Path("run/best/scores.json").read_text()
