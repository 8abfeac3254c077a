"""What a run does when something goes wrong: divergence, collapse, two at once, a full disk."""

import copy
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import crash
import ganzoo
from ganzoo.api.training import resume
from ganzoo.config import RETRIES
from ganzoo.errors import Diverged, GanzooError, InputError, Interrupted
from ganzoo.media import images
from ganzoo.protocols.progress import Progress
from ganzoo.runs.folder import Run
from ganzoo.storage import files
from ganzoo.storage.tensors import load_tensors
from ganzoo.training import checkpoint, health
from ganzoo.training.health import COLLAPSED_SPREAD
from ganzoo.training.inputs import draw_picture_inputs
from ganzoo.training.observer import Observer
from ganzoo.training.pictures import Drawn, spread
from tiny import TINY, Stopper

SETTINGS = {"arch.hidden": (8,), "data.image_size": 8}


class Listener(Observer):
    """Remembers the warnings."""

    def __init__(self):
        self.warnings = []
        self.ended = []

    def on_warning(self, message):
        self.warnings.append(message)

    def on_warning_end(self, warning, message):
        self.ended.append((warning, message))


def trained(out, loss="non-saturating", observer=None, **options):
    return ganzoo.train(
        "mlp", loss=loss, out=out, settings=SETTINGS, observer=observer, **{**TINY, **options}
    )


