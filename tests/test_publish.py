"""Publishing: exactly the listed files, in one commit or none; and the way back."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image

import ganzoo
from ganzoo.models.folder import write_manifest
from ganzoo.runs.folder import Run
from ganzoo.runs.scores import log_scores
from ganzoo.storage.files import sha256
from hub import CallError
from hub_models import (
    NAME,
    NOISE,
    QUICK,
    SILENCE,
    UNKNOWN,
    USE,
    Known,
    assert_token_is_hidden,
    said,
    sent,
    whole,
    write_other,
)
from test_compare import ROW
from tiny import TINY

CURVE = "training.png"
FILES = {
    "README.md",
    "config.json",
    "discriminator.safetensors",
    "manifest.json",
    "model.safetensors",
    "samples.png",
}
"""What every publication is; that of a run has its curve besides."""


@pytest.fixture(scope="module")
def plain(tiny_run, tmp_path_factory):
    """A model folder that lies in no run, which is published at once: it has no curve to draw."""
    return shutil.copytree(tiny_run.model, tmp_path_factory.mktemp("plain") / "model")


@pytest.fixture(scope="module")
def model(tiny_run):
    return Known.of(tiny_run.model)


@pytest.fixture(scope="module")
def other(tiny_run, tmp_path_factory):
    """The same networks with other weights, of an earlier step."""
    return Known.of(write_other(tiny_run, tmp_path_factory.mktemp("other") / "model"))


@pytest.fixture(scope="module")
def _reader(_hub, tmp_path_factory):
    with _hub.client(home=tmp_path_factory.mktemp("reader"), HF_TOKEN=None) as reader:
        yield reader


@pytest.fixture
def reader(hub, _reader):
    """Return a process of somebody else, with no token and an empty cache."""
    _reader.empty_cache()
    return _reader


@pytest.fixture
def run(tiny_run, tmp_path):
    """A run of one's own, which nobody has judged."""
    unjudged = shutil.ignore_patterns("scores.jsonl")
    return Run(shutil.copytree(tiny_run.path, tmp_path / "runs" / "tiny", ignore=unjudged))


@pytest.fixture
def folder(plain, tmp_path):
    """A model folder of one's own, in no run."""
    return shutil.copytree(plain, tmp_path / "model")


@pytest.fixture
def publish(client, tmp_path):
    """Publish by the command line; nothing may be left of it in the folder for such files."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    client.call(f"{QUICK}\nimport tempfile\ntempfile.tempdir = path", path=str(temporary))

    def publish(*arguments, **named):
        result = client.run("publish", *arguments, **named)
        assert not list(temporary.iterdir())
        return result

    yield publish
    client.call("import tempfile\ntempfile.tempdir = None")


def done(result):
    """Return what a command has published, without a word but its own."""
    assert result.code == 0, result
    assert not [word for word in NOISE if word in result.err], result.err
    return json.loads(result.out)


def names(hub, revision="main"):
    """Return the names of the files of a repository, but for the curve's."""
    return set(hub.files(NAME, revision)) - {CURVE}


# The way there and back.


def drawn(client, reference, revision=None):
    return client.call(USE + "result = drawn(ref, rev)", ref=reference, rev=revision)


def test_a_round_trip(hub, client, publish, reader, run, model):
    found = done(publish(run.path, NAME, "--revision", "v1", "--json"))
    head = hub.head(NAME)
    assert (found["repo"], found["commit"], found["revision"]) == (NAME, head, "v1")
    assert hub.tags(NAME) == {"v1": head}
    assert [commit.parent for commit in hub.commits(NAME)] == [hub.commits(NAME)[1].sha, None]
    assert names(hub) == FILES
    assert whole(hub.files(NAME))
    references = [(NAME, None), (f"{NAME}@v1", None), (NAME, "v1"), (f"{NAME}@{head}", None)]

    for reference in references:
        reader.empty_cache()
        assert drawn(reader, *reference) == model.drawn
    drawn(reader, NAME), drawn(reader, f"{NAME}@v1")
    images = reader.call("import ganzoo\nresult = ganzoo.load(ref).sample(3).tolist()", ref=NAME)
    assert torch.equal(torch.tensor(images), ganzoo.load(run).sample(3))
    hub.offline()
    for reference in references:
        assert drawn(reader, *reference) == model.drawn


