"""Models that are not of one's own run choose no paths, and have nothing downloaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torchvision
from pydantic import AnyUrl, BaseModel, Field, FilePath

import ganzoo
from ganzoo.component import AbsolutePath, Component, place_options
from ganzoo.storage.paths import names_place
from tiny import TINY, sealed

PLUGIN = """
from pathlib import Path
import torch
from pydantic import Field
from ganzoo import Dataset, DataSpec, Samples
from ganzoo.component import AbsolutePath
from ganzoo_zoo.losses.hinge import Hinge

class Points(Dataset):
    "Points from a file, or drawn."
    source: AbsolutePath | None = Field(default=None, description="A file.")
    also: tuple[Path, ...] = Field(default=(), description="Other files.")
    untyped: str = Field(default="", description="Another file.")
    def needs_download(self):
        return {"yes": True, "no": False}.get(self.tag)
    tag: str = Field(default="no", description="Whether it downloads.")
    def read(self):
        for path in filter(None, (self.source, *self.also, self.untyped)):
            Path(path).with_suffix(".read").touch()
        spec = DataSpec(shape=(2,), modes=((0.0, 0.0),), mode_std=1.0)
        return Samples(spec, torch.linspace(-1, 1, 40).reshape(20, 2))

class Careful(Hinge):
    "A loss with an option that is a path."
    notes: Path | None = Field(default=None, description="A file.")
"""
POINTS = {
    "ganzoo.datasets": {"points": "acme:Points"},
    "ganzoo.losses": {"careful": "acme:Careful"},
}
SMALL = {"arch.hidden": [4], "arch.z_dim": 2}


@pytest.fixture
def acme(plugin):
    plugin("acme", PLUGIN, POINTS)


@pytest.fixture
def trained(acme, tmp_path):
    """A run of a plugin's data, whose paths lead to a file of this machine."""
    (tmp_path / "private.txt").write_text("private")
    private = str(tmp_path / "private.txt")
    places = {"data.source": private, "data.also": [private], "loss.notes": private}
    settings = {**SMALL, **places}
    run = ganzoo.train("mlp", "careful", "points", out="run", settings=settings, **TINY)
    (tmp_path / "private.read").unlink()
    return run


def foreign(model, **data):
    """Copy a model out of its run, and change its dataset."""
    shutil.copytree(model, "foreign")
    path = Path("foreign/config.json")
    tree = json.loads(path.read_text())
    tree["data"] |= data
    path.write_text(json.dumps(tree))
    sealed(Path("foreign"))
    return "foreign"


COMMANDS = {
    "eval": ("eval", "foreign", "--metric", "modes"),
    "init": (
        *("train", "--init", "foreign", "--recipe", "paper", "--steps", "0", "--device", "cpu"),
        *("--out", "next"),
    ),
    "rehearsal": ("train", "--init", "foreign", "--dry-run"),
}


# By kind of option ------------------------------------------------------------------------------


class Nested(BaseModel):
    file: Path = Path("a")


class Odd:
    """A type without a schema."""


class Many(Component):
    """Has options of every kind."""

    model_config = {"arbitrary_types_allowed": True}

    a: AbsolutePath = "a"
    b: AbsolutePath | None = Field(default=None, description="b")
    c: Path | None = None
    d: tuple[Path, ...] = ()
    e: dict[str, FilePath] = {}
    f: AnyUrl | None = None
    g: Nested = Nested()
    h: Odd | None = None
    path: str = "a word"
    count: int = 3


def test_paths_and_urls_are_known_by_their_types():
    assert place_options(Many) == set("abcdefgh")


@pytest.mark.parametrize(
    "value",
    [
        *("/a", "~", "~/a", "~bob/a", "C:\\a", "C:a", "\\\\host\\a", "//host/a", "../a", "a/../b"),
        *("https://example.org", "file:///a", "s3://a"),
        *(["a", "/b"], {"a": ["/b"]}),
    ],
)
def test_texts_that_lead_somewhere_are_known_by_their_values(value):
    assert names_place(value)


@pytest.mark.parametrize("value", ["", "relu", "a/b", "user/name", "1.5", "..a", 3, None, True, []])
def test_other_values_lead_nowhere(value):
    assert not names_place(value)


# What is chosen ---------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_a_foreign_model_has_no_file_read(trained, ganzoo_cli, tmp_path, command):
    private = str(tmp_path / "private.txt")
    options = {"source": private, "also": [private], "untyped": private}
    model = ganzoo.load(foreign(trained.model, options=options))
    assert model.config.data.options == {}
    assert "notes" not in model.config.loss.options
    result = ganzoo_cli(*COMMANDS[command])
    assert result.code == 0, result
    assert not Path("private.read").exists()
    assert private not in Path("next/config.json").read_text() if command == "init" else True


def test_the_paths_of_ones_own_run_are_used(trained, ganzoo_cli):
    model = ganzoo.load(trained)
    assert model.config.data == trained.config().data
    assert model.config.loss.options["notes"] == trained.config().loss.options["notes"]
    assert ganzoo_cli("eval", "run", "--metric", "modes").code == 0
    assert Path("private.read").exists()


