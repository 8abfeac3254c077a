"""A new run starts from the whole state of another one, which stays as it is."""

import contextlib
import json
import shlex
import shutil
from pathlib import Path

import pytest

import crash
import ganzoo
from ganzoo import resume
from ganzoo.errors import Interrupted
from ganzoo.runs.folder import Run
from ganzoo.runs.reproduce import build_reproduction, train_command
from ganzoo.storage import files
from ganzoo.storage.files import manifest, sha256
from ganzoo.storage.json_files import to_json
from ganzoo.training.observer import Observer
from tiny import TINY, Stopper

SETTINGS = {"arch.hidden": (8,), "data.image_size": 8}
LOWER = {"generator_lr": 1e-5, "discriminator_lr": 2e-5}
MOVED = {"config.json", "model/config.json", "model/manifest.json", "model/README.md"}
"""Files that name the run that a run was forked from."""


@pytest.fixture
def parent():
    """A run of 4 steps, under a schedule of pictures and checkpoints of 2."""
    return ganzoo.train("mlp", data="digits", out="parent", settings=SETTINGS, **TINY)


def fork(place, out, observer=None, **options):
    return ganzoo.train(fork=place, out=out, observer=observer, **options)


def tensors(run, step):
    return {
        path.name: path.read_bytes()
        for path in (run.checkpoints / f"{step:08d}").glob("*.safetensors")
    }


def test_a_fork_without_a_change_goes_on_as_the_run_itself(parent):
    before = crash.content(parent.path)
    child = fork(parent, "child", steps=8)
    assert crash.content(parent.path) == before, "the old run is left alone"
    assert tensors(child, 8) == tensors(resume("parent", {"train.steps": 8}), 8)
    rows = [json.loads(line) for line in (child.path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [6, 8]
    assert list(child.pictures()) == [6, 8]
    assert ganzoo.load(child).config.step == 8


def test_the_new_run_says_where_it_comes_from(parent, ganzoo_cli):
    result = ganzoo_cli("train", "--fork", "parent", "--steps=6", "--set=train.generator_lr=1e-5")
    assert result.code == 0, result
    assert "from step 4" in result.err
    child = Run(Path(result.out.strip()))
    config = child.config()
    assert config.train.generator_lr == 1e-5
    folder = parent.checkpoints / "00000004"
    assert config.fork.model_dump() == {
        "name": "parent",
        "step": 4,
        "manifest_sha256": sha256(folder / "manifest.json"),
    }
    assert crash.content(child.init / "00000004") == crash.content(folder)
    assert "forked from parent: step=4, manifest_sha256=" in ganzoo_cli("show", child.path).out
    for path in (parent.path, parent.model):
        assert "fork" not in json.loads((path / "config.json").read_text())


@pytest.mark.parametrize("at", [5, 7])
def test_a_fork_is_resumed_to_the_same_bytes_without_the_old_run(parent, at):
    whole = fork("parent", "a", steps=9, **LOWER)
    with pytest.raises(Interrupted):
        fork("parent", "b", Stopper(at), steps=9, **LOWER)
    shutil.rmtree("parent")
    again = resume("b")
    assert crash.difference(crash.content(whole.path), crash.content(again.path)) == []
    shutil.rmtree(again.checkpoints)
    assert tensors(resume("b"), 9) == tensors(whole, 9), "from its copy"
    plain = ganzoo.train("mlp", data="digits", out="c", settings=SETTINGS, **{**TINY, "steps": 9})
    assert tensors(plain, 9) != tensors(whole, 9), "other learning rates are another run"


def test_a_checkpoint_can_be_named(parent):
    child = fork("parent/checkpoints/00000002", "child", steps=4)
    assert child.config().fork.step == 2
    assert tensors(child, 4) == tensors(parent, 4)
    grandchild = fork(child.init / "00000002", "grandchild", steps=4)
    assert grandchild.config().fork.name == "child"
    assert tensors(grandchild, 4) == tensors(parent, 4)


def test_a_damaged_checkpoint_is_passed_over(parent, refused):
    (parent.checkpoints / "00000004" / "state.json").write_text("{}")
    assert fork("parent", "child", steps=6).config().fork.step == 2
    (parent.checkpoints / "00000002" / "generator.safetensors").unlink()
    assert refused("train", "--fork", "parent", "--out", "next") == (
        "Error: parent has no whole checkpoint to start from"
    )


def test_before_its_first_checkpoint_a_fork_goes_back_to_its_start(plugin):
    code = f"{crash.DIVERGING}\nSTEP = 7\n"
    plugin("ganzoo-once", code, {"ganzoo.losses": {"once": "ganzoo_once:Diverging"}})
    said = []
    observer = Observer()
    observer.on_warning = said.append
    options = {**TINY, "log_every": 4, "checkpoint_every": 50}
    ganzoo.train("mlp", "once", "digits", out="parent", settings=SETTINGS, **options)
    child = fork("parent", "child", observer, steps=9)
    assert [message for message in said if "going back to step 4, " in message]
    assert json.loads((child.checkpoints / "00000009" / "state.json").read_text())["retries"] == 1
    assert child.config().fork.step == 4


def test_a_fork_has_all_of_its_retries(parent):
    folder = parent.checkpoints / "00000004"
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**state, "retries": 3}))
    (folder / "manifest.json").write_text(to_json(manifest(folder, "manifest.json")))
    child = fork("parent", "child", steps=6, **LOWER)
    assert json.loads((child.checkpoints / "00000006" / "state.json").read_text())["retries"] == 0