def test_what_can_be_published_is_what_can_be_loaded(
    hub, client, publish, reader, run, other, tiny_run, tmp_path
):
    best = write_other(tiny_run, run.best)
    plain = shutil.copytree(best, tmp_path / "plain")
    hub.repo("bob/other", other.files)
    hub.tag("bob/other", "v2")

    files = []
    for source in (best, plain, "bob/other@v2"):
        found = done(publish(source, NAME, "--json"))
        assert found["commit"] == hub.head(NAME)
        there = hub.files(NAME)
        files.append({name: there[name] for name in FILES - {"README.md", "manifest.json"}})
        assert whole(hub.files(NAME))
        reader.empty_cache()
        assert drawn(reader, NAME) == other.drawn
    assert files[0] == files[1] == files[2]
    assert names(hub) == FILES


def test_publishing_twice_makes_no_second_commit(hub, publish, plain):
    first = done(publish(plain, NAME, "--json"))
    hub.forget_requests()

    again = publish(plain, NAME, "--json")

    assert done(again) == {**first, "changed": False}
    assert not hub.calls("POST", "preupload|commit|lfs")
    assert len(hub.commits(NAME)) == 2
    assert "already up to date" in publish(plain, NAME).err
    tagged = done(publish(plain, NAME, "--revision", "v1", "--json"))
    assert (tagged["changed"], hub.tags(NAME)) == (False, {"v1": hub.head(NAME)})
    assert done(publish(plain, NAME, "--revision", "v1", "--json"))["changed"] is False


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "README.md"])
def test_a_file_that_was_changed_there_in_place_is_published_again(hub, publish, plain, name):
    done(publish(plain, NAME, "--json"))
    before = hub.files(NAME)
    hub.commit(NAME, {name: before[name][:-2] + b"~\n"})

    assert done(publish(plain, NAME, "--json"))["changed"] is True

    assert whole(hub.files(NAME))
    if name != "README.md":
        assert hub.files(NAME) == before


def test_the_scores_of_a_run_go_with_its_model(hub, client, publish, run, tmp_path):
    options = {"weights": str(tmp_path / "private" / "w.pt"), "k": 3}
    log_scores(run.score_log, [ROW.model_copy(update={"options": options})])

    done(publish(run.path, NAME, "--json"))

    assert names(hub) == FILES | {"scores.json"}
    (row,) = json.loads(hub.files(NAME)["scores.json"])
    assert row["value"] == 10.0
    assert row["options"] == {"weights": "w.pt", "k": 3}
    assert str(tmp_path).encode() not in sent(hub)
    ranked = json.loads(client.run("compare", NAME, "--json").out)
    assert ranked["groups"][0]["ranking"][0]["model"] == NAME


def test_a_model_of_ones_own_images_names_no_folder(hub, client, publish, reader, tmp_path):
    private = tmp_path / "private-place" / "faces"
    private.mkdir(parents=True)
    pixels = torch.randint(256, (12, 8, 8), dtype=torch.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image.numpy()).save(private / f"private-{number}.png")
    run = ganzoo.train(
        "mlp", data=str(private), out=tmp_path / "run", settings={"arch.hidden": (8,)}, **TINY
    )
    config = json.loads((run.model / "config.json").read_text())
    assert str(private) in str(config)
    spy = {"name": "spy", "package": "spies", "version": "1", "options": {"key": "private-key"}}
    config["trackers"] = [spy]
    (run.model / "config.json").write_text(json.dumps(config))
    write_manifest(run.model)

    done(publish(run.path, NAME, "--json"))

    published = json.loads(hub.files(NAME)["config.json"])
    assert published["data"]["options"]["path"] == "faces"
    assert published["trackers"] == []
    for private in (tmp_path, Path.home()):
        assert str(private).encode() not in sent(hub), private
    assert b"private-" not in sent(hub)
    assert b"spies" not in sent(hub)
    assert drawn(reader, NAME) == Known.of(run.model).drawn


# What passes, and what stays.


STEPS = {
    "create": ("POST", "/repos/create"),
    "look": ("GET", "^/api/models/alice/digits"),
    "tags": ("GET", "/refs$"),
    "card-head": ("HEAD", "README.md"),
    "card": ("GET", "README.md"),
    "validate": ("POST", "/validate-yaml"),
    "preupload": ("POST", "/preupload/"),
    "batch": ("POST", "/objects/batch"),
    "upload": ("PUT", "^/storage/"),
    "commit": ("POST", "/commit/"),
    "tag": ("POST", "/tag/"),
}


def spoil(hub, step, fault, times):
    method, path = STEPS[step]
    if fault in ("drop", "lost"):
        return hub.drop(method, path, times=times, after=fault == "lost")
    if fault == "corrupt":
        return hub.corrupt(path, times=times)
    if fault == "html":
        page = b"<html>502 Bad Gateway</html>"
        return hub.fail(method, path, 502, times=times, body=page)
    headers = {**(UNKNOWN if fault == "401" else {}), "Retry-After": "0"}
    return hub.fail(method, path, int(fault), times=times, headers=headers)