def rows(run):
    return [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def losses(plugin):
    """Losses that break: for good from a step on, once, or in what they leave in a weight."""
    code = (
        f"{crash.DIVERGING}\nSTEP = 4\n"
        + """
class Broken(Diverging):
    "Is not a number from the fifth step on."

    def discriminator_loss(self, D, real, fake):
        bad = torch.initial_seed() in {derive_seed(0, "step", step) for step in range(STEP, 50)}
        return {"relative": D(fake).mean() * (float("nan") if bad else 1.0)}


class Silent(Diverging):
    "Is finite itself and leaves weights that are not."

    def constrain(self, discriminator):
        if torch.initial_seed() == derive_seed(0, "step", STEP):
            next(discriminator.parameters()).data.fill_(float("inf"))


class Grey(Diverging):
    "Wants the same grey of every sample."

    recipe = Recipe(generator_lr=1e-2)

    def generator_loss(self, D, real, fake):
        return {"adversarial": fake.square().mean()}


class Certain(Diverging):
    "Has nothing to learn from."

    def discriminator_loss(self, D, real, fake):
        return {"relative": (0 * D(fake)).mean()}


class Waking(Diverging):
    "Has nothing to learn from before the fifth step."

    def discriminator_loss(self, D, real, fake):
        asleep = torch.initial_seed() in {derive_seed(0, "step", step) for step in range(STEP)}
        return {"relative": (D(fake) * (0 if asleep else 1)).mean()}
"""
    )
    names = ["Diverging", "Broken", "Silent", "Grey", "Certain", "Waking"]
    points = {name.lower(): f"ganzoo_breaking:{name}" for name in names}
    plugin("ganzoo-breaking", code, {"ganzoo.losses": points})


def test_a_run_that_diverges_once_goes_back_with_lower_learning_rates(tmp_path, losses):
    listener = Listener()
    run = trained(tmp_path / "run", "diverging", listener, steps=12, checkpoint_every=3)
    assert listener.warnings == [
        "training diverged by step 8: relative of the discriminator is nan; going back to step 6, "
        "with learning rates times 0.5"
    ]
    assert [row["step"] for row in rows(run)] == [2, 4, 6, 8, 10, 12]
    assert ganzoo.load(run).config.step == 12
    state = json.loads((run.checkpoints / "00000012" / "state.json").read_text())
    assert state == {"format": 1, "step": 12, "retries": 1}


def test_pictures_of_weights_that_a_run_went_back_from_are_gone(tmp_path, losses):
    """Whichever pictures are due, a picture of a step is of the weights at the end."""
    found = {}
    for every in (1, 100):
        run = trained(
            tmp_path / str(every),
            "diverging",
            steps=12,
            checkpoint_every=5,
            sample_every=every,
            eval_every=2,
            eval_samples=40,
            ema_half_life=0.0,
        )
        found[every] = crash.content(run.path)
    names = ["best/samples.png", "model/samples.png", *(f"samples/{i:08d}.png" for i in range(13))]
    assert [name for name in names if name in found[100]] == [*names[:2], *names[2::2]]
    assert [name for name in names if found[100].get(name) not in (None, found[1][name])] == []


def test_pictures_beyond_the_state_that_is_restored_go(tmp_path):
    run, seen = trained(tmp_path / "run"), []
    shutil.rmtree(run.checkpoints / "00000004")
    mine = run.samples / "mine.png"
    mine.touch()

    class Watcher(Observer):
        def on_step(self, step):
            if step == 3:
                seen.extend(run.pictures())

    resume(run.path, observer=Watcher())
    assert seen == [0, 2]
    assert list(run.pictures()) == [0, 2, 4]
    assert mine.exists()


def test_a_model_of_a_run_that_gives_up_has_a_picture_and_warns_of_nothing_else(
    tmp_path, losses, monkeypatch
):
    monkeypatch.setattr(health, "EARLY_STEPS", 4)
    monkeypatch.setattr(health, "COLLAPSED_SPREAD", 1e6)
    with pytest.raises(Diverged, match="the model of step 4"):
        trained(tmp_path / "run", "broken", steps=12, sample_every=100)
    run = Run(tmp_path / "run")
    assert list(run.pictures()) == [0, 4]
    assert (run.model / "samples.png").read_bytes() == run.picture(4).read_bytes()
    assert [row["warning"] for row in rows(run) if "warning" in row] == ["diverged"]


def test_before_the_first_checkpoint_a_run_goes_back_to_its_start(tmp_path, losses):
    listener = Listener()
    run = trained(tmp_path / "run", "diverging", listener, steps=10, checkpoint_every=9)
    assert "going back to step 0" in listener.warnings[0]
    assert ganzoo.load(run).config.step == 10


def test_where_a_run_goes_back_to_does_not_depend_on_interruptions(tmp_path, losses):
    whole = trained(tmp_path / "a" / "run", "diverging", steps=12, checkpoint_every=6)
    with pytest.raises(Interrupted):
        trained(tmp_path / "b" / "run", "diverging", Stopper(7), steps=12, checkpoint_every=6)
    halves = Run(tmp_path / "b" / "run")
    assert checkpoint.steps(halves.checkpoints) == [6, 7]
    resume(halves.path)
    assert crash.difference(crash.content(whole.path), crash.content(halves.path)) == []


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ([], []),
        ([7], [7]),
        ([200, 400, 600], [400, 600]),
        ([200, 400, 410, 420], [200, 400, 420]),
        ([200, 400, 600, 610], [400, 600, 610]),
        ([10, 20, 30], [30]),
    ],
)
def test_checkpoints_of_interruptions_do_not_displace_regular_ones(tmp_path, found, kept):
    for step in found:
        (tmp_path / f"{step:08d}").mkdir()
    checkpoint.prune(tmp_path, lambda step: step % 200 == 0, max(found, default=0))
    assert checkpoint.steps(tmp_path) == kept
    assert len(list(tmp_path.iterdir())) == len(kept)


def test_a_run_gives_up_after_some_tries_and_leaves_its_last_good_model(tmp_path, losses):
    listener = Listener()
    with pytest.raises(Diverged, match="diverged by step 6") as given_up:
        trained(tmp_path / "run", "broken", listener, steps=12)
    assert given_up.value.exit_code == 1
    assert len(listener.warnings) == RETRIES
    assert [float(line.split()[-1]) for line in listener.warnings] == [0.5, 0.25, 0.125]
    lines = str(given_up.value).splitlines()
    assert len(lines) == 2
    assert f"the model of step 4 is in {tmp_path / 'run' / 'model'}" in lines[0]
    model = ganzoo.load(tmp_path / "run")
    assert model.config.step == 4
    assert torch.isfinite(model.sample(4, seed=0)).all()


