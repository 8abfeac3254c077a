"""Runs that start from a model's networks, of which they keep a copy."""

import contextlib
import json
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import crash
import ganzoo
from ganzoo.api.training import resume
from ganzoo.errors import InputError, Interrupted
from ganzoo.models.folder import write_manifest
from ganzoo.resolve import resolve
from ganzoo.runs.folder import Run
from ganzoo.storage import files
from ganzoo.storage.files import sha256
from ganzoo.storage.tensors import load_tensors, save_tensors
from ganzoo.training.observer import Observer
from tiny import TINY, Stopper

SMALL = {"train.recipe": "paper", "arch.hidden": (8,), "data.image_size": 8}
WEIGHTS = ("model.safetensors", "discriminator.safetensors")
ADVICE = "\ndrop what the model decides, or train without --init"


@pytest.fixture(scope="session")
def trained_mlp(tmp_path_factory):
    """A finished run of a small MLP on the digits; to be read, not changed."""
    out = tmp_path_factory.mktemp("runs") / "first"
    return ganzoo.train("mlp", "non-saturating", "digits", out=out, settings=SMALL, **TINY)


@pytest.fixture
def first(trained_mlp):
    """A run to start from, which may be changed."""
    return Run(Path(shutil.copytree(trained_mlp.path, "first")))