@pytest.fixture
def before(hub, other):
    """Publish another model, beside which a person has put a file."""
    hub.repo(NAME, {**other.files, "notes.txt": b"by hand"})
    return hub.commits(NAME)[0]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("fault", ["500", "drop", "lost"])
def test_a_fault_that_passes(hub, publish, plain, before, step, fault):
    hit = spoil(hub, step, fault, 1)

    found = done(publish(plain, NAME, "--revision", "v1", "--json"))

    assert hit.hits == 1
    assert found["commit"] == hub.head(NAME)
    assert hub.commits(NAME)[0].parent == before.sha
    assert hub.tags(NAME) == {"v1": hub.head(NAME)}
    assert names(hub) == FILES | {"notes.txt"}
    assert whole(hub.files(NAME))


@pytest.mark.parametrize(
    ("fault", "step"),
    [
        *((fault, step) for fault in ("500", "drop") for step in STEPS),
        *(("401", step) for step in ("look", "tags", "preupload", "batch", "tag")),
        *(("403", step) for step in ("card-head", "preupload", "upload", "commit", "tag")),
        *(("429", step) for step in ("create", "upload", "commit")),
        *((fault, "commit") for fault in ("409", "412")),
        *(("html", step) for step in ("create", "validate", "batch")),
        ("400", "commit"),
        ("404", "look"),
    ],
)
def test_a_fault_that_stays(hub, publish, plain, before, fault, step):
    spoil(hub, step, fault, None)

    result = publish(plain, NAME, "--revision", "v1")

    said(result, 1)
    if step == "tag":
        assert "without its tag 'v1'" in result.err
        assert hub.head(NAME) in result.err
        assert len(hub.commits(NAME)) == 3
        assert whole(hub.files(NAME))
    else:
        assert hub.commits(NAME)[0] == before, "nothing half published"
    assert hub.tags(NAME) == {}
    hub.faults.clear()
    again = done(publish(plain, NAME, "--revision", "v1", "--json"))
    assert again["changed"] == (step != "tag")
    assert hub.tags(NAME) == {"v1": hub.head(NAME)}
    assert hub.commits(NAME)[0].parent == before.sha
    assert names(hub) == FILES | {"notes.txt"}
    assert whole(hub.files(NAME))


def test_a_hub_that_says_nothing_is_not_waited_for(hub, client, publish, plain, before):
    client.call(QUICK)
    hub.before(*STEPS["look"], lambda: time.sleep(0.6), times=None)
    client.call(SILENCE, seconds=0.2)
    try:
        assert "timed out" in said(publish(plain, NAME), 1)
    finally:
        client.call(SILENCE, seconds=300.0)


@pytest.mark.parametrize("step", [step for step in STEPS if not step.endswith("-head")])
@pytest.mark.parametrize("how", ["announced", "gzip"])
def test_an_answer_that_does_not_end_is_not_taken(hub, publish, plain, before, step, how):
    hub.endless(*STEPS[step], how)
    assert "arrive" in said(publish(plain, NAME, "--revision", "v2"), 1)
    assert hub.poured < 100_000_000


@pytest.mark.parametrize("step", ["create", "look", "validate", "upload", "commit", "tag"])
def test_the_network_goes(hub, publish, plain, before, step):
    method, path = STEPS[step]
    hub.before(method, path, hub.offline)
    hub.drop(method, path)

    assert "cannot be reached" in said(publish(plain, NAME, "--revision", "v1"), 1)

    hub.online()
    hub.faults.clear()
    done(publish(plain, NAME, "--revision", "v1", "--json"))
    assert hub.commits(NAME)[0].parent == before.sha
    assert hub.tags(NAME) == {"v1": hub.head(NAME)}


@pytest.mark.parametrize("fault", ["500", "drop", "403"])
def test_a_first_publication_that_fails(hub, publish, plain, fault):
    spoil(hub, "create", fault, None)
    said(publish(plain, NAME, "--private"), 1)
    assert not hub.repositories

    hub.faults.clear()
    spoil(hub, "commit", fault, None)
    said(publish(plain, NAME, "--private"), 1)
    assert hub.files(NAME) == {}

    hub.faults.clear()
    assert done(publish(plain, NAME, "--private", "--json"))["private"] is True
    assert whole(hub.files(NAME))


def test_a_repository_whose_making_was_not_answered_is_private_all_the_same(hub, publish, plain):
    spoil(hub, "create", "lost", 1)

    assert done(publish(plain, NAME, "--private", "--json"))["private"] is True


# Somebody else.