def test_a_checkpoint_beyond_the_one_that_a_run_goes_back_to_is_gone(tmp_path, losses):
    options = {"loss": "broken", "steps": 12, "checkpoint_every": 3, "log_every": 1}
    with pytest.raises(Diverged):
        trained(tmp_path / "a" / "run", **options)
    with pytest.raises(Interrupted):
        trained(tmp_path / "b" / "run", observer=Stopper(4), **options)
    halves = Run(tmp_path / "b" / "run")
    assert checkpoint.steps(halves.checkpoints) == [3, 4]
    with pytest.raises(Diverged):
        resume(halves.path)
    assert crash.difference(crash.content(tmp_path / "a" / "run"), crash.content(halves.path)) == []


def test_a_stop_does_not_decide_when_a_divergence_is_found(tmp_path, losses):
    options = {"loss": "diverging", "steps": 20, "checkpoint_every": 5, "log_every": 100}
    options |= {"sample_every": 100}
    said = {}
    for name, step in (("whole", None), ("stopped", 8)):
        listener, out = Listener(), tmp_path / name / "run"
        if step is None:
            trained(out, observer=listener, **options)
        else:
            found = "stopped after step 8 of 20, whose state has diverged and is not saved"
            with pytest.raises(Interrupted, match=found):
                trained(out, observer=Stopper(step), **options)
            assert checkpoint.steps(out / "checkpoints") == [5]
            resume(out, observer=listener)
        said[name] = listener.warnings, crash.content(out)
    assert said["whole"][0] == said["stopped"][0]
    assert "diverged by step 10" in said["whole"][0][0]
    assert crash.difference(said["whole"][1], said["stopped"][1]) == []


def test_going_back_can_be_left_out(tmp_path, losses):
    listener = Listener()
    with pytest.raises(Diverged, match="the model of step 4"):
        trained(tmp_path / "run", "broken", listener, steps=12, retry_lr=0.0)
    assert listener.warnings == []


def test_without_a_checkpoint_there_is_no_model(tmp_path, losses):
    with pytest.raises(Diverged, match="there was no checkpoint before it"):
        trained(tmp_path / "run", "broken", steps=12, checkpoint_every=100)
    assert not (tmp_path / "run" / "model").exists()


def test_no_checkpoint_holds_a_weight_that_is_not_finite(tmp_path, losses):
    with pytest.raises(Diverged, match=r"holds a number that is not finite|is nan|not finite"):
        trained(tmp_path / "run", "silent", steps=6, log_every=100, sample_every=100)
    found = checkpoint.steps(tmp_path / "run" / "checkpoints")
    assert found == [2, 4]
    for step in found:
        for file in (tmp_path / "run" / "checkpoints" / f"{step:08d}").glob("*.safetensors"):
            assert all(torch.isfinite(tensor).all() for tensor in load_tensors(file).values())


def test_a_saturated_discriminator_is_said_once(tmp_path, losses):
    listener = Listener()
    run = trained(tmp_path / "run", "certain", listener)
    assert [message for message in listener.warnings if "saturated at step 2" in message]
    assert len(listener.warnings) == 1
    said = [row for row in rows(run) if "warning" in row]
    assert [(row["step"], row["warning"]) for row in said] == [(2, "saturated")]
    again = Listener()
    resume(run.path, {"train.steps": 8}, again)
    assert again.warnings == []
    assert [row for row in rows(run) if "warning" in row] == said


def test_a_warning_ends_and_a_resumed_run_repeats_neither_begin_nor_end(tmp_path, losses):
    options = {"loss": "waking", "steps": 8, "log_every": 1, "checkpoint_every": 3}
    listener = Listener()
    run = trained(tmp_path / "a" / "run", observer=listener, **options)
    (message,) = listener.warnings
    assert listener.ended == [(message, "the discriminator is no longer saturated at step 5")]
    assert [row for row in rows(run) if "warning" in row] == [
        {"step": 1, "warning": "saturated", "message": message},
        {"step": 5, "warning": "saturated", "began": 1, "message": listener.ended[0][1]},
    ]
    for stop in (2, 4, 6):
        said, place = Listener(), tmp_path / str(stop) / "run"
        with pytest.raises(Interrupted):
            trained(place, observer=Stopper(stop), **options)
        if stop != 6:  # as a kill leaves it: lines beyond the newest checkpoint come again
            shutil.rmtree(place / "checkpoints" / f"{stop:08d}")
        resume(place, observer=said)
        assert said.warnings == ([message] if stop == 2 else [])
        assert said.ended == (listener.ended if stop < 6 else [])
        assert crash.difference(crash.content(run.path), crash.content(place)) == []