REFUSED = {
    "--fork parent": "parent has done 4 steps already, and train.steps is 4: give more --steps",
    "mlp --fork parent --steps 9 --set arch.hidden=9": (
        "the state of parent does not fit: architecture.options.hidden: [8] -> [9]; drop them, or"
    ),
    "--fork parent --steps 9 --set train.optimizer=rmsprop": (
        "the state of parent does not fit: train.optimizer: adam -> rmsprop; drop them, or train"
    ),
    "--fork parent --steps 9 --image-size 16": "the state of parent does not fit this run: ",
    "--fork parent --steps 9 --precision fp16": "the state of parent does not fit this run: ",
    "--fork parent --init parent": "drop --init or --fork",
    "--fork nowhere": "there is no run folder nowhere",
    "--fork parent/checkpoints/00000003": "00000003 has no whole checkpoint to start from",
    "--fork parent --resume parent": "--resume continues from the run's own weights: drop --fork",
    "--fork parent --steps 9 --out parent": "parent exists already; choose another --out",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_does_not_fit_is_refused(parent, refused, words):
    before = crash.content(Path())
    assert REFUSED[words] in refused("train", *words.split())
    assert crash.content(Path()) == before


def test_a_copy_that_was_changed_is_refused(parent, refused):
    child = fork("parent", "child", steps=6)
    (child.init / "00000004" / "generator.safetensors").write_bytes(b"")
    assert "child/init is not what the run started from" in refused("train", "--resume", "child")


class Killed(BaseException):
    pass


def test_a_fork_is_killed_in_each_moment_of_its_creation(parent, monkeypatch):
    whole = crash.content(fork("parent", "whole", steps=6).path)
    original, moments = files.flush, 0
    for moment in range(0, 100, 4):
        left = [moment]

        def flush(path, left=left):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            original(path)

        out = Path(f"run-{moment}")
        with monkeypatch.context() as patched:
            patched.setattr(files, "flush", flush)
            with contextlib.suppress(Killed):
                fork("parent", out, steps=6)
        if (out / "config.json").exists():
            assert crash.difference(whole, crash.content(resume(out).path)) == []
            break
        again = fork("parent", out, steps=6)
        assert crash.difference(whole, crash.content(again.path)) == []
        moments += 1
    assert moments > 2


def test_a_checkpoint_that_goes_in_the_last_moment_is_named(parent, monkeypatch):
    lock = Run.lock

    def remove(self):
        shutil.rmtree(parent.checkpoints / "00000004")
        return lock(self)

    monkeypatch.setattr(Run, "lock", remove)
    with pytest.raises(ganzoo.errors.InputError, match="was changed while it was copied"):
        fork("parent", "child", steps=6)
    assert not Path("child/config.json").exists()


def test_the_command_trains_the_same_again(parent, ganzoo_cli):
    child = fork("parent/checkpoints/00000002", "child", steps=5, **LOWER)
    resume("parent", {"train.steps": 6})
    config = child.config()
    assert build_reproduction(config).fork == "parent/checkpoints/00000002"
    for whole in (False, True):
        _, *words = shlex.split(train_command(config, whole=whole).replace("\\\n", " "))
        assert "--fork" in words
        assert words[0] == "train"
    # The name is that of the folder; here it leads there as well. The checkpoint is still there.
    shutil.copytree(child.init / "00000002", parent.checkpoints / "00000002", dirs_exist_ok=True)
    result = ganzoo_cli(*words, "--dry-run")
    assert result.code == 0, result
    assert json.loads(result.out) == config.model_dump(mode="json") | {"data_fingerprint": None}
    assert ganzoo_cli(*words, "--out", "again").code == 0
    assert crash.difference(crash.content(child.path), crash.content(Path("again"))) == []