@pytest.fixture
def photos(tmp_path):
    """Grey images of another kind and size."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for i in range(20):
        pixels = rng.integers(0, 60, (12, 12), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{i}.png")
    return tmp_path / "photos"


def tuned(out, init, *names, observer=None, settings=None, **options):
    return ganzoo.train(
        *names, init=init, out=out, observer=observer, settings=settings, **{**TINY, **options}
    )


def same(one, other):
    """Say in which files two runs differ."""
    return crash.difference(crash.content(one.path), crash.content(other.path))


# What it starts from ----------------------------------------------------------------------------


def test_without_a_step_it_is_the_model(first):
    run = tuned("next", first, steps=0)
    for name in WEIGHTS:
        assert (run.model / name).read_bytes() == (first.model / name).read_bytes(), name
    ours, theirs = ganzoo.load(run), ganzoo.load(first)
    assert (ours.config.step, theirs.config.step) == (0, 4)
    assert torch.equal(ours.sample(5, seed=2), theirs.sample(5, seed=2))


def test_generator_and_average_begin_as_the_models_average(first):
    run = tuned(
        "next",
        first,
        steps=1,
        checkpoint_every=1,
        generator_lr=1e-30,
        ema_half_life=32.0,
        ema_ramp=0.0,
    )
    (state,) = run.checkpoints.iterdir()
    mine = load_tensors(first.model / "model.safetensors")
    assert mine.keys() == load_tensors(state / "generator.safetensors").keys()
    for name, value in load_tensors(state / "generator.safetensors").items():
        torch.testing.assert_close(value, mine[name], rtol=0, atol=0)
        average = load_tensors(state / "generator_ema.safetensors")[f"module.{name}"]
        torch.testing.assert_close(average, mine[name], rtol=0, atol=0)


def test_optimisers_and_steps_begin_anew(first):
    run = tuned("next", first, steps=1, checkpoint_every=1, log_every=1)
    (state,) = run.checkpoints.iterdir()
    assert state.name == "00000001"
    moments = load_tensors(state / "generator_optimizer.safetensors")
    assert {value.item() for name, value in moments.items() if name.endswith("step")} == {1.0}
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1]


def test_trained_on_other_data_it_changes(first, photos):
    learning = {"generator_lr": 3e-3, "discriminator_lr": 3e-3, "checkpoint_every": 200}
    run = tuned("next", first, None, None, str(photos), steps=200, **learning)
    model, before = ganzoo.load(run), ganzoo.load(first)
    assert model.config.spec.shape == before.config.spec.shape == (1, 8, 8)
    assert model.config.data.name == "folder"
    assert model.sample(64).mean() < before.sample(64).mean() - 0.1, "the photos are dark"


@pytest.mark.parametrize("reference", ["run", "path", "text", "model"])
def test_every_reference_starts_the_same(first, reference):
    given = {
        "run": first,
        "path": first.path,
        "text": str(first.path.resolve()),
        "model": first.model,
    }[reference]
    run = tuned("next", given, steps=0)
    assert run.config().init.name == "first"
    assert (run.model / "model.safetensors").read_bytes() == (
        first.model / "model.safetensors"
    ).read_bytes()


def test_a_model_folder_gives_its_own_name(first):
    shutil.move(first.model, "taken home")
    run = tuned("next", "taken home", steps=0)
    assert run.config().init.name == "taken home"
    assert os.getcwd() not in (run.path / "config.json").read_text()


def test_a_model_of_the_hub_is_named_by_its_commit(first, hub, client, tmp_path):
    files = {path.name: path.read_bytes() for path in first.model.iterdir()}
    commit = hub.repo("alice/digits", files)
    done = client.run(
        *("train", "--init", "alice/digits", "--recipe=paper", "--steps=2", "--device=cpu"),
        "--out=a/run",
    )
    assert done.code == 0, done
    hub.commit("alice/digits", {"README.md": b"changed"})
    hub.offline()
    init = Run(Path("a/run")).config().init
    assert (init.name, init.revision, init.step) == ("alice/digits", commit, 4)
    assert f"started from alice/digits: revision={commit}, " in client.run("show", "a/run").out
    client.empty_cache()
    assert client.run("train", "--resume=a/run", "--steps=3").code == 0
    for name in WEIGHTS:
        assert Path("a/run/init", name).read_bytes() == files[name]


def test_a_model_that_started_from_another_starts_a_third(first):
    second = tuned("second", first, steps=1)
    third = tuned("third", second, steps=0)
    assert (second.config().init.name, third.config().init.name) == ("first", "second")
    assert (third.model / "model.safetensors").read_bytes() == (
        second.model / "model.safetensors"
    ).read_bytes()


@pytest.mark.parametrize("loss", ["wgan", "hinge"])
def test_another_loss_goes_on(first, loss):
    run = tuned("next", first, None, loss, steps=2)
    assert run.config().loss.name == loss
    if loss == "wgan":
        weights = load_tensors(run.checkpoints / "00000002" / "discriminator.safetensors")
        assert all(bool((value.abs() <= 0.01).all()) for value in weights.values())


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("wgan-gp", "hinge", "7 of its 10 tensors are taken from there, and the others begin anew"),
        ("hinge", "wgan-gp", "7 of its 7 tensors are taken from there, and the others begin anew"),
    ],
)
def test_a_loss_that_needs_another_discriminator_gets_what_fits(before, after, words, ganzoo_cli):
    small = {"arch.base_channels": 4, "arch.z_dim": 8, "data.image_size": 16}
    first = ganzoo.train("dcgan", before, "digits", out="first", settings=small, **TINY)
    options = ["--init=first", f"--loss={after}", "--steps=0", "--device=cpu", "--out=next"]
    result = ganzoo_cli("train", *options)
    (warning,) = [line for line in result.err.splitlines() if line.startswith("warning: ")]
    assert warning.endswith(f"needs another discriminator than that of first: {words}")
    model = Path("next/model")
    assert (model / WEIGHTS[0]).read_bytes() == (first.model / WEIGHTS[0]).read_bytes()
    mine, theirs = (load_tensors(each / WEIGHTS[1]) for each in (first.model, model))
    assert ("3.running_mean" in mine, "3.running_mean" in theirs) == (
        before == "hinge",
        after == "hinge",
    )
    for name in mine.keys() & theirs.keys():
        assert torch.equal(mine[name], theirs[name]), name


def test_a_run_with_another_discriminator_ends_in_the_same_bytes(first, tiny_run):
    shutil.copytree(tiny_run.path, "before")
    whole = tuned("a/run", "before", None, "hinge")
    with pytest.raises(Interrupted):
        tuned("b/run", "before", None, "hinge", observer=Stopper(1))
    shutil.rmtree("before")
    assert not same(whole, resume("b/run"))


MEMORY = """
import torch
from ganzoo import Penalty
from ganzoo_zoo.losses.non_saturating import NonSaturating

def build(value):
    module = torch.nn.Module()
    module.register_buffer("mean", torch.tensor(value))
    return module

class Recalling(NonSaturating):
    "Remembers a number."
    def state(self, data): return build(1.0)
    def remember(self, state, observed): state.mean.lerp_(observed["real"], 0.5)
    def discriminator_loss(self, D, real, fake):
        D.observe(real=D(real).mean())
        return {**super().discriminator_loss(D, real, fake), "far": 0.1 * D.state.mean.square()}