@pytest.mark.parametrize("step", ["look", "card", "preupload", "commit"])
@pytest.mark.parametrize("also", ["nothing", "500", "drop"])
def test_the_head_moves(hub, publish, plain, before, step, also):
    when, (method, path) = (hub.after if step == "look" else hub.before), STEPS[step]
    when(method, path, lambda: hub.commit(NAME, {"notes.txt": b"2"}))
    if also != "nothing":
        spoil(hub, "commit", also, 1)

    result = publish(plain, NAME, "--revision", "v1")

    message = said(result, 1)
    assert "was just changed" in message or "somebody else" in message
    assert hub.files(NAME) == {**before.files, "notes.txt": b"2"}
    assert hub.tags(NAME) == {}
    done(publish(plain, NAME, "--revision", "v1", "--json"))
    assert len(hub.commits(NAME)) == 4
    assert hub.files(NAME)["notes.txt"] == b"2"
    assert whole(hub.files(NAME))


def test_the_same_model_published_by_somebody_else_in_that_moment(hub, publish, plain, before):
    done(publish(plain, NAME, "--json"))
    published = hub.files(NAME)
    hub.repo(NAME, before.files)
    spoil(hub, "commit", "500", 1)
    hub.before("POST", "/commit/", lambda: hub.commit(NAME, published))

    assert done(publish(plain, NAME, "--json"))["commit"] == hub.head(NAME)
    assert hub.files(NAME) == {**published, "notes.txt": b"by hand"}


def test_a_tag_is_not_moved(hub, publish, plain, before):
    hub.tag(NAME, "v1")

    assert "has the tag 'v1' already" in said(publish(plain, NAME, "--revision", "v1"), 2)
    assert hub.commits(NAME)[0] == before

    hub.after("GET", "/refs$", lambda: hub.tag(NAME, "v2", before.sha))
    message = said(publish(plain, NAME, "--revision", "v2"), 1)
    assert hub.head(NAME) in message
    assert "v2" in message
    assert hub.tags(NAME) == {"v1": before.sha, "v2": before.sha}
    done(publish(plain, NAME, "--revision", "v3", "--json"))
    assert len(hub.commits(NAME)) == 3


def test_what_a_person_added_stays_and_what_was_published_before_goes(
    hub, publish, plain, tmp_path, before
):
    export = tmp_path / "model.onnx"
    export.write_bytes(b"an export")
    done(publish(plain, NAME, "--add", export, "--json"))
    assert names(hub) == FILES | {"notes.txt", "model.onnx"}
    hub.commit(NAME, {"more.txt": b"by hand too"})
    hub.forget_requests()

    done(publish(plain, NAME, "--json"))

    assert names(hub) == FILES | {"notes.txt", "more.txt"}
    (commit,) = hub.calls("POST", "/commit/")
    assert [v["path"] for key, v in commit.operations if key == "deletedFile"] == ["model.onnx"]
    assert whole(hub.files(NAME))


def test_a_hostile_listing_deletes_and_sends_nothing(hub, publish, plain, before, tmp_path):
    strangers = ["../../canary", "/canary", "..\\canary", "C:/canary"]
    hub.intrude(NAME, strangers, b"canary")

    done(publish(plain, NAME, "--json"))

    assert b"canary" not in sent(hub)
    assert not list(tmp_path.rglob("*canary*"))


@pytest.mark.parametrize("name", ["README.md", "manifest.json"])
def test_what_is_there_and_too_large_is_not_downloaded(hub, publish, plain, before, name):
    hub.oversize(NAME, name, 10**15)

    assert "too large" in said(publish(plain, NAME), 2)

    assert not hub.calls("GET", f"/resolve/.*{name}")
    assert hub.commits(NAME)[0] == before


def test_a_card_that_arrives_damaged_is_not_published(hub, client, publish, plain, before):
    spoil(hub, "card", "corrupt", 1)
    done(publish(plain, NAME, "--json"))
    clean = hub.files(NAME)
    hub.repo(NAME, before.files)
    client.empty_cache()
    spoil(hub, "card", "corrupt", None)

    assert "README.md" in said(publish(plain, NAME), 1)

    assert hub.files(NAME) == before.files
    hub.faults.clear()
    done(publish(plain, NAME, "--json"))
    assert hub.files(NAME) == clean


def test_files_that_the_hub_would_leave_out(hub, publish, plain, before):
    hub.commit(NAME, {".gitignore": b"*.safetensors"})

    assert ".gitignore" in said(publish(plain, NAME), 2)

    assert hub.commits(NAME)[0].parent == before.sha
    hub.commit(NAME, {".gitignore": None})
    done(publish(plain, NAME, "--json"))