def points(centre, spread, count=64):
    return torch.tensor(centre) + spread * torch.randn(count, 2, generator=torch.manual_seed(0))


@pytest.fixture
def watched():
    """A training's health whose reals have a spread of 1."""
    samples = SimpleNamespace(stored=points((0.0, 0.0), 1.0))
    architecture = SimpleNamespace(takes_images=False, is_adversarial=lambda progress: True)
    setup = SimpleNamespace(progress_at=lambda step: Progress(step))
    trainer = SimpleNamespace(samples=samples, architecture=architecture, setup=setup)
    return health.Health(trainer)


def test_a_collapse_is_the_generators_own_and_stands_still(watched):
    blob, wide = points((1.0, 0.0), 0.01), points((0.0, 0.0), 0.9)
    # The average of a generator that spreads, and of one that moves round, may be a blob.
    for own, average in ((wide, blob), (blob, points((-1.0, 0.0), 0.01))):
        assert list(watched.check_samples(Drawn(own, average), 500)) == []
    (begun,) = watched.check_samples(Drawn(blob, wide + torch.tensor((1.0, 0.0))), 600)
    assert "collapses at step 600" in begun.message
    assert not begun.is_end
    assert list(watched.check_samples(Drawn(points((1.0, 0.0), 0.15), blob), 700)) == []
    (ended,) = watched.check_samples(Drawn(wide, blob), 800)
    assert ended.is_end
    assert ended.as_row() == {
        "step": 800,
        "warning": "collapse",
        "began": 600,
        "message": ended.message,
    }
    assert list(watched.check_samples(Drawn(wide, blob), 900)) == []


@pytest.mark.parametrize(
    ("own", "average", "is_left"),
    [
        (((-1.0, 0.0), 0.1), ((1.0, 0.0), 0.1), True),  # a blob that moves round
        (((0.0, 0.0), 1.0), ((0.0, 0.0), 0.1), True),  # whose average is a blob in the middle
        (((0.0, 0.0), 1.0), ((0.2, 0.0), 0.8), False),
        (((0.0, 0.0), 0.1), ((0.05, 0.0), 0.1), False),
        (((0.0, 0.0), 0.0), ((0.0, 0.0), 0.0), False),
    ],
)
def test_a_generator_that_leaves_its_average_behind_is_shown_itself(own, average, is_left):
    drawn = Drawn(points(*own), points(*average))
    assert drawn.shown is (drawn.own if is_left else drawn.average)


def test_an_update_that_was_skipped_tells_nothing_of_a_gradient(watched):
    (begun,) = watched.check_terms({"step": 1, "discriminator/gradient_norm": 0.0})
    assert begun.warning.name == "saturated"
    assert list(watched.check_terms({"step": 2})) == []
    (ended,) = watched.check_terms({"step": 3, "discriminator/gradient_norm": 0.1})
    assert ended.warning.ended == 3


def test_a_run_shows_pictures_of_its_first_steps(tmp_path):
    run = trained(tmp_path / "run", steps=51, sample_every=100, log_every=51)
    assert list(run.pictures()) == [0, 10, 20, 50, 51]
    often = trained(tmp_path / "often", steps=20, sample_every=15, log_every=20)
    assert list(often.pictures()) == [0, 10, 15, 20]


class Levels(Observer):
    """Remembers, by step, how much a picture's levels differ, and its generator's own samples."""

    def __init__(self):
        self.shown, self.own = {}, {}

    def on_ready(self, trainer):
        self.trainer = trainer
        self.inputs = draw_picture_inputs(trainer.setup, trainer.loader)

    def on_picture(self, step, picture, layout):
        samples = images.split_picture(picture, layout).flatten(0, 1)
        self.shown[step] = spread(samples)
        network = copy.deepcopy(self.trainer.state.generator)
        with torch.no_grad():
            self.own[step] = spread(images.to_uint8(self.inputs.through(network)))


