"""What follows a run: every line and picture reaches it, and no failure of it ends the run."""

import importlib.util
import io
import json
import shutil
import time

import pytest
import torch
from PIL import Image

import ganzoo
from ganzoo.api.training import resume
from ganzoo.errors import InputError, Interrupted
from ganzoo.protocols.tracker import TrackedRun, Tracker
from ganzoo.training.observer import Observer
from ganzoo.training.tracking import JsonLines, TrackerGroup
from tiny import TINY, Stopper

SMALL = {"train.recipe": "paper", "arch.hidden": (8,), "data.image_size": 8}
ROW = {"step": 1, "generator/adversarial": 0.5}


def train_to(path, trackers=(), settings=None, observer=None, **options):
    return ganzoo.train(
        "mlp",
        "non-saturating",
        "digits",
        out=path,
        settings={**SMALL, **(settings or {})},
        trackers=trackers,
        observer=observer,
        **{**TINY, **options},
    )


# The file that every run has ------------------------------------------------------------------


def lines(folder):
    return (folder / "metrics.jsonl").read_text().splitlines()


def test_metrics_are_lines_of_json(tmp_path):
    run = JsonLines().start(tmp_path, {}, 0)
    run.metrics({"step": 1, "loss": 0.5})
    run.picture(1, torch.zeros(1, 2, 2, dtype=torch.uint8))
    run.metrics({"step": 2, "loss": 0.25})
    run.close()
    assert [json.loads(line) for line in lines(tmp_path)] == [
        {"step": 1, "loss": 0.5},
        {"step": 2, "loss": 0.25},
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


@pytest.mark.parametrize("end", ["", '{"step": 3, "lo', '{"step": 3, "loss": 0.1}', "\n", "17\n"])
def test_what_came_after_the_step_is_cut_and_a_torn_line_too(tmp_path, end):
    whole = '{"step": 1}\n{"step": 2}\n'
    (tmp_path / "metrics.jsonl").write_text(whole + '{"step": 3}\n' + end)
    run = JsonLines().start(tmp_path, {}, 2)
    assert (tmp_path / "metrics.jsonl").read_text() == whole
    run.metrics({"step": 3})
    assert [json.loads(line)["step"] for line in lines(tmp_path)] == [1, 2, 3]


def test_a_file_that_ends_at_the_step_is_left_as_it_is(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 1}\n{"step": 2}\n')
    before = file.stat().st_mtime_ns
    JsonLines().start(tmp_path, {}, 2)
    assert file.stat().st_mtime_ns == before


# Everything that follows a run ----------------------------------------------------------------


class Noting(Tracker, TrackedRun):
    """Notes what comes, and fails where it is told to."""

    fails_at: str = ""
    received: list = []

    def start(self, folder, config, step):
        self.note("start", folder, config, step)
        return self

    def metrics(self, row):
        self.note("metrics", row)

    def picture(self, step, picture):
        self.note("picture", step, picture)

    def close(self):
        self.note("close")

    def note(self, what, *given):
        if what == self.fails_at:
            raise OSError(f"{what} failed\nfor some reason")
        self.received.append((what, *given))


def follow(folder, trackers):
    warnings = []
    followers = TrackerGroup(warnings.append)
    followers.start(trackers, folder, {"train": {"steps": 2}}, 0)
    for step in (1, 2):
        followers.metrics({"step": step})
        followers.picture(step, torch.zeros(1, 2, 2, dtype=torch.uint8))
    followers.close()
    return warnings


def test_everything_reaches_every_tracker(tmp_path):
    one, other = Noting(received=[]), Noting(received=[])
    assert follow(tmp_path, {"one": one, "other": other}) == []
    for tracker in (one, other):
        assert [what for what, *_ in tracker.received] == [
            *("start", "metrics", "picture", "metrics", "picture", "close")
        ]
        assert tracker.received[0] == ("start", tmp_path, {"train": {"steps": 2}}, 0)
        assert tracker.received[3] == ("metrics", {"step": 2})
    assert len(lines(tmp_path)) == 2


@pytest.mark.parametrize("fails_at", ["start", "metrics", "picture", "close"])
def test_one_that_fails_is_named_once_and_left_out(tmp_path, fails_at):
    broken, sound = Noting(fails_at=fails_at, received=[]), Noting(received=[])
    assert follow(tmp_path, {"broken": broken, "sound": sound}) == [
        f"tracker 'broken' failed and is dropped: {fails_at} failed"
    ]
    received = [what for what, *_ in broken.received]
    whole = ["start", "metrics", "picture", "metrics", "picture", "close"]
    assert received == whole[: whole.index(fails_at)]
    assert [what for what, *_ in sound.received] == whole
    assert len(lines(tmp_path)) == 2


def test_a_tracker_that_changes_a_line_changes_it_for_nobody_else(tmp_path):
    class Popping(Noting):
        """Takes the step out."""

        def metrics(self, row):
            row.pop("step")

    sound = Noting(received=[])
    assert follow(tmp_path, {"popping": Popping(received=[]), "sound": sound}) == []
    assert ("metrics", {"step": 1}) in sound.received


def test_nothing_is_closed_that_never_started(tmp_path):
    followers = TrackerGroup(pytest.fail)
    followers.close()
    assert list(tmp_path.iterdir()) == []


FAILING = """
from ganzoo import TrackedRun, Tracker

class Failing(Tracker, TrackedRun):
    "Fails at the first line."
    def start(self, folder, config, step):
        return self
    def metrics(self, row):
        raise ConnectionError("the server is away")
    def close(self):
        raise ConnectionError("the server is away still")
"""


def test_a_run_goes_on_without_a_tracker_that_fails(tmp_path, plugin):
    plugin("ganzoo-failing", FAILING, {"ganzoo.trackers": {"failing": "ganzoo_failing:Failing"}})
    warnings, observer = [], Observer()
    observer.on_warning = warnings.append
    run = train_to(tmp_path / "run", ["failing"], observer=observer)
    assert warnings == [
        "tracker 'failing' failed and is dropped: the server is away",
    ]
    assert [json.loads(line)["step"] for line in lines(run.path)] == [2, 4]
    assert ganzoo.load(run).config.step == 4


CLOSING = """
from ganzoo import TrackedRun, Tracker

class Closing(Tracker):
    "Leaves a file when it is closed."
    def start(self, folder, config, step):
        self_folder = folder
        class Run(TrackedRun):
            def close(self): (self_folder / "closed").touch()
        return Run()
"""


def test_a_tracker_is_closed_when_a_run_is_interrupted(tmp_path, plugin):
    plugin("ganzoo-closing", CLOSING, {"ganzoo.trackers": {"closing": "ganzoo_closing:Closing"}})
    with pytest.raises(Interrupted):
        train_to(tmp_path / "run", ["closing"], observer=Stopper(1))
    assert (tmp_path / "run" / "closed").exists()


# TensorBoard ----------------------------------------------------------------------------------


def events(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run.path / "tensorboard"))
    found.Reload()
    return found


