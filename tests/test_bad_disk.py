"""Bad blocks, full disks, half lines and exchanged folders: one line each, and nothing lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
import torch

import ganzoo
from bad_disk import full_disk, unreadable
from ganzoo.api.evaluation import ScoresNotKept
from ganzoo.api.training import resume
from ganzoo.errors import GanzooError, InputError, Interrupted
from ganzoo.models.hub import HubFolder, has_hash
from ganzoo.runs.folder import Run
from ganzoo.runs.scores import read_logged_scores
from ganzoo.storage import cache
from ganzoo.storage.files import atomic_folder, atomic_path, name_file, write_text
from ganzoo.storage.json_files import append_line, drop_lines_after, read_lines
from ganzoo.storage.tensors import save_tensors
from ganzoo.training import checkpoint
from ganzoo.training.observer import Observer
from ganzoo_zoo.data import reading
from tiny import TINY, Stopper

NO_SPACE = os.strerror(errno.ENOSPC)
UNREADABLE = os.strerror(errno.EIO)
SMALL = {"train.recipe": "paper", "arch.hidden": (6,), "arch.z_dim": 4, "data.image_size": 8}
JUDGED = ("--metric", "is", "--samples", "30", "--real-samples", "30", "--device", "cpu")


def trained(out, **more):
    return ganzoo.train("mlp", "hinge", "digits", out=out, settings=SMALL, **{**TINY, **more})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run; to be copied, not changed."""
    return trained(tmp_path_factory.mktemp("bad") / "run").path


@pytest.fixture
def run(finished, tmp_path):
    return Run(shutil.copytree(finished, tmp_path / "run"))


class Warned(Observer):
    def __init__(self):
        self.messages = []
        self.first = None

    def on_start(self, run, config, step):
        self.first = step

    def on_warning(self, message):
        self.messages.append(message)


# What cannot be read


@pytest.mark.parametrize(
    "name",
    ["manifest.json", "state.json", "generator.safetensors", "discriminator_optimizer.safetensors"],
)
def test_a_checkpoint_on_a_bad_block_is_named_and_the_one_before_is_used(run, name):
    bad, seen = run.checkpoints / "00000004" / name, Warned()
    before = {path.name for path in (run.checkpoints / "00000004").iterdir()}
    with unreadable(bad):
        resume(run.path, {"train.steps": 5}, seen)
    (message,) = seen.messages
    assert str(bad.parent) in message
    assert name in message
    assert UNREADABLE in message
    assert seen.first == 2
    assert checkpoint.steps(run.checkpoints) == [2, 4, 5]
    assert {path.name for path in (run.checkpoints / "00000004").iterdir()} == before


def test_an_interrupted_run_keeps_its_state_although_a_later_checkpoint_is_damaged(run):
    (run.checkpoints / "00000004" / "state.json").write_text("{")
    with pytest.raises(Interrupted, match="after step 3 of 5, state saved"):
        resume(run.path, {"train.steps": 5}, Stopper(3))
    assert checkpoint.steps(run.checkpoints) == [2, 3, 4]
    resume(run.path, {"train.steps": 5}, seen := Warned())
    assert seen.first == 3
    assert checkpoint.steps(run.checkpoints) == [2, 4, 5]