def test_a_card_that_the_hub_does_not_accept(hub, publish, plain, before):
    wrong = {"warnings": [], "errors": [{"message": '"license" must be one of many'}]}
    hub.fail("POST", "/validate-yaml", 400, body=wrong)

    message = said(publish(plain, NAME, "--license", "mine"), 2)

    assert 'the card: "license" must be one of many' in message
    assert hub.commits(NAME)[0] == before
    done(publish(plain, NAME, "--license", "mit", "--json"))
    assert b"license: mit" in hub.files(NAME)["README.md"]


def test_warnings_about_a_card_are_not_pythons(hub, publish, plain):
    warning = {"warnings": [{"message": "empty or missing yaml metadata"}], "errors": []}
    hub.fail("POST", "/validate-yaml", 200, body=warning, headers={"X-HF-Warning": "a; b"})

    done(publish(plain, NAME, "--json"))


# Who may.


def test_a_public_repository_is_not_published_to_as_if_it_were_private(hub, publish, plain, before):
    assert "is public" in said(publish(plain, NAME, "--private"), 2)
    assert hub.commits(NAME)[0] == before
    hub.repositories[NAME].private = True
    assert done(publish(plain, NAME, "--private", "--json"))["private"] is True


@pytest.mark.parametrize(
    ("token", "words"),
    [(None, "log in"), ("hf_wrong", "does not know you"), ("read", "403")],
)
@pytest.mark.parametrize("there", [False, True], ids=["new", "there"])
def test_who_may_not_publish(hub, publish, plain, other, token, words, there):
    if there:
        hub.repo(NAME, other.files)
    env = {"HF_TOKEN": hub.read_token if token == "read" else token}

    assert words in said(publish(plain, NAME, env=env), 1)

    assert (hub.requests == []) == (token is None)
    if there:
        assert hub.files(NAME) == other.files
    else:
        assert not hub.repositories
    done(publish(plain, NAME, "--json"))


def test_the_repository_of_somebody_else(hub, publish, plain, other):
    hub.repo("bob/digits", other.files)

    said(publish(plain, "bob/digits"), 1)
    said(publish(plain, "bob/new"), 1)

    assert hub.files("bob/digits") == other.files
    assert list(hub.repositories) == ["bob/digits"]


CALL = "import ganzoo\nresult = str(ganzoo.publish(path, ref, revision='v1'))"


@pytest.mark.parametrize("where", ["environment", "login"])
def test_the_token_stands_nowhere(hub, client, publish, plain, where, tmp_path):
    env = {}
    if where == "login":
        (client.home / "token").write_text(hub.token + "\n")
        env = {"HF_TOKEN": None}
    echo = {"X-Error-Message": "sent {authorization}", "X-HF-Warning": "topic; {authorization}"}
    printed = []
    arguments = (plain, NAME, "--revision", "v1")
    for step in ("look", "batch", "commit", "tag"):
        method, path = STEPS[step]
        body = {"error": "got {authorization}"}
        hub.fail(method, path, 400, headers=echo, times=None, body=body)
        printed.append(publish(*arguments, env=env))
        assert "***" in said(printed[-1], 1)
        printed.append(publish(*arguments, env={**env, "GANZOO_DEBUG": "1"}))
        assert "Traceback" in printed[-1].err
        with pytest.raises(CallError) as caught:
            client.call(CALL, path=str(plain), ref=NAME, env=env)
        printed += [str(caught.value), caught.value.result]
        hub.faults.clear()
    printed.append(client.call(CALL, path=str(plain), ref=NAME, env=env))
    printed.append(publish(plain, NAME, "--revision", "v1", "--json", env=env))
    done(printed[-1])

    assert_token_is_hidden(hub, client, printed, tmp_path)


# Nothing but what is listed.


MARK = b"not-for-anybody-else"


def test_bait_stays_where_it_is(hub, publish, run, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.png").write_bytes(MARK + b"0")
    bait = [
        ".env",
        ".ssh/id",
        ".git/config",
        "notes.txt",
        "model/.env",
        "model/.ssh/id",
        "model/optimizer.safetensors",
        "model/events.out.tfevents.1",
        "model/more/config.json",
        "best/.env",
        "checkpoints/pytorch_model.bin",
    ]
    for number, name in enumerate(bait):
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).write_bytes(MARK + b"%d" % number)
    for folder in (run.path, run.model):
        (folder / "link.png").symlink_to(outside / "secret.png")
        (folder / "links").symlink_to(outside)
        with (folder / "huge.safetensors").open("wb") as huge:
            huge.truncate(1 << 40)
    states = [path for path in run.checkpoints.rglob("*.safetensors") if "optim" in path.name]
    assert states

    found = done(publish(run.path, NAME, "--json"))

    assert names(hub) == FILES
    assert {file["name"] for file in found["files"]} - {CURVE} == FILES
    all_sent = sent(hub)
    assert MARK not in all_sent
    assert len(all_sent) < 10**6
    for state in states:
        content = state.read_bytes()
        assert content[-64:] not in all_sent
    log = (run.path / "metrics.jsonl").read_bytes().splitlines()
    assert not [line for line in log if line in all_sent]
    assert str(tmp_path).encode() not in all_sent