def test_tensorboard_holds_every_metric_and_picture(tmp_path):
    run = train_to(tmp_path / "run", ["tensorboard"])
    found = events(run)
    rows = [json.loads(line) for line in lines(run.path)]
    assert set(found.Tags()["scalars"]) == rows[0].keys() - {"step"}
    for name in found.Tags()["scalars"]:
        scalars = found.Scalars(name)
        assert [scalar.step for scalar in scalars] == [2, 4]
        assert [scalar.value for scalar in scalars] == pytest.approx([row[name] for row in rows])
    assert found.Tags()["images"] == ["samples"]
    pictures = found.Images("samples")
    assert [picture.step for picture in pictures] == [0, 2, 4]
    assert pixels(pictures[-1].encoded_image_string) == pixels(
        (run.path / "samples" / "00000004.png").read_bytes()
    )


def pixels(png):
    with Image.open(io.BytesIO(png)) as image:
        return image.size, image.convert("RGB").tobytes()


def test_tensorboard_goes_on_behind_the_step_that_a_run_is_resumed_from(tmp_path):
    whole = train_to(tmp_path / "whole", ["tensorboard"], steps=5, log_every=1)
    options = {"steps": 5, "log_every": 1, "checkpoint_every": 2}
    with pytest.raises(Interrupted):
        train_to(tmp_path / "halves", ["tensorboard"], observer=Stopper(3), **options)
    # As a kill leaves it: beyond the newest checkpoint there is more already.
    halves = ganzoo.runs.folder.Run(tmp_path / "halves")
    shutil.rmtree(halves.checkpoints / "00000003")
    time.sleep(1)  # TensorBoard orders files by the second in which they were begun
    resume(halves.path)
    name = "generator/adversarial"
    assert [scalar.step for scalar in events(halves).Scalars(name)] == [1, 2, 3, 4, 5]
    assert [scalar.value for scalar in events(halves).Scalars(name)] == [
        scalar.value for scalar in events(whole).Scalars(name)
    ]