def test_without_a_readable_checkpoint_a_run_ends_in_one_line_and_keeps_them(run, refused):
    with unreadable(*run.checkpoints.glob("*/state.json")):
        message = refused("train", "--resume", run.path, "--steps", "5")
    assert "none of the 2 checkpoints" in message
    assert checkpoint.steps(run.checkpoints) == [2, 4]


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("safetensors.torch.load_file", MemoryError()),
        ("ganzoo.training.checkpoint._restore_optimizer", torch.OutOfMemoryError("no memory")),
    ],
)
def test_too_little_memory_is_no_damage(run, monkeypatch, place, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(place, fail)
    with pytest.raises(type(error)):
        resume(run.path, {"train.steps": 5}, seen := Warned())
    assert seen.messages == []


@pytest.mark.parametrize("name", ["manifest.json", "config.json", "model.safetensors"])
def test_an_unreadable_file_of_a_model_is_named(run, refused, name):
    with unreadable(run.model / name):
        message = refused("sample", run.path, "-n", "2", "--out", "x.png")
    assert name in message
    assert UNREADABLE in message


def test_an_unreadable_copy_of_the_start_is_named(run, tmp_path, refused):
    ganzoo.train(init=run, out=tmp_path / "next", **{**TINY, "steps": 2})
    with unreadable(tmp_path / "next" / "init" / "model.safetensors"):
        message = refused("train", "--resume", tmp_path / "next", "--steps", "4")
    assert "init/model.safetensors" in message
    assert UNREADABLE in message


def test_an_unreadable_file_of_the_hubs_cache_is_downloaded_again(run, monkeypatch):
    folder, asked = HubFolder("user/name", 40 * "a", run.model), []
    file = run.model / "model.safetensors"
    with unreadable(file) as bad:

        def download(reference, name, size, *, force):
            asked.append((name, force))
            bad.clear()

        monkeypatch.setattr("ganzoo.models.hub.download", download)
        assert not has_hash(file, 64 * "a")
        assert not has_hash(file, 40 * "a")
        assert folder.file("model.safetensors") == file
    assert asked == [("model.safetensors", True)]


@pytest.mark.parametrize("name", ["key.json", "sha256", "tensors.safetensors"])
def test_unreadable_features_are_computed_again(name):
    made = []

    def make():
        made.append(1)
        return {"x": torch.ones(3)}

    cache.get_or_make_tensors("features", {"a": 1}, make)
    (bad,) = cache.cache_folder().glob(f"features/*/{name}")
    with unreadable(bad):
        assert cache.get_or_make_tensors("features", {"a": 1}, make)["x"].tolist() == [1] * 3
    assert len(made) == 2


def test_an_unreadable_cache_of_images_is_decoded_again(run, ganzoo_cli, monkeypatch):
    monkeypatch.setattr(reading, "KEPT_IMAGES", 0)
    shutil.copytree(run.samples, "photos")
    words = ("train", "mlp", "--data", "photos", "--image-size", "8", "--steps", "1")
    first = ganzoo_cli(*words, "--out", "first")
    assert first.code == 0, first.err
    found = [path for path in cache.cache_folder().rglob("*") if path.is_file()]
    assert {"images.npy", "index.json", "key.json"} <= {path.name for path in found}
    for number, path in enumerate(found):
        with unreadable(path):
            again = ganzoo_cli(*words, "--out", f"again{number}")
        assert again.code == 0, (path, again.err)
    configs = [json.loads(file.read_text()) for file in Path().glob("*/config.json")]
    fingerprints = {config["data_fingerprint"] for config in configs if "photos" in str(config)}
    assert len(fingerprints) == 1


# What cannot be written


@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize("left", [0, 40])
def test_scores_that_cannot_be_kept_are_printed(run, ganzoo_cli, options, left):
    with full_disk(run.path, left):
        result = ganzoo_cli("eval", run.path, *JUDGED, *options)
    assert result.code == 1
    if options:
        (row,) = json.loads(result.out)["scores"]
        assert row["metric"] == "is[digits-cnn]"
    else:
        assert "is[digits-cnn]" in result.out
    (error,) = [line for line in result.err.splitlines() if line.startswith("Error: ")]
    assert error.endswith(f"{run.score_log}: {NO_SPACE}")
    # Half a line may be left, and the next one is not lost.
    assert ganzoo_cli("eval", run.path, *JUDGED).code == 0
    assert len(read_logged_scores(run.score_log)) == 1


def test_python_gets_scores_that_cannot_be_kept(run):
    run.score_log.mkdir()  # nothing can be appended to a folder
    with pytest.raises(ScoresNotKept, match=r"scores\.jsonl is not a regular file") as caught:
        ganzoo.evaluate(run, ["is"], samples=30, real_samples=30, device="cpu")
    (row,) = caught.value.rows
    assert row.fake_samples == 30


WRITES = {
    "train": lambda run: ("train", "mlp", "--steps", "2", "--out", "new/run"),
    "init": lambda run: ("train", "--init", run, "--steps", "2", "--out", "new/run"),
    "sample": lambda run: ("sample", run, "--out", "new/x.png"),
    "single": lambda run: ("sample", run, "--out", "new/x"),
    "gif": lambda run: ("sample", run, "--walk", "0,1", "--frames", "3", "--out", "new/x.gif"),
    "webp": lambda run: ("sample", run, "--walk", "0,1", "--frames", "3", "--out", "new/x.webp"),
    "report": lambda run: ("report", run, "--out", "new/x.html"),
    "plugin": lambda run: ("new-plugin", "mine", "--out", "new/mine"),
    "export": lambda run: ("export", run, "--out", "new/x.pt2"),
}


@pytest.mark.parametrize("case", WRITES)
@pytest.mark.parametrize("left", [0, 300])
def test_a_full_disk_ends_in_one_line_that_names_the_file(run, refused, tmp_path, case, left):
    (tmp_path / "new").mkdir()
    with full_disk(tmp_path / "new", left):
        message = refused(*WRITES[case](run.path), code=1)
    assert NO_SPACE in message
    assert "new/" in message
    assert ".tmp" not in message
    assert len(message.splitlines()) == 1
    assert not [path for path in tmp_path.glob("new/*") if path.is_file()]


def test_a_temporary_file_is_named_by_what_it_becomes(tmp_path):
    def fail(*names):
        raise OSError(errno.ENOSPC, NO_SPACE, *names)

    def message(block):
        with pytest.raises(OSError, match=NO_SPACE) as caught:
            block()
        return caught.value.filename

    def write_path():
        with atomic_path(tmp_path / "a") as beside:
            fail(str(beside))

    def write_folder():
        with atomic_folder(tmp_path / "a") as beside:
            write_text(beside / "b", "")
            fail(str(beside / "b"))

    def copy():
        with name_file(tmp_path / "b"):
            fail("source", None, str(tmp_path / "b"))

    def other():
        with name_file(tmp_path / "b"):
            fail("other")

    assert message(write_path) == str(tmp_path / "a")
    assert message(write_folder) == str(tmp_path / "a" / "b")
    assert message(copy) == str(tmp_path / "b")
    assert message(other) == "other"
    with pytest.raises(OSError, match="broken picture") as caught, name_file(tmp_path / "b"):
        raise OSError("broken picture")
    assert caught.value.filename == str(tmp_path / "b")


def test_tensors_on_a_full_disk_name_their_file(tmp_path):
    with full_disk(tmp_path), pytest.raises(OSError, match=NO_SPACE) as caught:
        save_tensors(tmp_path / "x", {"a": torch.ones(3)})
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path / "x")


