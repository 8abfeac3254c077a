"""Arguments from Python: one check for each kind of them, whatever function they are given to."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

import ganzoo
from ganzoo.arguments import (
    require_int,
    require_names,
    require_options,
    require_positive,
    require_text,
)
from ganzoo.compute.seeding import derive_seed
from ganzoo.errors import GanzooError, InputError
from ganzoo.media.images import save_png
from ganzoo.models.sample_files import write_samples, write_walk
from tiny import TINY

WHOLE = [3, 3.0, np.int64(3), np.uint8(3), np.float32(3), np.float64(3), Fraction(6, 2)]
NOT_WHOLE = ["3", None, True, np.True_, 2.5, float("nan"), float("inf"), [3], 3j, torch.tensor(3)]
BLANK = ["", " ", "\t\n"]


@pytest.fixture(scope="module")
def model(tiny_run):
    return ganzoo.load(tiny_run)


@pytest.mark.parametrize("value", WHOLE, ids=repr)
def test_equal_whole_numbers_are_the_same_int(value):
    found = require_int("seed", value)
    assert (found, type(found)) == (3, int)


@pytest.mark.parametrize("value", NOT_WHOLE, ids=repr)
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(InputError, match=r"^seed must be a whole number, not "):
        require_int("seed", value)


def test_a_number_has_a_least_value():
    assert require_int("seed", 2**70) == 2**70
    for value in (-1, -1.0, np.int64(-1)):
        with pytest.raises(InputError, match=r"^seed must be at least 0, not -1"):
            require_int("seed", value)
    with pytest.raises(InputError, match=r"^steps must be at least 1, not 0$"):
        require_int("steps", 0, 1)


def test_a_positive_number():
    assert require_positive("truncation", np.float32(0.5)) == 0.5
    for value in (0, -1, "1", True, None, float("nan"), float("inf"), 1j):
        with pytest.raises(InputError, match=r"^truncation must be a number above 0, not "):
            require_positive("truncation", value)


def test_names_paths_and_options():
    assert require_text("a path", Path("a") / "b") == str(Path("a") / "b")
    assert require_names("metrics", ["fid", Path("kid")]) == ("fid", "kid")
    assert require_options("settings", None) == {}
    for value in (*BLANK, None, 3, b"x", torch.zeros(2), ["x"]):
        with pytest.raises(InputError, match=r"^give a path, not "):
            require_text("a path", value)
    for value in ("fid", Path("fid"), None, 3, [""], [3]):
        with pytest.raises(InputError, match=r"^give metrics "):
            require_names("metrics", value)
    for value in ("loss.x=1", ["loss.x=1"], {1: 2}, 3):
        with pytest.raises(InputError, match=r"^give settings as a dictionary by name, not "):
            require_options("settings", value)


# Numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", WHOLE, ids=repr)
def test_equal_seeds_give_the_same_samples(model, seed, tmp_path):
    assert torch.equal(model.sample(4, seed=seed), model.sample(4, seed=3))
    assert derive_seed(seed, "place", seed) == derive_seed(3, "place", 3)
    write_samples(model, tmp_path / "one", 1, seed)
    assert (tmp_path / "one" / "seed3-00000.png").exists()


@pytest.mark.parametrize("wrong", [*NOT_WHOLE, -1], ids=repr)
def test_other_numbers_are_refused_by_every_function(model, wrong, tmp_path):
    calls = {
        "count": lambda: model.sample(wrong),
        "seed": lambda: model.sample(4, seed=wrong),
        "a walk's count": lambda: model.walk(wrong, [0, 1], 2),
        "a walk's seed": lambda: model.walk(2, [0, wrong], 2),
        "a walk's frames": lambda: model.walk(2, [0, 1], wrong),
        "a file's seed": lambda: write_samples(model, tmp_path / "a.png", 4, wrong),
        "a movie's frames": lambda: write_walk(model, tmp_path / "a.gif", [0, 1], wrong),
        "evaluate's seed": lambda: ganzoo.evaluate(model, ["prc"], seed=wrong),
        "repeats": lambda: ganzoo.evaluate(model, ["prc"], repeats=wrong),
        "derive_seed's seed": lambda: derive_seed(wrong, "x"),
        "derive_seed's place": lambda: None if isinstance(wrong, str) else derive_seed(0, wrong),
    }
    if wrong is not None:
        calls |= {
            "a file's count": lambda: write_samples(model, tmp_path / "a.png", wrong),
            "a movie's count": lambda: write_walk(model, tmp_path / "a.gif", [0, 1], 1, wrong),
            "samples": lambda: ganzoo.evaluate(model, ["prc"], samples=wrong),
            "real_samples": lambda: ganzoo.evaluate(model, ["prc"], real_samples=wrong),
        }
    accepted = []
    for name, call in calls.items():
        try:
            if call() is not None:
                accepted.append(name)
        except GanzooError:
            pass
    assert not accepted
    assert not list(tmp_path.glob("a.*"))


def test_no_samples_is_not_the_default_number(model, tmp_path):
    for call in (
        lambda: write_samples(model, tmp_path / "a.png", 0),
        lambda: write_walk(model, tmp_path / "a.gif", [0, 1], 1, 0),
        lambda: ganzoo.evaluate(model, ["prc"], samples=0),
        lambda: ganzoo.evaluate(model, ["prc"], real_samples=0),
    ):
        with pytest.raises(InputError, match="must be at least 1, not 0"):
            call()


def test_seeds_of_a_walk_are_a_list(model):
    assert torch.equal(model.walk(1, np.array([0, 1]), 2), model.walk(1, [0, 1], 2))
    for seeds in (3, None, [], [1], "01"):
        with pytest.raises(InputError):
            model.walk(1, seeds, 2)


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("option", ["seed", "steps", "batch_size", "n_critic", "retry_lr"])
def test_options_of_training_take_no_truth_value_for_a_number(option, value):
    with pytest.raises(InputError, match=f"option 'train.{option}'.* {value}$"):
        ganzoo.train("mlp", **{option: value})


@pytest.mark.parametrize("value", [np.int64(3), 3.0])
def test_options_of_training_take_any_whole_number(value, tmp_path):
    options = {**TINY, "steps": 0, "seed": value}
    run = ganzoo.train("mlp", data="ring", out=tmp_path / "run", **options)
    assert (run.config().train.seed, type(run.config().train.seed)) == (3, int)


# Names and paths -----------------------------------------------------------------------------


@pytest.mark.parametrize("blank", BLANK, ids=repr)
def test_an_empty_name_or_path_is_refused_by_every_function(model, blank, tiny_run, tmp_path):
    calls = [
        lambda: ganzoo.train(blank),
        lambda: ganzoo.train("mlp", blank),
        lambda: ganzoo.train("mlp", data=blank),
        lambda: ganzoo.train("mlp", out=blank),
        lambda: ganzoo.train(init=blank),
        lambda: ganzoo.train(init=tiny_run, loss=blank),
        lambda: ganzoo.train(init=tiny_run, data=blank),
        lambda: ganzoo.train("mlp", trackers=[blank]),
        lambda: ganzoo.train("mlp", augment=[blank]),
        lambda: ganzoo.train("mlp", eval_every=1, eval_metric=[blank]),
        lambda: ganzoo.train("mlp", device=blank),
        lambda: ganzoo.train("mlp", data="folder", settings={"data.path": blank}),
        lambda: ganzoo.resume(blank),
        lambda: ganzoo.load(blank),
        lambda: ganzoo.load("somebody/model", blank),
        lambda: ganzoo.evaluate(blank),
        lambda: ganzoo.evaluate(model, [blank]),
        lambda: ganzoo.evaluate(model, data=blank),
        lambda: ganzoo.evaluate(floor=True, data=blank),
        lambda: ganzoo.evaluate(model, features=blank),
        lambda: ganzoo.evaluate(model, features_weights=blank),
        lambda: ganzoo.evaluate(model, device=blank),
        lambda: ganzoo.open_dataset(blank),
        lambda: ganzoo.open_dataset("folder", path=blank),
        lambda: ganzoo.publish(blank, "user/name", dry_run=True),
        lambda: ganzoo.publish(tiny_run, blank, dry_run=True),
        lambda: ganzoo.publish(tiny_run, "user/name", license=blank, dry_run=True),
        lambda: ganzoo.publish(tiny_run, "user/name", card_file=blank, dry_run=True),
        lambda: ganzoo.publish(tiny_run, "user/name", add=[blank], dry_run=True),
        lambda: ganzoo.publish(tiny_run, "user/name", revision=blank, dry_run=True),
        lambda: ganzoo.publish(tiny_run, "user/name", space=blank, dry_run=True),
    ]
    for number, call in enumerate(calls):
        with pytest.raises(InputError) as caught:
            call()
        assert len(str(caught.value).splitlines()) == 1, (number, str(caught.value))
    assert not (tmp_path / "runs").exists()


def test_what_is_no_name_or_path_is_one_error(model, tiny_run):
    for call in (
        lambda: ganzoo.train("mlp", data=3),
        lambda: ganzoo.train(init=tiny_run, data=3),
        lambda: ganzoo.evaluate(model, data=3),
        lambda: ganzoo.open_dataset(3),
        lambda: ganzoo.open_dataset(torch.zeros(4, 1, 32, 32, dtype=torch.uint8)),
    ):
        with pytest.raises(InputError, match="give as data the name of a dataset, or the path"):
            call()
    wrong = object()
    for call in (
        lambda: ganzoo.train(wrong),
        lambda: ganzoo.train("mlp", wrong),
        lambda: ganzoo.train("mlp", out=wrong),
        lambda: ganzoo.train("mlp", settings=wrong),
        lambda: ganzoo.train("mlp", trackers=wrong),
        lambda: ganzoo.train("mlp", trackers="tensorboard"),
        lambda: ganzoo.train("mlp", observer=wrong),
        lambda: ganzoo.train(init=model),
        lambda: ganzoo.resume(wrong),
        lambda: ganzoo.resume(tiny_run.path, wrong),
        lambda: ganzoo.load(wrong),
        lambda: ganzoo.evaluate(wrong),
        lambda: ganzoo.evaluate(model, "prc"),
        lambda: ganzoo.evaluate(model, data_options=wrong),
        lambda: ganzoo.evaluate(model, metric_options=wrong),
        lambda: ganzoo.evaluate(model, features=wrong),
        lambda: ganzoo.evaluate(model, device=wrong),
        lambda: ganzoo.publish(tiny_run, wrong, dry_run=True),
        lambda: ganzoo.publish(tiny_run, "user/name", add="model.onnx", dry_run=True),
    ):
        with pytest.raises(InputError) as caught:
            call()
        assert len(str(caught.value).splitlines()) == 1


def test_a_path_is_taken_as_its_text(tmp_path):
    (tmp_path / "images").mkdir()
    picture = torch.arange(64, dtype=torch.uint8).view(1, 8, 8)
    for number in range(4):
        save_png(picture + number, tmp_path / "images" / f"{number}.png", {})
    path = tmp_path / "images"
    options = {**TINY, "steps": 0, "batch_size": 2}
    runs = [
        ganzoo.train("mlp", data=data, out=tmp_path / name, **options)
        for name, data in (("one", path), ("two", str(path)), ("three", Path("images")))
    ]
    assert len({run.config().model_dump_json() for run in runs}) == 1
    assert len(ganzoo.open_dataset(path)) == 4


# Classes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [1.5, "1", True, torch.tensor([0.0, 1.0]), torch.zeros(3)])
def test_labels_are_whole_numbers_for_each_sample(label, tiny_run):
    spec = ganzoo.DataSpec(shape=(1, 16, 16), classes=10)
    model = ganzoo.load(tiny_run)
    inputs = type(model.inputs)(Conditional(model.architecture), spec)
    with pytest.raises(InputError):
        inputs.draw(2, 0, label)
    assert inputs.draw(2, 0, np.int64(3)).labels.tolist() == [3, 3]
    assert inputs.draw(2, 0, torch.tensor([3, 4])).labels.tolist() == [3, 4]


class Conditional:
    """An architecture that takes labels, around one that does not."""

    latents = ganzoo.Architecture.latents

    def __init__(self, architecture):
        self._architecture = architecture

    def __getattr__(self, name):
        return getattr(self._architecture, name)

    def takes_labels(self, data):
        return True
