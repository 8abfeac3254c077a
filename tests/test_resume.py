"""A run goes on where its data moved, and under other options that change no number."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import crash
import ganzoo
from ganzoo import resume
from ganzoo.config import RESUMABLE, TrainOptions
from ganzoo.errors import Interrupted
from ganzoo.runs.folder import Run
from ganzoo.runs.scores import read_logged_scores, read_scores
from ganzoo.storage import files
from ganzoo.training import checkpoint
from ganzoo.training.observer import Observer
from tiny import TINY, Stopper

SETTINGS = {"arch.hidden": (8,), "data.image_size": 8}
ROOT = Path(__file__).parents[1]


@pytest.fixture
def photos():
    """A folder of two classes, which may be moved."""
    rng = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        Path("here", name).mkdir(parents=True)
        for i in range(4):
            image = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            image.save(f"here/{name}/{i}.png")
    return Path("here")


def stopped(out, at=3, steps=6, data="here", **options):
    """Train until a signal stops it; return the run."""
    with pytest.raises(Interrupted):
        train(out, Stopper(at), steps=steps, data=data, **options)
    return Run(Path(out))


def train(out, observer=None, data="here", loss=None, settings=(), trackers=(), **options):
    return ganzoo.train(
        "mlp",
        loss,
        data,
        out=out,
        settings={**SETTINGS, **dict(settings)},
        observer=observer,
        trackers=trackers,
        **{**TINY, **options},
    )


def move(run):
    """Move a run and its data to another place, as to another machine; return both."""
    Path("there").mkdir()
    shutil.move("here", "there/photos")
    return Run(Path(shutil.move(run.path, "there/run"))), Path("there/photos")


@pytest.mark.parametrize("way", ["--data", "--set", "python"])
def test_a_run_whose_data_moved_ends_in_the_same_bytes(photos, ganzoo_cli, way):
    whole = crash.content(train("whole", steps=6).path)
    run, data = move(stopped("run"))
    if way == "python":
        resume(run.path, {"data": data})
    else:
        given = [f"--set=data.path={data}"] if way == "--set" else ["--data", data]
        result = ganzoo_cli("train", "--resume", run.path, *given)
        assert result.code == 0, result
    found = crash.content(run.path)
    differ = {"config.json", "model/config.json", "model/manifest.json", "model/README.md"}
    assert set(crash.difference(whole, found)) <= differ
    for name in ("config.json", "model/config.json"):
        ours, theirs = (json.loads(each[name]) for each in (whole, found))
        assert theirs["data"]["options"].pop("path") == str(data.resolve())
        ours["data"]["options"].pop("path")
        assert ours == theirs
    assert ganzoo_cli("train", "--resume", run.path, "--steps", 7).code == 0, "it is remembered"


def test_missing_data_are_answered_with_the_way_to_go_on(photos, refused):
    run, _ = move(stopped("run"))
    message = refused("train", "--resume", run.path)
    assert message == (
        f"Error: there is no folder {photos.resolve()}\n"
        f"if the data moved, continue with: ganzoo train --resume {run.path} --data WHERE"
    )


def test_missing_data_with_an_option_of_another_name_are_too(photos, refused):
    train("run", steps=1, data="domains", settings={"data.a": "here/cats", "data.b": "here/dogs"})
    shutil.move("here/dogs", "dogs")
    assert refused("train", "--resume", "run", "--steps", 2).endswith(
        "continue with: ganzoo train --resume run --set data.b=WHERE"
    )
    resume("run", {"train.steps": 2, "data.b": "dogs"})
    assert Run(Path("run")).config().data.options["b"] == str(Path("dogs").resolve())


def test_other_data_are_refused_with_what_differs(photos, refused):
    run, data = move(stopped("run"))
    before = (run.path / "config.json").read_bytes()
    Image.new("RGB", (8, 8)).save(data / "cats" / "0.png")
    message = refused("train", "--resume", run.path, "--data", data)
    assert re.fullmatch(
        r"Error: the data of there/run have changed since it was started: the 8 samples of "
        r"3 x 8 x 8 have the SHA-256 [0-9a-f]{12}, not [0-9a-f]{12}",
        message,
    )
    assert (run.path / "config.json").read_bytes() == before


def test_other_options_of_moved_data_are_refused(photos, refused):
    run, data = move(stopped("run"))
    for given, difference in (
        (("--data", data, "--image-size", "16"), "data.options.image_size: [8, 8] -> [16, 16]; "),
        (("--data", data, "--set", "data.flip=true"), "data.options.flip: False -> True; "),
        (("--data", "digits"), "data.name: folder -> digits; "),
    ):
        message = refused("train", "--resume", run.path, *given)
        assert message.startswith("Error: the run was started under other options: ")
        assert difference in message
        assert message.endswith("; train a new run")
        assert "data.options.path" not in message
    message = refused("train", "--resume", run.path, "--data", data, "--set", "data.path=here")
    assert "the path of the data is given twice" in message


def test_the_old_configuration_or_the_new_one_is_there(photos, monkeypatch):
    run, data = move(stopped("run"))
    old = (run.path / "config.json").read_bytes()
    replace, seen = os.replace, []

    def die(before, after):
        if Path(after).name == "config.json":
            seen.append(Path(after).read_bytes())
            raise KeyboardInterrupt
        replace(before, after)

    with monkeypatch.context() as patched:
        patched.setattr(files.os, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            resume(run.path, {"data": str(data)})
    assert seen == [old]
    assert (run.path / "config.json").read_bytes() == old
    assert resume(run.path, {"data": str(data)}).config().train.steps == 6


# Options that change no number ------------------------------------------------------------------

OTHER = {
    "steps": 7,
    "device": "auto",
    "log_every": 1,
    "sample_every": 3,
    "checkpoint_every": 5,
    "eval_every": 2,
    "eval_metric": ("kid",),
    "eval_samples": 20,
    "eval_features": "mnist-cnn",
    "memorisation_below": 0,
}


def test_every_option_that_may_change_is_tried_here_and_named_in_the_docs():
    marked = [
        name
        for name, field in TrainOptions.model_fields.items()
        if field.json_schema_extra == RESUMABLE
    ]
    assert marked == list(OTHER)
    page = (ROOT / "docs" / "how-to" / "resume.md").read_text()
    assert [name for name in marked if f"`train.{name}`" not in page] == []


def tensors(run, step):
    folder = run.checkpoints / f"{step:08d}"
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


@pytest.mark.parametrize("name", OTHER)
def test_an_option_that_may_change_leaves_the_numbers(photos, name):
    steps = OTHER["steps"]
    whole = train("whole", data="digits", steps=steps)
    before = [] if name == "steps" else {"steps": steps}
    run = stopped("run", data="digits", **dict(before))
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    resume(run.path, {f"train.{name}": OTHER[name]})
    assert getattr(run.config().train, name) == OTHER[name]
    assert tensors(run, steps) == tensors(whole, steps)
    assert (run.path / "metrics.jsonl").read_text().splitlines()[: len(lines)] == lines
    assert (run.model / "model.safetensors").read_bytes() == (
        whole.model / "model.safetensors"
    ).read_bytes()


def test_changed_intervals_hold_from_then_on(ganzoo_cli):
    run = stopped("run", at=4, steps=12, data="digits", checkpoint_every=3)
    given = ["--sample-every", 5, "--checkpoint-every", 5, "--eval-every", 6]
    result = ganzoo_cli("train", "--resume", "run", *given, "--set", "train.log_every=3")
    assert result.code == 0, result
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6, 9, 12]
    assert set(run.pictures()) == {0, 2, 4, 5, 6, 10, 12}
    assert checkpoint.steps(run.checkpoints) == [5, 10, 12]
    assert {row.step for row in read_logged_scores(run.score_log)} == {6, 12}


class Remembering(Observer):
    """Remembers the warnings, and stops the run after a step if asked to."""

    def __init__(self, at=0):
        self.warnings = []
        self.stopper = Stopper(at)

    def on_warning(self, message):
        self.warnings.append(message)

    def on_step(self, step):
        self.stopper.on_step(step)


@pytest.fixture
def diverging(plugin):
    """A loss that is not finite once, in its eighth step."""
    code = f"{crash.DIVERGING}\nSTEP = 7\n"
    plugin("ganzoo-once", code, {"ganzoo.losses": {"once": "ganzoo_once:Diverging"}})


@pytest.mark.parametrize(("every", "base"), [(100, 5), (2, 6)])
def test_where_a_run_goes_back_to_is_known_after_a_change_of_the_interval(
    diverging, tmp_path, every, base
):
    """It is the checkpoint of the change, or a later one of the new interval."""
    options = {"data": "digits", "loss": "once", "log_every": 4, "checkpoint_every": 4}
    found = []
    for name, halts in (("plain", []), ("often", [6, 7])):
        folder = tmp_path / name
        folder.mkdir()
        run = stopped(folder / "run", at=5, steps=12, **options)
        assert run.config().regular_until == 0
        change = {"train.checkpoint_every": every}
        for halt in halts:
            with pytest.raises(Interrupted):
                resume(run.path, change, Remembering(halt))
            change = {}
        observer = Remembering()
        resume(run.path, change, observer)
        assert run.config().regular_until == 5
        (message,) = observer.warnings
        assert f"going back to step {base}, " in message
        found.append(crash.content(run.path))
    assert crash.difference(*found) == []


def test_configurations_without_a_change_are_as_before():
    run = train("run", data="digits", steps=1)
    for path in (run.path, run.model):
        assert "regular_until" not in json.loads((path / "config.json").read_text())


def test_a_best_that_was_judged_otherwise_gives_way():
    run = train("run", data="digits", eval_every=2, eval_samples=50)
    assert [row.metric for row in read_scores(run.best)] == ["fid[digits-cnn]"]
    resume(run.path, {"train.steps": 6, "train.eval_metric": ("kid",)})
    (best,) = read_scores(run.best)
    assert (best.metric.partition("[")[0], best.step) == ("kid", 6)
    resume(run.path, {"train.steps": 8, "train.eval_samples": 40})
    (best,) = read_scores(run.best)
    assert (best.fake_samples, best.step) == (40, 8)


def test_trackers_may_change(ganzoo_cli, refused):
    run = train("run", data="digits", steps=2)
    again = ["train", "--resume", "run"]
    seconds = "tracker.tensorboard.flush_seconds"
    result = ganzoo_cli(*again, "--steps", 3, "--tracker", "tensorboard", "--set", f"{seconds}=5")
    assert result.code == 0, result
    (tracker,) = run.config().trackers
    assert (tracker.name, tracker.options["flush_seconds"]) == ("tensorboard", 5)
    assert len(list((run.path / "tensorboard").iterdir())) == 1
    resume(run.path, {"train.steps": 4, seconds: 6})
    assert run.config().trackers[0].options["flush_seconds"] == 6
    resume(run.path, {"train.steps": 5}, trackers=())
    assert run.config().trackers == ()
    assert "no tracker is called" in refused(*again, "--tracker", "tensorbord")
    assert "is an option of no tracker of this run" in refused(*again, "--set", f"{seconds}=7")
