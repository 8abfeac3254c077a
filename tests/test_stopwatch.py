"""The time of a training: kept over interruptions, retries and forks, and without its scoring."""

import json
import shutil

import pytest

import crash
import ganzoo
from ganzoo import resume
from ganzoo.errors import Interrupted
from ganzoo.runs.machines import MACHINES_FILE
from ganzoo.runs.scores import MEASURED, read_logged_scores
from ganzoo.training import checkpoint, snapshots, stopwatch
from ganzoo.training.observer import Observer
from ganzoo.training.stopwatch import TIME_FILE, TrainingTime
from tiny import TINY, Stopper

SETTINGS = {"arch.hidden": (8,), "data.image_size": 8, "train.eval_samples": 20}
STEP, SCORING = 10.0, 500.0
"""Seconds that a step and a score take here; processors take twice as long."""


class Clock(Observer):
    """Stands for the clocks: a step takes its time, and so does a score."""

    def __init__(self, monkeypatch, stop=None):
        self.now = 0.0
        self.stop = stop
        monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(stopwatch.time, "process_time", lambda: 2 * self.now)
        original = snapshots.Snapshots.score

        def score(judge, *given):
            self.now += SCORING
            return original(judge, *given)

        monkeypatch.setattr(snapshots.Snapshots, "score", score)

    def on_step(self, step):
        self.now += STEP
        if self.stop is not None:
            self.stop.on_step(step)

    def on_warning(self, message):
        pass


@pytest.fixture
def clock(monkeypatch):
    with monkeypatch.context() as patched:
        yield lambda stop=None: Clock(patched, stop)


def train(out, observer, loss=None, **options):
    return ganzoo.train(
        "mlp", loss, "digits", out=out, settings=SETTINGS, observer=observer, **{**TINY, **options}
    )


def times(run):
    rows = read_logged_scores(run.score_log)
    return [(row.step, row.images_seen, row.seconds, row.processor_seconds) for row in rows]


def expected(*steps, lost=0):
    """What the scores of these steps hold, after steps that were given up."""
    return [(step, 8 * step, (step + lost) * STEP, 2 * (step + lost) * STEP) for step in steps]


def test_scores_say_what_their_training_took(tmp_path, clock):
    run = train(tmp_path / "run", clock(), eval_every=2, steps=5)
    assert times(run) == expected(2, 4, 5)


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_time_goes_on_where_a_run_was_stopped(tmp_path, clock, at):
    with pytest.raises(Interrupted):
        train(tmp_path / "run", clock(Stopper(at)), eval_every=2, steps=6)
    run = resume(tmp_path / "run", observer=clock())
    assert times(run) == expected(2, 4, 6)


def test_what_is_done_again_after_a_kill_counts_once(tmp_path, clock):
    run = train(tmp_path / "run", clock(), eval_every=2, steps=6, checkpoint_every=4)
    shutil.rmtree(run.checkpoints / "00000006")
    assert times(resume(run.path, observer=clock())) == expected(2, 4, 6)


def test_what_a_run_gave_up_counts(tmp_path, plugin, clock):
    plugin("ganzoo-once", crash.DIVERGING, {"ganzoo.losses": {"once": "ganzoo_once:Diverging"}})
    options = {"steps": 8, "log_every": 1, "checkpoint_every": 4, "eval_every": 2}
    run = train(tmp_path / "run", clock(), "once", **options)
    # It found at step 8 that it had diverged, and went back to step 4.
    assert times(run) == [*expected(2, 4), *expected(6, 8, lost=4)]


def test_a_fork_has_the_time_of_the_run_before(tmp_path, clock):
    train(tmp_path / "parent", clock())
    options = {"fork": tmp_path / "parent", "steps": 8, "eval_every": 2}
    with pytest.raises(Interrupted):
        ganzoo.train(
            out=tmp_path / "child", observer=clock(Stopper(5)), settings=SETTINGS, **options
        )
    shutil.rmtree(tmp_path / "parent")
    assert times(resume(tmp_path / "child", observer=clock())) == expected(6, 8)


@pytest.mark.parametrize(
    "content", [None, "{}", '{"seconds": -1, "processor_seconds": 1}', "[", '{"seconds": "a"}']
)
def test_a_time_that_is_not_known_stays_unknown(tmp_path, clock, content):
    run = train(tmp_path / "run", clock())
    for step in checkpoint.steps(run.checkpoints):
        file = run.checkpoints / f"{step:08d}" / TIME_FILE
        assert json.loads(file.read_text()) == {
            "seconds": 10 * step,
            "processor_seconds": 20 * step,
        }
        file.unlink()
        if content is not None:
            file.write_text(content)
    resume(run.path, {"train.steps": 8, "train.eval_every": 2}, observer=clock())
    assert times(run) == [(6, 48, None, None), (8, 64, None, None)]
    assert (
        not {"seconds", "processor_seconds"}
        & json.loads(run.score_log.read_text().splitlines()[0]).keys()
    )
    assert TrainingTime.read(run.checkpoints / "00000008") is None


def test_only_what_is_measured_differs_between_equal_runs(tmp_path):
    """What the page of promises exempts, and nothing else."""
    one, other = (
        train(tmp_path / name / "run", None, eval_every=2, steps=4).path for name in ("a", "b")
    )
    for path in sorted(one.rglob("*")):
        name = path.relative_to(one)
        if path.is_dir() or path.name in (".lock", TIME_FILE, MACHINES_FILE):
            continue
        mine, theirs = path.read_bytes(), (other / name).read_bytes()
        if path.suffix == ".jsonl":
            assert crash.unmeasured(path) == crash.unmeasured(other / name)
        elif path.suffix != ".md":
            assert mine == theirs, name
    assert {"seconds", "processor_seconds"} < set(MEASURED)
    assert all(
        row.seconds > 0 < row.processor_seconds for row in read_logged_scores(one / "scores.jsonl")
    )