@pytest.mark.parametrize("name", sorted(FILES - {"manifest.json"} | {"scores.json"}))
@pytest.mark.parametrize(
    "leads", ["to-a-secret", "to-nothing", "to-a-folder", "out-and-is-the-same"]
)
def test_a_link_in_the_place_of_a_file_is_not_followed(hub, publish, folder, tmp_path, name, leads):
    path = folder / name
    if name == "scores.json":
        path.write_text(json.dumps([ROW.model_dump(mode="json")]))
        write_manifest(folder)
    secret = tmp_path / "secret"
    if leads == "to-a-folder":
        secret.mkdir()
        (secret / "id").write_bytes(MARK)
    elif leads == "out-and-is-the-same":
        secret.write_bytes(path.read_bytes())
    elif leads == "to-a-secret":
        secret.write_bytes(MARK)
    path.unlink()
    path.symlink_to(secret)

    said(publish(folder, NAME), 2)

    assert hub.requests == []
    path.unlink()
    if leads == "out-and-is-the-same":
        path.write_bytes(secret.read_bytes())
        done(publish(folder, NAME, "--json"))
        assert whole(hub.files(NAME))


def test_a_model_that_was_changed_is_not_published(hub, publish, folder):
    path = folder / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    assert "model.safetensors" in said(publish(folder, NAME), 2)

    assert hub.requests == []
    path.write_bytes(content)
    done(publish(folder, NAME, "--json"))


def test_what_is_no_picture_is_not_published(hub, publish, folder):
    (folder / "samples.png").write_bytes(b"%PDF-" + MARK)
    write_manifest(folder)

    assert "samples.png" in said(publish(folder, NAME), 2)
    assert hub.requests == []


def test_a_folder_without_a_card_gets_one(hub, publish, folder):
    (folder / "README.md").unlink()
    write_manifest(folder)
    done(publish(folder, NAME, "--json"))
    card = hub.files(NAME)["README.md"]
    assert b"ganzoo" in card

    (folder / "README.md").write_text("Not listed, and by hand.\n")
    done(publish(folder, NAME, "--json"))
    assert names(hub) == FILES


# The card, and what a person writes in it.

BY_HAND = "\nWritten by hand, in the end.\n"


def card_of(hub):
    return hub.files(NAME)["README.md"].decode()


def test_what_a_person_writes_on_the_hub_stays(hub, publish, folder):
    done(publish(folder, NAME, "--license", "cc-by-4.0", "--json"))
    edited = re.sub("thumbnail: .*", "thumbnail: a.png", card_of(hub)) + BY_HAND
    edited = edited.replace("This model is meant for research", "This model is meant for birthdays")
    hub.commit(NAME, {"README.md": edited.encode()})

    result = publish(folder, NAME)

    assert result.code == 0
    assert "the section 'limits' of the card was edited by hand and stays" in result.err
    card = card_of(hub)
    assert card.endswith(BY_HAND)
    assert "This model is meant for birthdays" in card
    data = ModelCard(card).data
    assert (data.license, data["thumbnail"]) == ("cc-by-4.0", "a.png")
    assert whole(hub.files(NAME))


def test_what_a_person_writes_in_the_folder_stays(hub, publish, folder):
    path = folder / "README.md"
    path.write_text(path.read_text() + BY_HAND)
    first = path.read_bytes()
    for _ in range(2):
        done(publish(folder, NAME, "--json"))
        assert card_of(hub).endswith(BY_HAND)
        assert f'ganzoo.load("{NAME}")' in card_of(hub), "what was generated is written anew"
    assert path.read_bytes() == first

    path.write_text(path.read_text() + "And more.\n")
    result = publish(folder, NAME)

    assert result.code == 0
    assert "replaces that on the Hub" in result.err
    assert card_of(hub).endswith(f"{BY_HAND}And more.\n")


def test_a_published_card_has_a_thumbnail_and_what_the_run_says(hub, publish, run):
    step = ganzoo.load(run).config.step
    timed = {"step": step, "images_seen": 32, "seconds": 61.0, "processor_seconds": 122.0}
    log_scores(run.score_log, [ROW.model_copy(update=timed)])
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, "samples/memorised": 0.125}) + "\n")
    done(publish(run.path, NAME, "--json"))
    card = card_of(hub)
    address = f"https://huggingface.co/{NAME}/resolve/main/samples.png"
    assert ModelCard(card).data["thumbnail"] == address
    assert ModelCard(card).data.metrics == [ROW.metric]
    assert "This took 61 seconds, and 2 minutes of processors, without scoring." in card
    assert "12% of the samples lie much closer" in card
    local = (run.model / "README.md").read_text()
    assert "thumbnail" not in local
    assert "seconds, and" not in local, "which is the same each time that a run is trained"