class Centre(Penalty):
    "Remembers a number, and needs each sample judged on its own."
    independent_samples = True
    def state(self, data): return build(0.0)
    def remember(self, state, observed): state.mean.lerp_(observed["real"], 0.5)
    def discriminator_terms(self, D, real, fake):
        D.observe(real=D.recall(real).mean())
        return {"centre": (D.recall(fake) - D.state.mean).square().mean()}
"""


@pytest.fixture
def memory(plugin):
    names = {
        "ganzoo.losses": {"recalling": "ganzoo_memory:Recalling"},
        "ganzoo.penalties": {"centre": "ganzoo_memory:Centre"},
    }
    plugin("ganzoo-memory", MEMORY, names)


@pytest.mark.parametrize("loss", ["recalling", "hinge"])
def test_what_losses_and_penalties_remember_is_in_no_model(first, memory, loss):
    before = tuned("before", first, None, "recalling", penalty=("centre",))
    assert (before.checkpoints / "00000004" / "penalty_memory.centre.safetensors").exists()
    names = {path.name for path in (*before.model.iterdir(), *(before.path / "init").iterdir())}
    assert not any("memory" in name for name in names)
    other = {"recalling": "hinge", "hinge": "recalling"}[loss]
    whole = tuned("a/run", before, None, other)
    assert whole.config().penalties == ()
    assert not same(whole, _stopped("b/run", before, 1, loss=other))


def test_a_penalty_may_need_another_discriminator(memory, ganzoo_cli):
    small = {"arch.base_channels": 4, "arch.z_dim": 8, "data.image_size": 16}
    ganzoo.train("dcgan", "hinge", "digits", out="first", settings=small, **TINY)
    result = ganzoo_cli("train", "--init=first", "--penalty=centre", "--steps=1", "--out=next")
    assert "a penalty needs another discriminator than that of first: 7 of its 7" in result.err
    assert result.code == 0


def test_a_conditional_model_goes_on(tmp_path):
    settings = {**SMALL, "arch.conditional": True}
    before = ganzoo.train("mlp", out="first", settings=settings, **TINY)
    run = tuned("next", before, steps=0)
    model = ganzoo.load(run)
    assert model.conditional
    assert torch.equal(model.sample(3, label=7), ganzoo.load(before).sample(3, label=7))
    assert not same(tuned("a/run", before, steps=3), _stopped("b/run", before, 1, steps=3))


@pytest.fixture
def domains(tmp_path):
    rng = np.random.default_rng(0)
    for name, least in (("dark", 0), ("light", 200)):
        (tmp_path / "domains" / name).mkdir(parents=True)
        for i in range(4):
            pixels = rng.integers(least, least + 50, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "domains" / name / f"{i}.png")
    return str(tmp_path / "domains")


def test_a_translator_goes_on_with_an_empty_pool(domains):
    settings = {"arch.base_channels": 2, "arch.blocks": 1, "arch.pool_size": 4}
    tiny = {**TINY, "batch_size": 2}
    before = ganzoo.train("cyclegan", data=domains, out="first", settings=settings, **tiny)
    whole = tuned("a/run", before, batch_size=2)
    assert whole.config().architecture.options["pool_size"] == 4
    assert not same(whole, _stopped("b/run", before, 1, batch_size=2))
    fresh = tuned("c/run", before, batch_size=2, steps=1, checkpoint_every=1)
    (state,) = fresh.checkpoints.iterdir()
    history = load_tensors(state / "history.safetensors")
    full = load_tensors(before.checkpoints / "00000004" / "history.safetensors")
    assert any(not torch.equal(history[name], full[name]) for name in full)


# What is not given ------------------------------------------------------------------------------


def test_what_is_not_given_is_the_models(first, ganzoo_cli):
    changed = {"loss": "unrolled", "settings": {**SMALL, "loss.unrolled_steps": 2, "arch.z_dim": 5}}
    before = ganzoo.train("mlp", data="digits", out="other", **changed, **{**TINY, "steps": 0})
    shown = json.loads(ganzoo_cli("train", "--init", "other", "--dry-run").out)
    for part in ("architecture", "loss", "data"):
        assert shown[part] == json.loads((before.path / "config.json").read_text())[part]
    plain = resolve("mlp", "unrolled", "digits").train
    assert shown["train"] == plain.model_dump(mode="json"), "but for how it is trained"


def test_what_is_given_counts(first, ganzoo_cli):
    given = ["--loss", "lsgan", "--steps", "7", "--set", "data.image_size=8x8"]
    shown = json.loads(ganzoo_cli("train", "mlp", "--init", "first", *given, "--dry-run").out)
    assert shown["loss"]["name"] == "lsgan"
    assert shown["train"]["steps"] == 7
    assert shown["architecture"]["options"]["hidden"] == [8]


def test_options_of_the_same_loss_are_kept_unless_given(ganzoo_cli):
    settings = {**SMALL, "loss.gp_weight": 3.0}
    ganzoo.train("mlp", "wgan-gp", out="first", settings=settings, **{**TINY, "steps": 0})

    def weight(*given):
        result = ganzoo_cli("train", "--init", "first", "--dry-run", *given)
        return json.loads(result.out)["loss"]["options"]["gp_weight"]

    assert weight() == weight("--loss", "wgan-gp") == weight("--loss", "ganzoo:wgan-gp") == 3.0
    assert weight("--set", "loss.gp_weight=4") == 4.0


def test_other_images_get_the_models_size_and_channels(first, photos, ganzoo_cli):
    shown = json.loads(ganzoo_cli("train", "--init", "first", "--data", "photos/", "--dry-run").out)
    assert shown["data"]["name"] == "folder"
    assert shown["data"]["options"]["image_size"] == [8, 8]
    assert shown["data"]["options"]["image_channels"] == 1


def test_data_of_a_path_are_the_models_while_they_are_there(first, photos, refused):
    second = tuned("second", first, None, None, str(photos), steps=0)
    third = tuned("third", second, steps=0)
    assert third.config().data == second.config().data
    photos.rename("elsewhere")
    assert refused("train", "--init", "second", "--out", "fourth") == (
        f"Error: the model was trained on {photos}, which is not here: give --data"
    )
    again = ["--init", "second", "--data", "elsewhere/", "--steps", "0", "--device", "cpu"]
    assert not Path("fourth").exists()
    from ganzoo.cli import main

    assert main(["train", *again, "--out", "fourth"]) == 0


# What it says of itself -------------------------------------------------------------------------


def test_the_configuration_says_what_it_started_from(first, ganzoo_cli):
    run = tuned("next", str(first.path.resolve()), steps=1)
    known = {
        "name": "first",
        "revision": None,
        "step": 4,
        "generator_sha256": sha256(first.model / "model.safetensors"),
        "discriminator_sha256": sha256(first.model / "discriminator.safetensors"),
    }
    assert run.config().init.model_dump() == known
    assert ganzoo.load(run).config.init.model_dump() == known
    assert json.loads(ganzoo_cli("train", "--init", "first", "--dry-run").out)["init"] == known
    assert "  started from first: revision=None, step=4, " in ganzoo_cli("show", "next").out
    assert json.loads(ganzoo_cli("show", "next", "--json").out)["config"]["init"] == known
    assert sorted(path.name for path in (run.path / "init").iterdir()) == [
        "config.json",
        "discriminator.safetensors",
        "model.safetensors",
    ]


def test_a_run_of_drawn_weights_says_that_there_is_none(first, ganzoo_cli):
    assert first.config().init is None
    assert not (first.path / "init").exists()
    assert "started from" not in ganzoo_cli("show", "first").out
    config = json.loads((first.path / "config.json").read_text())
    del config["init"]  # as it was written before there was such a key
    (first.path / "config.json").write_text(json.dumps(config))
    assert first.config().init is None
    assert resume(first.path).config().init is None


# What is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "differences"),
    [
        (["dcgan"], "architecture: mlp -> dcgan"),
        (["--set", "arch.z_dim=9"], "arch.z_dim: 64 -> 9"),
        (
            ["--set", "arch.hidden=9,9", "--set", "arch.z_dim=9", "--image-size", "10"],
            "arch.z_dim: 64 -> 9; arch.hidden: [8] -> [9, 9]; samples: 1 x 8 x 8 -> 1 x 10 x 10",
        ),
        (["--data", "ring"], "samples: 1 x 8 x 8 -> 2"),
        (
            ["--data", "photos/", "--set", "data.image_channels=3"],
            "samples: 1 x 8 x 8 -> 3 x 8 x 8",
        ),
        (
            ["--set", "arch.conditional=true"],
            "arch.conditional: False -> True",
        ),
    ],
)
def test_differences_are_listed_before_a_folder_appears(first, photos, refused, given, differences):
    message = refused("train", *given, "--init", "first", "--out", "next")
    assert message == f"Error: first does not fit this run: {differences}{ADVICE}"
    assert not Path("next").exists()
    assert not Path("runs").exists()


def test_a_dry_run_refuses_what_it_can_see(first, refused):
    message = refused("train", "dcgan", "--init", "first", "--dry-run")
    assert message == f"Error: first does not fit this run: architecture: mlp -> dcgan{ADVICE}"


def test_other_classes_do_not_fit_networks_that_take_them(photos, refused):
    for name in ("cats", "dogs"):
        (photos / name).mkdir()
        for i in range(4):
            shutil.copy(photos / f"{i}.png", photos / name / f"{i}.png")
    for path in photos.glob("*.png"):
        path.unlink()
    conditional = {**SMALL, "arch.conditional": True}
    none = {**TINY, "steps": 0}
    ganzoo.train("mlp", out="told", settings=conditional, **none)
    message = refused("train", "--init", "told", "--data", "photos/", "--out", "next")
    assert message == f"Error: told does not fit this run: classes: 10 -> 2{ADVICE}"
    plain = ganzoo.train("mlp", out="plain", settings=SMALL, **none)
    assert tuned("next", plain, None, None, "photos/", steps=1).config().init.name == "plain"


def test_a_plugin_that_builds_other_tensors_now_is_refused(plugin, refused, monkeypatch):
    code = """