# Lines of JSON


@pytest.mark.parametrize("end", ['{"step": 2, "a', '{"step": 2}', "\xff\0"])
def test_half_a_line_swallows_no_row(tmp_path, end):
    file = tmp_path / "x.jsonl"
    file.write_bytes(b'{"step": 1}\n' + end.encode("latin-1"))
    append_line(file, {"step": 3})
    append_line(file, {"step": 4})
    lines = list(read_lines(file))
    assert [json.loads(line)["step"] for line in (lines[0], *lines[2:])] == [1, 3, 4]
    drop_lines_after(file, 3)
    kept = [json.loads(line)["step"] for line in read_lines(file)]
    assert kept == ([1, 2, 3] if end.endswith("}") else [1, 3])


def test_a_line_without_end_takes_no_memory(tmp_path):
    file = tmp_path / "x.jsonl"
    file.write_bytes(b'{"step": 1}\n' + b"x" * (5 << 20) + b'\n{"step": 2}\n')
    lines = list(read_lines(file))
    assert [len(line) < 20 for line in lines] == [True] * 3
    assert [json.loads(line)["step"] for line in (lines[0], lines[2])] == [1, 2]


def test_damaged_lines_are_skipped_aloud(run, ganzoo_cli, caplog):
    for file in (run.path / "metrics.jsonl", run.score_log):
        with file.open("a") as lines:
            lines.write('{"step": 4, "met')
    assert ganzoo_cli("eval", run.path, *JUDGED).code == 0
    result = ganzoo_cli("compare", run.path)
    assert result.code == 0
    assert f"{run.score_log}: 1 line is damaged and is skipped" in caplog.messages
    assert "is[digits-cnn]" in result.out
    result = ganzoo_cli("report", run.path, "--neighbours", "0")
    assert result.code == 0
    assert f"{run.path / 'metrics.jsonl'}: 1 line is damaged and is skipped" in caplog.messages


def test_an_unreadable_log_is_named(run, refused):
    with unreadable(run.path / "metrics.jsonl"):
        message = refused("train", "--resume", run.path, "--steps", "5", code=1)
    assert f"metrics.jsonl: {UNREADABLE}" in message


# A folder that is no longer the run's own


def remove_lock(run, other):
    (run / ".lock").unlink()


def replace_lock(run, other):
    (run / ".lock").unlink()
    (run / ".lock").touch()


def rename(run, other):
    run.rename(run.with_name("moved"))


def exchange(run, other):
    run.rename(run.with_name("moved"))
    shutil.copytree(other, run)


def remove(run, other):
    shutil.rmtree(run)


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("change", [remove_lock, replace_lock, rename, exchange, remove])
@pytest.mark.parametrize("tracker", [(), ("report",)])
def test_a_folder_that_is_exchanged_is_seen_and_not_written_to(finished, tmp_path, change, tracker):
    out, then = tmp_path / "run", {}

    class Thief(Observer):
        def on_step(self, step):
            if step == 3:
                change(out, finished)
                then.update(content(tmp_path))

    with pytest.raises(GanzooError, match="replaced while it was trained") as caught:
        trained(out, observer=Thief(), trackers=tracker)
    assert caught.value.exit_code == 1
    assert not isinstance(caught.value, InputError)
    assert len(str(caught.value).splitlines()) == 1
    assert content(tmp_path) == then


def test_a_run_that_keeps_its_folder_is_not_stopped(tmp_path):
    class Neighbour(Observer):
        def on_step(self, step):
            (tmp_path / "run" / ".lock").write_text("touched")

    assert trained(tmp_path / "run", observer=Neighbour()).model.exists()