def test_a_card_that_was_edited_here_and_there_is_asked_about(hub, publish, folder, tmp_path):
    done(publish(folder, NAME, "--json"))
    hub.commit(NAME, {"README.md": (card_of(hub) + "There.\n").encode()})
    path = folder / "README.md"
    path.write_text(path.read_text() + "Here.\n")
    head = hub.head(NAME)

    message = said(publish(folder, NAME), 2)

    assert "--card FILE" in message
    assert hub.head(NAME) == head
    text = tmp_path / "both.md"
    text.write_text(card_of(hub) + "Here.\n")
    done(publish(folder, NAME, "--card", text, "--json"))
    assert card_of(hub).endswith("There.\nHere.\n")


def test_a_card_by_hand_alone_stays_before_what_is_generated(hub, publish, folder):
    hub.repo(NAME, files={"README.md": b"---\nlicense: mit\n---\n# Mine\n"})
    done(publish(folder, NAME, "--json"))
    card = card_of(hub)
    assert card.index("# Mine") < card.index("## How to use it")
    assert ModelCard(card).data.license == "mit"
    assert "under the licence `mit`" in card


@pytest.mark.parametrize("place", ["hub", "folder", "file"])
def test_a_card_whose_metadata_cannot_be_read_is_named(hub, publish, folder, tmp_path, place):
    done(publish(folder, NAME, "--json"))
    broken = "---\nlicense: [\n---\n# Mine\n"
    arguments = []
    if place == "hub":
        hub.commit(NAME, {"README.md": broken.encode()})
    elif place == "folder":
        (folder / "README.md").write_text(broken)
    else:
        (tmp_path / "card.md").write_text(broken)
        arguments = ["--card", tmp_path / "card.md"]
    head = hub.head(NAME)

    message = said(publish(folder, NAME, *arguments), 2)

    assert "metadata" in message
    assert hub.head(NAME) == head


# Options.


def test_a_dry_run_asks_nothing(hub, publish, folder, tmp_path):
    export = tmp_path / "model.onnx"
    export.write_bytes(b"an export")
    env = {"HF_TOKEN": None}

    found = done(publish(folder, NAME, "--dry-run", "--add", export, "--json", env=env))
    shown = publish(folder, NAME, "--dry-run", "--add", export, env=env)

    assert hub.requests == []
    assert (found["commit"], found["url"], found["changed"]) == (None, None, False)
    files = {file.pop("name"): file for file in found["files"]}
    assert set(files) - {CURVE} == FILES | {"model.onnx"}
    assert files["model.onnx"] == {"size": 9, "sha256": sha256(export)}
    lines = [line.split() for line in shown.out.splitlines()[1:]]
    assert lines == [[name, str(about["size"]), about["sha256"]] for name, about in files.items()]
    assert "nothing was sent" in shown.err
    done(publish(folder, NAME, "--add", export, "--json"))
    published = hub.files(NAME)
    assert set(published) == set(files)
    for name, about in files.items():
        if name not in ("README.md", "manifest.json"):
            assert hashlib.sha256(published[name]).hexdigest() == about["sha256"], name


def test_what_is_said(hub, publish, plain):
    result = publish(plain, NAME, "--revision", "v1")

    assert result.code == 0
    assert result.out == f"{hub.url}/{NAME}\n"
    published, following = result.err.splitlines()
    assert hub.head(NAME) in published
    assert f"ganzoo sample {NAME}@v1" in following
    found = done(publish(plain, "alice/again", "--private", "--json"))
    assert list(found) == ["repo", "url", "commit", "changed", "revision", "private", "files"]
    assert found["private"] is True
    assert hub.repositories["alice/again"].private


def test_one_argument_publishes_the_newest_run(hub, publish, reader, run, tmp_path, other):
    newest = Run(shutil.copytree(run.path, tmp_path / "runs" / "newest"))
    shutil.rmtree(newest.model)
    write_other(run, newest.model)
    os.utime(newest.path / "config.json", (2**32, 2**32))

    done(publish(NAME, "--json", cwd=tmp_path))

    assert drawn(reader, NAME) == other.drawn
    assert "no run" in said(publish(NAME, cwd=run.path), 2)


