"""Models that load, save and publish themselves, by the names of ``huggingface_hub``."""

from __future__ import annotations

import json
import pickle
import shutil

import pytest
import torch

import ganzoo
from ganzoo.errors import InputError
from ganzoo.models import model as models
from ganzoo.publishing.publish import publish
from ganzoo.runs.folder import Run
from hub import CallError
from hub_models import NAME, assert_token_is_hidden
from tiny import sealed


@pytest.fixture(scope="module")
def model(tiny_run):
    return ganzoo.load(tiny_run)


def test_a_loaded_model_is_a_model(model, tiny_run):
    assert type(model) is ganzoo.Model
    assert isinstance(model, models.Model)
    assert type(model.with_truncation(0.5)) is ganzoo.Model
    assert model.to("cpu") is model
    again = pickle.loads(pickle.dumps(model))
    assert type(again) is ganzoo.Model
    assert torch.equal(again.sample(2), model.sample(2))


def test_the_same_things_are_loaded_as_by_load(model, tiny_run):
    for each in (tiny_run, tiny_run.path, str(tiny_run.path), tiny_run.model):
        found = ganzoo.Model.from_pretrained(each)
        assert torch.equal(found.sample(2), model.sample(2))
    with pytest.raises(InputError, match="no run or model folder named 'nowhere'"):
        ganzoo.Model.from_pretrained("nowhere")
    with pytest.raises(InputError, match="has no revisions"):
        ganzoo.Model.from_pretrained(tiny_run.path, revision="v1")
    with pytest.raises(InputError, match="give a token of the Hub as a text"):
        ganzoo.Model.from_pretrained(tiny_run.path, token="")


def test_a_saved_model_is_what_would_be_published(model, tmp_path):
    place = model.save_pretrained("saved")
    found = ganzoo.load(place)
    assert torch.equal(found.sample(4), model.sample(4))
    assert torch.equal(found.discriminator.state_dict().popitem()[1], _last(model))
    shared = publish(model, NAME, dry_run=True).files
    saved = {path.name for path in place.iterdir()}
    assert saved == shared.keys()
    for name in saved - {"README.md", "manifest.json"}:  # which name where to load it from
        assert found.folder.records[name].sha256 == shared[name].sha256, name
    assert "# " in (place / "README.md").read_text()
    assert not list(place.parent.glob(".saved*"))


def _last(model):
    return model.discriminator.state_dict().popitem()[1]


def test_a_saved_model_names_no_folder_of_this_machine(tiny_run, tmp_path):
    run = Run(shutil.copytree(tiny_run.path, tmp_path / "run"))
    path = run.model / "config.json"
    config = json.loads(path.read_text())
    config["data"]["options"]["path"] = "/home/me/photos"
    path.write_text(json.dumps(config))
    sealed(run.model)
    saved = ganzoo.load(run).save_pretrained(tmp_path / "saved")
    assert "/home/me" not in (saved / "config.json").read_text()


def test_a_model_is_saved_again_with_the_text_of_its_card(model, tmp_path):
    saved = model.save_pretrained(tmp_path / "saved")
    card = saved / "README.md"
    card.write_text(card.read_text() + "\nMy own words.\n")
    copy = ganzoo.load(saved).save_pretrained(tmp_path / "copy")
    assert "My own words." in (copy / "README.md").read_text()
    model.save_pretrained(saved)
    assert "My own words." in card.read_text()
    assert ganzoo.load(saved).folder.file("README.md").exists()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("file", "is a file, and a model is a folder"),
        ("notes", "is not empty, and no model"),
        ("beside", "holds 'notes.txt' beside a model"),
        ("run", "is the model of a run"),
        ("itself", "or this model itself"),
    ],
)
def test_nothing_else_is_replaced(model, tiny_run, tmp_path, kind, words):
    place = tmp_path / "place"
    if kind == "file":
        place.write_text("mine")
    elif kind == "notes":
        place.mkdir()
        (place / "notes.txt").write_text("mine")
    elif kind == "run":
        place = shutil.copytree(tiny_run.path, place) / "model"
    else:
        shutil.copytree(tiny_run.model, place)
    if kind == "beside":
        (place / "notes.txt").write_text("mine")
    if kind == "itself":
        model = ganzoo.load(place)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=words):
        model.save_pretrained(place)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_card_that_is_a_link_is_not_followed(tiny_run, tmp_path):
    folder = shutil.copytree(tiny_run.model, tmp_path / "model")
    (tmp_path / "secret").write_text("secret")
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="is a link"):
        ganzoo.load(folder).save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