def test_first_pictures_are_not_flat_grey(tmp_path):
    """Neither batch norm's running statistics nor the average may hide the generator."""
    seen = Levels()
    settings = {"data.image_size": 16, "arch.base_channels": 4}
    options = {**TINY, "steps": 51, "sample_every": 100, "log_every": 51, "checkpoint_every": 51}
    recipe = {"generator_lr": 2e-3, "discriminator_lr": 2e-3, "n_critic": 1}
    ganzoo.train(
        "dcgan",
        "wgan-gp",
        out=tmp_path / "run",
        settings=settings,
        observer=seen,
        **{**options, **recipe},
    )
    assert list(seen.shown) == [0, 10, 20, 50, 51]
    for step, shown in seen.shown.items():
        assert shown > 0.6 * seen.own[step], step


def test_a_collapsed_generator_is_said_once_and_a_young_one_is_not(tmp_path, losses, monkeypatch):
    monkeypatch.setattr(health, "EARLY_STEPS", 100)
    listener = Listener()
    run = trained(tmp_path / "run", "grey", listener, steps=140, sample_every=20, log_every=70)
    (said,) = [row for row in rows(run) if row.get("warning") == "collapse"]
    assert said["step"] == 100
    assert len([line for line in listener.warnings if "collapses at step 100" in line]) == 1


def test_the_spread_of_samples():
    assert spread(torch.zeros(4, 1, 2, 2, dtype=torch.uint8)) == 0
    assert spread(torch.tensor([[0.0, 0.0], [2.0, 4.0]])) == pytest.approx((0.5 * (1 + 4)) ** 0.5)
    assert 0 < COLLAPSED_SPREAD < 1