def test_a_run_that_started_from_a_foreign_model_resumes_without_its_paths(trained, ganzoo_cli):
    foreign(trained.model)
    assert ganzoo_cli(*COMMANDS["init"]).code == 0
    result = ganzoo_cli("train", "--resume", "next", "--steps", "1")
    assert result.code == 0, result
    assert not Path("private.read").exists()


def test_what_a_foreign_model_says_is_shown(trained, ganzoo_cli, tmp_path):
    foreign(trained.model)
    assert f"source={tmp_path / 'private.txt'}" in ganzoo_cli("show", "foreign").out


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_of_somebody_else_is_asked_for(tiny_run, refused, tmp_path, command):
    (tmp_path / "photos").mkdir()
    options = {"path": str(tmp_path / "photos")}
    foreign(tiny_run.model, name="folder", options=options)
    assert refused(*COMMANDS[command]) == (
        "Error: the model was trained on files that are not here ('folder'): give --data"
    )


# Downloads --------------------------------------------------------------------------------------


@pytest.fixture
def no_download(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("it is downloaded")

    monkeypatch.setattr(torchvision.datasets.mnist, "download_and_extract_archive", refuse)
    monkeypatch.setattr(torchvision.datasets.cifar, "download_and_extract_archive", refuse)
    monkeypatch.setattr(torchvision.datasets.celeba, "download_file_from_google_drive", refuse)


@pytest.mark.usefixtures("no_download")
@pytest.mark.parametrize("name", ["mnist", "stacked-mnist", "cifar10", "celeba"])
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_downloaded_for_a_foreign_model(tiny_run, refused, tmp_path, command, name):
    foreign(tiny_run.model, name=name, options={"root": str(tmp_path / "some" / "place")})
    assert refused(*COMMANDS[command]) == (
        f"Error: the model was trained on '{name}', which is not here; to download it, "
        f"give --data {name}"
    )
    assert not Path("some").exists()
    assert not Path("cache/datasets").exists()


@pytest.mark.usefixtures("no_download")
def test_nothing_is_downloaded_for_a_folder_that_looks_like_a_run(tiny_run, refused, tmp_path):
    shutil.copytree(tiny_run.path, "sent")
    (tmp_path / "place").mkdir()
    for root, words in (("some", "is not here: give --data"), ("place", "give --data mnist")):
        shutil.rmtree("foreign", ignore_errors=True)
        foreign("sent/model", name="mnist", options={"root": str(tmp_path / root)})
        shutil.rmtree("sent/model")
        shutil.move("foreign", "sent/model")
        assert words in refused("eval", "sent", "--metric", "modes")
        assert words in refused("train", "--init", "sent", "--dry-run")
    assert not Path("some").exists()
    assert list(Path("place").iterdir()) == []


@pytest.mark.parametrize(("tag", "own", "others"), [("yes", 2, 2), ("no", 0, 0), ("?", 0, 2)])
def test_a_dataset_says_whether_it_downloads(acme, ganzoo_cli, tag, own, others):
    settings = {**SMALL, "data.tag": tag}
    run = ganzoo.train("mlp", "hinge", "points", out="run", settings=settings, **TINY)
    assert ganzoo_cli("eval", "run", "--metric", "modes").code == own
    foreign(run.model)
    result = ganzoo_cli(*COMMANDS["eval"])
    assert result.code == others, result
    if others:
        assert "give --data points" in result.err
    assert ganzoo_cli(*COMMANDS["eval"], "--data", "points").code == 0


def test_given_options_are_used(acme, ganzoo_cli, tmp_path):
    run = ganzoo.train("mlp", "hinge", "points", out="run", settings=SMALL, **TINY)
    foreign(run.model)
    mine = f"data.source={tmp_path / 'mine.txt'}"
    assert ganzoo_cli(*COMMANDS["eval"], "--set", mine).code == 0
    assert Path("mine.read").exists()
    Path("mine.read").unlink()
    assert ganzoo_cli(*COMMANDS["init"], "--set", mine).code == 0
    assert Path("mine.read").exists()


# Files that are no model -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["netG.pth", "network.pkl", "model.safetensors", "generator.pt"])
@pytest.mark.parametrize(
    "command",
    [["sample"], ["show"], ["eval"], ["compare"], ["train", "--out", "run", "--init"]],
    ids=" ".join,
)
def test_weights_of_other_programs_are_no_model(refused, name, command):
    Path(name).write_bytes(b"\x80\x04")
    path = f"./{name}" if command == ["show"] else name
    first, second = refused(*command, path).splitlines()
    assert f"{name} is a file of weights, and a model is a folder" in first
    assert second == f"make one of it with: ganzoo import {name}"
    assert not Path("run").exists()


def test_a_file_of_a_model_names_its_folder(tiny_run, refused):
    file = tiny_run.model / "model.safetensors"
    message = refused("sample", file)
    assert message == f"Error: {file} is a file of a model: give its folder, {tiny_run.model}"