@pytest.mark.parametrize("act", ["save_pretrained", "push_to_hub"])
def test_a_changed_model_is_neither_saved_nor_published(tiny_run, act):
    changed = ganzoo.load(tiny_run)
    with torch.no_grad():
        next(changed.generator.parameters()).add_(1)
    with pytest.raises(InputError, match="the generator was changed since it was loaded"):
        getattr(changed, act)("alice/saved")
    nobodys = ganzoo.Model(None, changed.config, changed.architecture, changed.generator)
    with pytest.raises(InputError, match="this model has no files"):
        getattr(nobodys, act)("alice/saved")


# On the Hub ----------------------------------------------------------------------------------

PUSH = """
import ganzoo
found = ganzoo.load(path).push_to_hub(name, private=True, license="mit", **more)
result = [found.url, found.commit, found.private]
"""
PULL = """
import ganzoo
model = ganzoo.Model.from_pretrained(name, **more)
saved = model.save_pretrained("saved")
result = [float(model.discriminator.state_dict().popitem()[1].sum()), str(saved), repr(model)]
"""


@pytest.fixture(scope="module")
def plain(tiny_run, tmp_path_factory):
    """A model folder that lies in no run, which is published at once: it has no curve to draw."""
    return shutil.copytree(tiny_run.model, tmp_path_factory.mktemp("plain") / "model")


def test_a_round_trip_by_the_hub(hub, client, plain, tmp_path):
    url, commit, private = client.call(PUSH, path=str(plain), name=NAME, more={})
    assert url.endswith(NAME)
    assert commit == hub.head(NAME)
    assert private
    _, saved, shown = client.call(PULL, name=f"{NAME}@{commit}", more={})
    assert shown.startswith("<Model dcgan trained with wgan-gp on digits")
    assert "license: mit" in (tmp_path / saved / "README.md").read_text()
    assert torch.equal(ganzoo.load(tmp_path / saved).sample(2), ganzoo.load(plain).sample(2))


def test_a_given_token_is_used_and_stands_nowhere(hub, client, plain, tmp_path):
    given = {"token": hub.token}
    nobody = {"HF_TOKEN": None}
    with pytest.raises(CallError, match="the Hub does not know you"):
        client.call(PUSH, path=str(plain), name=NAME, more={}, env=nobody)
    assert hub.requests == []
    client.call(PUSH, path=str(plain), name=NAME, more=given, env=nobody)
    with pytest.raises(CallError, match="or it is private"):
        client.call(PULL, name=NAME, more={}, env=nobody)
    hub.forget_requests()
    _, saved, _ = client.call(PULL, name=NAME, more=given, env=nobody)
    assert_token_is_hidden(hub, client, "", tmp_path / saved)
    hub.fail("HEAD", NAME, 400, times=None, headers={"X-Error-Message": "{authorization}"})
    with pytest.raises(CallError) as caught:
        client.call(PULL, name=f"{NAME}@main", more=given, env=nobody)
    assert hub.token not in str(caught.value)


def test_a_card_that_was_edited_on_the_hub_is_saved(hub, client, plain, tmp_path):
    client.call(PUSH, path=str(plain), name=NAME, more={})
    card = hub.files(NAME)["README.md"].decode() + "\nWords from there.\n"
    hub.commit(NAME, {"README.md": card.encode()})
    _, saved, _ = client.call(PULL, name=NAME, more={})
    text = (tmp_path / saved / "README.md").read_text()
    assert "Words from there." in text
    assert "license: mit" in text
