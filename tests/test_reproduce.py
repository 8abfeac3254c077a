"""What trains a run again."""

import json
import shlex
from pathlib import Path

import pytest
from PIL import Image

import ganzoo
from ganzoo.errors import PluginError
from ganzoo.resolve import resolve
from ganzoo.runs.reproduce import build_reproduction, format_argument, train_command
from tiny import TINY

MLP = {"arch.hidden": (8,), "data.image_size": 8}


def words(config, **options):
    ganzoo_word, *given = shlex.split(train_command(config, **options).replace("\\\n", " "))
    assert ganzoo_word == "ganzoo"
    return given


@pytest.fixture
def photos():
    """A folder of two small pictures, which lies in another one."""
    folder = Path("private", "photos")
    folder.mkdir(parents=True)
    for shade in (20, 200):
        Image.new("L", (8, 8), shade).save(folder / f"{shade}.png")
    return folder


def test_the_whole_command_has_whole_paths_and_trackers(ganzoo_cli, photos):
    settings = {"arch.hidden": "8", "tracker.tensorboard.flush_seconds": 7, "train.seed": 3}
    config = resolve("mlp", None, str(photos), settings, ["tensorboard"])
    wanted = config.model_dump(mode="json")
    assert json.loads(ganzoo_cli(*words(config, whole=True), "--dry-run").out) == wanted
    short = train_command(config)
    assert "photos" in short
    assert "private" not in short
    assert "tracker" not in short
    assert build_reproduction(config, whole=False).trackers == ()


def test_what_starts_from_a_model_names_it_and_every_option(ganzoo_cli, tmp_path):
    run = ganzoo.train("mlp", "wgan-gp", "digits", settings=MLP, **TINY, out=tmp_path / "first")
    given = {"init": run, "settings": {"loss.gp_weight": 10.0}, "loss": "wgan-gp"}
    tuned = ganzoo.train(**given, **TINY, out=tmp_path / "second")
    config = tuned.config()
    found = build_reproduction(config)
    assert found.init == "first"
    assert found.settings["loss.gp_weight"] == 10.0, "the default, but not to who starts there"
    assert found.settings["data.image_size"] == [8, 8]
    # The name is that of the folder; here it leads there as well.
    wanted = config.model_dump(mode="json") | {"data_fingerprint": None}
    assert json.loads(ganzoo_cli(*words(config, whole=True), "--dry-run").out) == wanted
    assert "--init" not in train_command(config)


def test_a_model_of_the_hub_is_named_with_its_commit():
    config = resolve("mlp", None, "ring")
    about = {"step": 1, "generator_sha256": "a", "discriminator_sha256": "b"}
    init = ganzoo.config.InitialModel(name="user/name", revision="c" * 40, **about)
    assert (
        build_reproduction(config.model_copy(update={"init": init})).init == f"user/name@{'c' * 40}"
    )


def test_what_only_a_missing_package_knows_cannot_be_said():
    config = resolve("mlp", None, "ring")
    foreign = config.loss.model_copy(update={"package": "zoo-of-ada"})
    with pytest.raises(PluginError, match="zoo-of-ada"):
        build_reproduction(config.model_copy(update={"loss": foreign}))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a b", "a b"),
        ([1, 0.5], "1,0.5"),
        (["a,b"], '["a,b"]'),
        ([], "[]"),
        (None, "null"),
        (True, "true"),
        ({"x": 1}, '{"x": 1}'),
    ],
)
def test_values_are_written_as_the_command_line_takes_them(value, text):
    assert format_argument(value) == text