from pydantic import Field
from torch import nn
from ganzoo import Architecture

class Thin(Architecture):
    "One layer each."

    z_dim: int = Field(default=4, description="Length of a latent.")

    def generator(self, data):
        return nn.Sequential(nn.Linear(self.z_dim, data.size), nn.Unflatten(1, data.shape))

    def discriminator(self, data, *, independent_samples=False):
        middle = (nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1))
        return nn.Sequential(nn.Flatten(), nn.Linear(data.size, 2), *middle, nn.Flatten(0))
"""
    points = {"ganzoo.architectures": {"thin": "ganzoo_thin:Thin"}}
    plugin("ganzoo-thin", code, points)
    small = {"settings": {"data.image_size": 8}, **TINY}
    ganzoo.train("thin", "hinge", "digits", out="first", **{**small, "steps": 0})
    whole = tuned("next", "first", steps=2)
    import ganzoo_thin

    monkeypatch.setattr(ganzoo_thin.nn, "Linear", partial(torch.nn.Linear, bias=False))
    message = refused("train", "--resume", whole.path, "--steps", "3")
    assert message.startswith(
        "Error: first does not fit this run: generator.0.bias: float32 (64,) -> none; "
        "discriminator.1.bias: float32 (2,) -> none; discriminator.2.bias: float32 (2,) -> none; "
        "and 2 more tensors\n"
    )


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(first, refused, name, value):
    tensors = load_tensors(first.model / name)
    next(iter(tensors.values())).view(-1)[0] = value
    save_tensors(first.model / name, tensors)
    write_manifest(first.model)
    assert "not finite" in refused("train", "--init", "first", "--out", "next")
    assert not Path("next").exists()


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_of_another_type_are_refused(first, refused, name):
    tensors = load_tensors(first.model / name)
    save_tensors(first.model / name, {key: value.bfloat16() for key, value in tensors.items()})
    write_manifest(first.model)
    message = refused("train", "--init", "first", "--out", "next")
    assert "torch.bfloat16, not torch.float32" in message
    assert not Path("next").exists()


@pytest.mark.parametrize("command", [["--dry-run"], ["--out", "next"]])
def test_no_model_is_refused(refused, command):
    assert "no run or model folder named 'nothing'" in refused(
        "train", "--init", "nothing", *command
    )
    assert not Path("next").exists()


def test_neither_architecture_nor_model_is_refused():
    with pytest.raises(InputError, match="name an architecture"):
        ganzoo.train()


def test_a_run_that_goes_on_keeps_its_own(first, refused):
    tuned("next", first, steps=1)
    message = refused("train", "--resume", "next", "--init", "first")
    assert message == ("Error: --resume continues from the run's own weights: drop --init")
    message = refused("train", "--init", "first", "--out", "next")
    assert "next exists already" in message


# To the same bytes ------------------------------------------------------------------------------


def _stopped(out, init, step, loss=None, **options):
    with pytest.raises(Interrupted):
        tuned(out, init, None, loss, observer=Stopper(step), **options)
    return resume(out)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_run_that_was_stopped_ends_in_the_same_bytes(first, stop):
    assert not same(tuned("a/run", first), _stopped("b/run", first, stop))


class Killed(BaseException):
    """Ends a process at once."""


class Killer(Observer):
    def __init__(self, step):
        self.step = step

    def on_start(self, run, config, step):
        if self.step == step == 0:
            raise Killed

    def on_step(self, step):
        if step == self.step:
            raise Killed


@pytest.fixture
def vanish(first):
    """Take away the model, or put another in its place, in the middle of things."""

    def happen(how):
        if how == "changed":
            save_tensors(first.model / WEIGHTS[0], load_tensors(first.model / WEIGHTS[1]))
            write_manifest(first.model)
        elif how == "gone":
            shutil.rmtree(first.path)

    return happen


@pytest.mark.parametrize("how", ["as it was", "changed", "gone"])
@pytest.mark.parametrize("step", [0, 1, 3])
def test_a_killed_run_ends_in_the_same_bytes_whatever_becomes_of_the_model(
    first, vanish, step, how
):
    whole = tuned("a/run", first)
    with pytest.raises(Killed):
        tuned("b/run", first, observer=Killer(step))
    vanish(how)
    assert not same(whole, resume("b/run"))


@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_run_that_diverges_before_its_first_checkpoint_goes_back_to_the_model(
    first, vanish, how, plugin
):
    plugin(
        "ganzoo-diverging",
        crash.DIVERGING,
        {"ganzoo.losses": {"diverging": "ganzoo_diverging:Diverging"}},
    )
    options = {"steps": 10, "checkpoint_every": 9}
    warnings = []

    class Listener(Observer):
        def on_warning(self, message):
            warnings.append(message)

    whole = tuned("a/run", first, None, "diverging", observer=Listener(), **options)
    assert "going back to step 0" in warnings[0]
    with pytest.raises(Interrupted):
        tuned("b/run", first, None, "diverging", observer=Stopper(3), **options)
    vanish(how)
    assert not same(whole, resume("b/run"))


def test_a_run_is_killed_in_each_moment_of_its_creation(first, monkeypatch):
    whole = tuned("a/run", first)
    original, moments = files.flush, 0
    for moment in range(100):
        left = [moment]

        def flush(path, left=left):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            original(path)

        monkeypatch.setattr(files, "flush", flush)
        out = Path("b") / str(moment) / "run"
        with contextlib.suppress(Killed):
            tuned(out, first, observer=Killer(0))
        monkeypatch.setattr(files, "flush", original)
        if (out / "config.json").exists():
            assert not same(whole, resume(out))
            break
        again = tuned(out, first)
        assert not same(whole, again), moment
        moments += 1
    assert moments > 6


def test_a_copy_that_was_left_is_in_nobody_elses_way(first, refused):
    """What stands in a folder by the name of the copy is replaced only if it is one."""
    Path("next/init").mkdir(parents=True)
    Path("next/init/config.json").write_text("mine")
    assert "next exists already" in refused("train", "--init", "first", "--out", "next")
    assert Path("next/init/config.json").read_text() == "mine"
    for name in WEIGHTS:
        Path("next/init", name).write_text("half")
    assert "next exists already" in refused("train", "mlp", "--out", "next")
    assert tuned("next", first, steps=0).config().init.name == "first"


def test_a_model_that_changes_in_the_last_moment_is_refused(first, monkeypatch):
    from ganzoo.runs.folder import Run as Made

    locked = Made.lock

    def change(self):
        save_tensors(first.model / WEIGHTS[0], load_tensors(first.model / WEIGHTS[1]))
        return locked(self)

    monkeypatch.setattr(Made, "lock", change)
    with pytest.raises(InputError, match="changed or damaged"):
        tuned("next", first)
    assert not Path("next/config.json").exists()
    assert not Path("next/init").exists()


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("how", ["changed", "gone", "of another model"])
def test_a_copy_that_is_not_what_it_was_is_refused(first, refused, name, how):
    run = tuned("next", first, steps=2)
    path = run.path / "init" / name
    if how == "gone":
        path.unlink()
    elif how == "changed":
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    else:
        shutil.copy(run.model / name, path)
    message = refused("train", "--resume", "next", "--steps", "4")
    assert str(path) in message
    assert ("is missing" if how == "gone" else "is not what the run started from") in message


def test_a_configuration_that_starts_from_a_model_is_not_trained_without_it(first):
    from ganzoo.api.training import start

    config = tuned("next", first, steps=0).config()
    with pytest.raises(InputError, match="starts from the model first"):
        start(config, "again")
    assert not Path("again").exists()