def test_one_argument_that_is_a_run_is_no_name(hub, publish, run, tmp_path):
    message = said(publish("runs/tiny", cwd=tmp_path), 2)

    assert "user/name" in message
    assert hub.requests == []


@pytest.mark.parametrize(
    "name",
    ["x", "a/b/c", "../x", "a/..", "user/na me", "alice/digits@v1", "a/b@", "/a/b", "a//b", ""],
)
def test_what_is_no_name_is_refused_at_once(hub, publish, plain, name):
    said(publish(plain, name), 2)

    assert hub.requests == []


@pytest.mark.parametrize("tag", ["", "a b", "../x", "v1\n"])
def test_a_tag_that_nobody_could_load_is_refused_at_once(hub, publish, plain, tag):
    said(publish(plain, NAME, "--revision", tag), 2)

    assert hub.requests == []


def test_other_files_go_along_by_name(hub, publish, folder, tmp_path):
    place = tmp_path / "exports"
    place.mkdir()
    for name in ("model.onnx", "config.json", ".env", "training.png", "readme.md"):
        (place / name).write_bytes(MARK)
    (tmp_path / "model.onnx").write_bytes(MARK)
    (place / "folder").mkdir()
    (place / "leads").symlink_to(place / "model.onnx")

    for wrong in (
        ["config.json"],
        [".env"],
        ["training.png"],
        ["readme.md"],
        ["missing"],
        ["folder"],
        ["folder/.."],
        ["model.onnx", "../model.onnx"],
    ):
        arguments = [part for name in wrong for part in ("--add", place / name)]
        said(publish(folder, NAME, *arguments), 2)
    assert hub.requests == []
    done(publish(folder, NAME, "--add", place / "model.onnx", "--json"))
    assert names(hub) == FILES | {"model.onnx"}
    assert hub.files(NAME)["model.onnx"] == MARK
    assert json.loads(hub.files(NAME)["manifest.json"])["model.onnx"]["size"] == len(MARK)


def test_three_arguments_are_too_many(publish, folder):
    said(publish(folder, NAME, "more"), 2)


def test_a_run_that_did_not_finish_is_not_published(hub, publish, run):
    shutil.rmtree(run.model)
    shutil.rmtree(run.best, ignore_errors=True)

    assert "--resume" in said(publish(run.path, NAME), 2)
    assert hub.requests == []


# Models of other programs' weights.


@pytest.fixture
def of_others(plain, tmp_path):
    """A model whose origin does not say that it may be passed on."""
    folder = shutil.copytree(plain, tmp_path / "others")
    origin = {
        **{"file": "weights.pth", "sha256": "0" * 64, "size": 3, "program": "planes, https://a.b"},
        **{"converter": {"name": "planes", "package": "ganzoo-planes", "version": "1"}},
        **{"licence": "other", "may_pass_on": False, "date": "2026-01-01"},
    }
    (folder / "origin.json").write_text(json.dumps(origin))
    (folder / "discriminator.safetensors").unlink()
    write_manifest(folder)
    return folder


def test_weights_that_may_not_be_passed_on_are_asked_for(hub, publish, of_others, ganzoo_cli):
    refused = publish(of_others, NAME)
    assert refused.code == 2
    first, second = refused.err.splitlines()
    assert (
        "weights.pth of planes are under a licence of their own, and may not be passed on" in first
    )
    assert second == "if you may publish them, say so with --permitted"
    assert NAME not in hub.repositories
    assert publish(of_others, NAME, "--dry-run").code == 0
    done(publish(of_others, NAME, "--permitted", "--json"))
    assert "origin.json" in names(hub)
    assert "discriminator.safetensors" not in names(hub)
    card = hub.files(NAME)["README.md"].decode()
    assert "license: other" in card
    assert "Others may not publish them." in card
    assert "from weights.pth of planes" in hub.commits(NAME)[0].message


def test_weights_that_may_be_passed_on_are_published_unasked(hub, publish, of_others):
    path = of_others / "origin.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "may_pass_on": True}))
    write_manifest(of_others)
    done(publish(of_others, NAME, "--json"))
    assert "It allows others to publish them" in hub.files(NAME)["README.md"].decode()
    path.write_text("{}")
    write_manifest(of_others)
    assert "origin.json does not tell an origin" in publish(of_others, NAME).err


@pytest.mark.parametrize("answer", ["y", "n"])
def test_a_terminal_asks_before_it_publishes(answer, of_others, monkeypatch, capsys):
    from ganzoo.cli import publish as command

    asked = []
    monkeypatch.setattr("typer.confirm", lambda text, **_: asked.append(text) or answer == "y")
    assert command._ask_permission(str(of_others)) is (answer == "y")
    assert "weights.pth of planes are under a licence of their own" in asked[0]