class Killed(BaseException):
    """Ends a process at once, before anything is written that is pending."""


@pytest.mark.parametrize("kept", [0, 2])
def test_tensorboard_holds_once_what_a_killed_run_repeats(tmp_path, monkeypatch, kept):
    """What came before a checkpoint is in the file when the checkpoint is saved."""
    monkeypatch.setattr("ganzoo_zoo.trackers.tensorboard.TensorBoardRun.close", lambda self: None)

    class Killer(Observer):
        def on_step(self, step):
            if step == 4:
                shutil.copytree(tmp_path / "run", tmp_path / "killed" / "run")
                raise Killed

    options = {"steps": 5, "log_every": 1, "checkpoint_every": kept or 100, "sample_every": 100}
    with pytest.raises(Killed):
        train_to(tmp_path / "run", ["tensorboard"], observer=Killer(), **options)
    monkeypatch.undo()
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    run = ganzoo.runs.folder.Run(tmp_path / "killed" / "run")
    time.sleep(1)  # TensorBoard orders files by the second in which they were begun
    resume(run.path)
    scalars = events(run).Scalars("generator/adversarial")
    assert [scalar.step for scalar in scalars] == [1, 2, 3, 4, 5]
    assert [picture.step for picture in events(run).Images("samples")] == [0, 5]


def test_trackers_change_no_byte_of_the_model(tmp_path):
    plain = train_to(tmp_path / "plain")
    tracked = train_to(tmp_path / "tracked", ["tensorboard"])
    file = "model/model.safetensors"
    assert (plain.path / file).read_bytes() == (tracked.path / file).read_bytes()


def test_an_option_of_a_tracker_is_given_under_its_name(tmp_path):
    run = train_to(
        tmp_path / "run", ["tensorboard"], {"tracker.tensorboard.flush_seconds": "5"}, steps=1
    )
    config = json.loads((run.path / "config.json").read_text())
    (tracker,) = config["trackers"]
    assert (tracker["name"], tracker["package"]) == ("tensorboard", "ganzoo")
    assert tracker["options"] == {"flush_seconds": 5}


@pytest.mark.parametrize(
    ("trackers", "settings", "message"),
    [
        (["tensorboad"], {}, "no tracker is called 'tensorboad'; did you mean 'tensorboard'?"),
        (
            ["tensorboard"],
            {"tracker.tensorboard.flush_second": 5},
            "unknown option 'tracker.tensorboard.flush_second'; did you mean 'flush_seconds'?",
        ),
        (
            ["tensorboard"],
            {"tracker.tensorboard.flush_seconds": 0},
            "option 'tracker.tensorboard.flush_seconds': input should be greater than or equal",
        ),
        (["tensorboard"], {"tracker.flush_seconds": 5}, "write tracker.NAME.OPTION beside"),
        ([], {"tracker.tensorboard.flush_seconds": 5}, "is an option of no tracker of this run"),
    ],
)
def test_what_is_wrong_about_trackers_is_refused(tmp_path, trackers, settings, message):
    with pytest.raises(InputError) as caught:
        train_to(tmp_path / "run", trackers, settings)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_refused_before_a_folder_appears(tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "tensorboard" else found(name, *rest),
    )
    with pytest.raises(InputError, match=r"pip install 'ganzoo\[tensorboard\]>=0\.1'"):
        train_to(tmp_path / "run", ["tensorboard"])
    assert list(tmp_path.iterdir()) == []