HOLDER = """
import sys
from pathlib import Path
from ganzoo.protocols.progress import Progress
from ganzoo.runs.folder import Run

with Run(Path(sys.argv[1])).lock():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_and_the_lock_of_a_dead_one_is_none(tmp_path, refused):
    run = trained(tmp_path / "run")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, run.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout.readline() == b"locked\n"
        message = refused("train", "--resume", run.path, "--steps", 6)
        assert message == (
            f"Error: another process is training {run.path}; wait for it, or stop it first"
        )
        holder.kill()
    assert resume(run.path, {"train.steps": 6}).path == run.path


@pytest.mark.parametrize("what", ["folder", "link"])
def test_a_lock_is_a_file(tmp_path, refused, what):
    run, mine = trained(tmp_path / "run"), tmp_path / "mine"
    mine.write_text("my own")
    lock = run.path / ".lock"
    lock.unlink(missing_ok=True)
    if what == "folder":
        lock.mkdir()
    else:
        lock.symlink_to(mine)
    assert str(lock) in refused("train", "--resume", run.path, "--steps", 6)
    assert mine.read_text() == "my own"


def test_what_a_process_left_that_died_before_its_run_began_is_no_obstacle(tmp_path):
    out = tmp_path / "run"
    (out / "samples").mkdir(parents=True)
    (out / ".lock").touch()
    (out / ".config.json.123.tmp").write_text("{")
    run = trained(out)
    assert sorted(path.name for path in out.iterdir() if path.name != ".lock") == [
        "checkpoints",
        "config.json",
        "machines.jsonl",
        "metrics.jsonl",
        "model",
        "samples",
    ]
    assert ganzoo.load(run)


def test_half_written_files_of_killed_processes_go(tmp_path):
    run = trained(tmp_path / "run")
    left = [
        run.path / ".model.123.tmp" / "x",
        run.checkpoints / ".00000009.123.tmp" / "y",
        run.samples / ".00000004.png.123.tmp",
    ]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_text("torn")
    mine = run.path / ".notes.tmp"
    mine.write_text("a person's own")
    (run.path / "model").rename(run.path / ".model.before.tmp")
    resume(run.path)
    assert not [path for path in left if path.exists()]
    assert mine.exists()
    assert ganzoo.load(run)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("place", ["generator.safetensors", "manifest.json", "00000004"])
def test_a_disk_that_fails_in_a_checkpoint_leaves_the_one_before(
    tmp_path, monkeypatch, refused, code, place
):
    whole = trained(tmp_path / "a" / "run", steps=6)
    flush = files.flush

    def fail(path):
        if place in path.name and "00000004" in str(path):
            raise OSError(code, os.strerror(code), str(path))
        flush(path)

    out = tmp_path / "b" / "run"
    words = [f"--set={key}={','.join(map(str, value))}" for key, value in [("arch.hidden", (8,))]]
    words += ["--set=data.image_size=8", "--batch-size=8", "--device=cpu", "--steps=6"]
    words += [f"--set=train.{name}_every=2" for name in ("log", "sample", "checkpoint")]
    monkeypatch.setattr(files, "flush", fail)
    words += ["--loss=non-saturating", "--recipe=paper"]
    message = refused("train", "mlp", *words, f"--out={out}", code=1)
    assert os.strerror(code) in message
    assert message.endswith(f"ganzoo train --resume {out}")
    assert len(message.splitlines()) == 1
    monkeypatch.undo()
    assert checkpoint.steps(out / "checkpoints") == [2]
    assert not list((out / "checkpoints").glob(".*"))
    resume(out)
    assert crash.difference(crash.content(whole.path), crash.content(out)) == []


def test_a_folder_that_vanishes_ends_the_run_in_one_line(tmp_path):
    class Remover(Observer):
        def on_step(self, step):
            if step == 3:
                shutil.rmtree(tmp_path / "run")

    with pytest.raises(GanzooError, match="removed or replaced while it was trained"):
        trained(tmp_path / "run", observer=Remover(), log_every=1)


def test_a_device_in_the_place_of_a_picture_is_replaced(tmp_path):
    run = trained(tmp_path / "run")
    whole = crash.content(run.path)
    picture = run.samples / "00000004.png"
    picture.unlink()
    picture.symlink_to(os.devnull)
    resume(run.path)
    assert not picture.is_symlink()
    assert crash.difference(whole, crash.content(run.path)) == []


def test_a_reader_that_has_gone_is_no_failing_disk(tmp_path):
    class Unread(Observer):
        def on_log(self, row):
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        trained(tmp_path / "run", observer=Unread())


def killed(*code):
    """Do a few of what tests/crash.py does by the hundred, in a process of its own."""
    folder = Path(crash.__file__).parent
    lines = ["import sys", f"sys.path.insert(0, {str(folder)!r})", "import crash", *code]
    return subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_kills_leave_no_difference():
    done = killed("crash.FIXED = ()", "crash.main(['--kills=6', '--seed=1'])")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 differ, " in done.stdout


def test_the_crash_test_sees_a_picture_that_is_taken_for_another():
    """What was once wrong is found again in the trainings that showed it."""
    done = killed(
        "from ganzoo.runs.folder import Run",
        "from ganzoo.training.loop import _TrainingLoop as Loop",
        "take = Loop._take_picture",
        "def stale(self):",
        "    due, picture = self._is_due(self.options.sample_every), self.run.picture",
        "    if due or not picture(self.state.step).is_file(): take(self)",
        "Loop._take_picture, Run.drop_pictures_after = stale, lambda self, step: None",
        "crash.FIXED = crash.FIXED[1:]",
        "crash.main(['--kills=0'])",
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert ", 2 differ, " in done.stdout
    found = [line.strip() for line in done.stdout.splitlines() if line.startswith("  ")]
    assert found == ["report/logits.jsonl", "samples/00000006.png"]


def test_the_crash_test_sees_a_difference(tmp_path):
    run = trained(tmp_path / "run")
    before = crash.content(run.path)
    assert crash.difference(before, crash.content(run.path)) == []
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9}\n')
    (run.samples / "00000009.png").touch()
    assert crash.difference(before, crash.content(run.path)) == [
        "metrics.jsonl",
        "samples/00000009.png",
    ]


def test_no_other_run_is_made_in_a_folder_that_is_being_made(tmp_path):
    run = Run(tmp_path / "run")
    run.path.mkdir()
    with run.lock(), pytest.raises(InputError, match="another process is training"):
        trained(run.path)
