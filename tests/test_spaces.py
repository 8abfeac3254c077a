"""Spaces: the files of a page about a model, in a folder and on the Hub, and what runs them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from urllib.request import urlopen

import pytest

import ganzoo
from ganzoo.cards import front_matter
from hub_models import NAME, NOISE, assert_token_is_hidden, said, write_other
from tiny import sealed

pytest.importorskip("gradio", reason="needs ganzoo[demo]")

SPACE = f"spaces/{NAME}"
FILES = {"README.md", "app.py", "requirements.txt", "manifest.json"}


@pytest.fixture(scope="module")
def model(tiny_run, tmp_path_factory):
    """A model folder that lies in no run, which is published at once."""
    return shutil.copytree(tiny_run.model, tmp_path_factory.mktemp("spaces") / "model")


@pytest.fixture
def publish(client):
    def publish(*arguments, **named):
        result = client.run("publish", *arguments, "--space", "--json", **named)
        assert result.code == 0, result
        assert not [word for word in NOISE if word in result.err], result.err
        return json.loads(result.out)

    return publish


def front(text):
    return front_matter.read(front_matter.split(text)[0])


def card(hub):
    return hub.files(SPACE)["README.md"].decode()


def app(hub):
    return hub.files(SPACE)["app.py"].decode()


def test_a_space_shows_the_model_of_one_commit(hub, client, publish, model, tmp_path):
    found = publish(model, NAME, "--license", "cc-by-4.0")

    head, files = hub.head(NAME), hub.files(SPACE)
    assert found["commit"] == head
    assert found["space"]["commit"] == hub.head(SPACE)
    assert (found["space"]["repo"], found["space"]["changed"]) == (NAME, True)
    assert found["space"]["url"].endswith(f"/spaces/{NAME}")
    assert set(files) == FILES
    assert f'launch("{NAME}@{head}")' in app(hub)
    assert files["requirements.txt"].decode() == "ganzoo[demo]>=0.1\n"
    said = front(card(hub))
    assert {name: said[name] for name in ("sdk", "sdk_version", "app_file", "models")} == {
        "sdk": "gradio",
        "sdk_version": version("gradio"),
        "app_file": "app.py",
        "models": [NAME],
    }
    assert said["python_version"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert (said["license"], said["title"], said["emoji"]) == ("cc-by-4.0", "digits", "🐨")
    assert "Check out the configuration" not in card(hub)
    assert "its output is synthetic" in card(hub).lower()
    records = json.loads(files["manifest.json"])
    assert records.keys() == FILES - {"manifest.json"}
    for name, record in records.items():
        digest = hashlib.sha256(files[name]).hexdigest()
        assert record == {"size": len(files[name]), "sha256": digest}
    assert_token_is_hidden(hub, client, found, tmp_path)


def test_the_same_space_is_not_sent_twice(hub, publish, model):
    first = publish(model, NAME)
    hub.forget_requests()

    again = publish(model, NAME)

    assert again["space"] == {**first["space"], "changed": False}
    assert not hub.calls("POST", "preupload|commit|lfs")


def test_what_a_person_wrote_stays(hub, client, publish, model, tiny_run, tmp_path):
    publish(model, NAME, "--license", "mit")
    text = card(hub).replace("title: digits", "title: My digits  # mine")
    text = text.replace("pinned: false", "pinned: true")
    text = text.replace("license: mit", "license: cc0-1.0") + "\nA word of mine.\n"
    script = app(hub) + "# and of mine\n"
    hub.commit(SPACE, {"README.md": text.encode(), "app.py": script.encode(), "x.txt": b"x"})
    other = write_other(tiny_run, tmp_path / "other")

    result = client.run("publish", other, NAME, "--space", "--license", "mit")

    assert result.code == 0, result
    assert "app.py of the Space was edited by hand and stays as it is" in result.err
    assert app(hub) == script
    assert "title: My digits  # mine\n" in card(hub)
    assert "\nA word of mine.\n" in card(hub)
    assert (front(card(hub))["pinned"], front(card(hub))["license"]) == (True, "cc0-1.0")
    assert hub.files(SPACE)["x.txt"] == b"x"
    assert result.out.splitlines() == [f"{hub.url}/{NAME}", f"{hub.url}/{SPACE}"]


def test_another_model_brings_another_page(hub, publish, model, tiny_run, tmp_path):
    publish(model, NAME, "--license", "mit")
    before = app(hub)

    publish(write_other(tiny_run, tmp_path / "other"), NAME, "--license", "cc0-1.0")

    assert app(hub) != before
    assert f"{NAME}@{hub.head(NAME)}" in app(hub)
    assert front(card(hub))["license"] == "cc0-1.0"


def test_a_rehearsal_asks_nobody(hub, publish, client, model):
    found = publish(model, NAME, "--dry-run")
    assert {file["name"] for file in found["space"]["files"]} == FILES
    assert found["space"]["commit"] is None
    shown = client.run("publish", model, NAME, "--space", "--dry-run")
    assert "requirements.txt" in shown.out
    assert hub.requests == []


def test_a_private_model_has_a_private_space(hub, client, model):
    result = client.run("publish", model, NAME, "--private", "--space")
    assert result.code == 0, result
    assert hub.repositories[SPACE].private
    assert "as the secret HF_TOKEN" in result.err
    assert client.run("publish", model, NAME, "--space").code == 0

    del hub.repositories[SPACE]
    hub.repo(SPACE)
    message = said(client.run("publish", model, NAME, "--space"), 2)
    assert f"the Space {NAME} exists already and is public" in message


def test_a_space_that_fails_leaves_the_model_published(hub, client, model):
    hub.fail("POST", "^/api/spaces/.*/commit/", 403)
    message = said(client.run("publish", model, NAME, "--space"), 1)
    head = hub.head(NAME)
    assert message.startswith(f"Error: {NAME} is published as {head}, without its Space: ")
    assert set(hub.files(SPACE)) == {"README.md"}
    assert client.run("publish", model, NAME, "--space").code == 0
    assert set(hub.files(SPACE)) == FILES


def test_somebody_elses_commit_is_not_overwritten(hub, client, model):
    hub.before("POST", "spaces/.*/commit/", lambda: hub.commit(SPACE, {"app.py": b"theirs"}))
    message = said(client.run("publish", model, NAME, "--space"), 1)
    assert f"somebody else has just published the Space {NAME}" in message
    assert hub.files(SPACE)["app.py"] == b"theirs"


# In a folder -----------------------------------------------------------------------------------


def test_the_files_are_written_and_nothing_is_sent(ganzoo_cli, refused, model):
    write = ["publish", model, "a/b@v1", "--space", "--out", "page", "--license", "mit"]
    result = ganzoo_cli(*write)
    assert (result.code, result.out) == (0, "page\n"), result
    assert {path.name for path in Path("page").iterdir()} == FILES
    assert 'launch("a/b@v1")' in Path("page/app.py").read_text()
    assert front(Path("page/README.md").read_text())["license"] == "mit"
    before = {path: path.read_bytes() for path in Path("page").iterdir()}
    assert json.loads(ganzoo_cli(*write, "--json").out)["files"] == [
        str(Path("page") / name) for name in sorted(FILES)
    ]
    assert {path: path.read_bytes() for path in Path("page").iterdir()} == before

    edited = Path("page/requirements.txt")
    edited.write_text(edited.read_text() + "pillow-avif-plugin\n")
    again = ganzoo_cli(*[word.replace("v1", "v2") if word == "a/b@v1" else word for word in write])
    assert "requirements.txt of the Space was edited by hand" in again.err
    assert "pillow-avif-plugin\n" in edited.read_text()
    assert 'launch("a/b@v2")' in Path("page/app.py").read_text()

    Path("page/app.py").unlink()
    Path("page/app.py").symlink_to(edited)
    assert "app.py is a link" in refused(*write)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a/b", "--out", "page"], "--out writes the files of a Space: add --space"),
        (["a/b", "--space", "--out", "page", "--dry-run"], "--out sends nothing: drop --dry-run"),
        (["a/b", "--space", "--out", "page", "--revision", "v1"], "--revision, --card and --add"),
        (["digits", "--space", "--out", "page"], "'digits' is not the name of a model on the Hub"),
        (["a/b", "--space-kind", "dem", "--dry-run"], "no space is called 'dem'; did you mean"),
    ],
)
def test_what_cannot_be_written_is_said_in_a_line(refused, model, words, message):
    assert message in refused("publish", model, *words)


OTHER = """
from ganzoo import Architecture, Space
from ganzoo_zoo.families.mlp import MLP

class Net(MLP):
    "Somebody's networks."

class Still(Space):
    "A page that only says what it is."

    def metadata(self):
        return {"sdk": "static", "app_file": "index.html"}

    def files(self, reference, requirements):
        return {"index.html": " ".join([reference, *requirements])}

class Rude(Still):
    "Wants more than its folder."

    def files(self, reference, requirements):
        return {"../x": ""}
"""


def test_other_packages_bring_other_spaces(plugin, ganzoo_cli, refused, tmp_path):
    points = {
        "ganzoo.architectures": {"net": "acme_gan:Net"},
        "ganzoo.spaces": {"still": "acme_gan:Still", "rude": "acme_gan:Rude"},
    }
    plugin("acme-gan", OTHER, points, version="1.2")
    settings = {"arch.hidden": (4,), "data.samples": 20}
    run = ganzoo.train("net", data="ring", out=tmp_path / "run", settings=settings, steps=0)
    rehearsal = ["publish", run.path, "a/b", "--dry-run"]
    assert refused(*rehearsal, "--space") == (
        "Error: several packages provide a Space: choose one with --space-kind: ganzoo:demo or "
        "acme-gan:rude or acme-gan:still"
    )
    assert "has a file '../x', which it must not" in refused(*rehearsal, "--space-kind", "rude")
    for kind, name in (("still", "index.html"), ("demo", "requirements.txt")):
        made = ganzoo_cli("publish", run.path, "a/b", "--space-kind", kind, "--out", kind)
        assert made.code == 0, made
        assert "acme-gan==1.2" in (Path(kind) / name).read_text()


def test_what_stands_for_a_package_is_installed_only_if_it_is_one(tiny_run, ganzoo_cli, tmp_path):
    folder = shutil.copytree(tiny_run.model, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["loss"]["package"] = "--index-url=http://evil.example"
    (folder / "config.json").write_text(json.dumps(config))
    result = ganzoo_cli("publish", sealed(folder), "a/b", "--space", "--out", "page")
    assert result.code == 2
    assert not Path("page").exists()


# As it runs ------------------------------------------------------------------------------------


def test_the_app_of_a_space_serves_the_model(hub, client, publish, model, tmp_path):
    publish(model, NAME)
    for name, content in hub.files(SPACE).items():
        (tmp_path / name).write_bytes(content)
    hub.forget_requests()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    surroundings = {
        **{name: text for name, text in os.environ.items() if not name.startswith("HF_")},
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "GRADIO_SERVER_PORT": str(port),
        "NO_PROXY": "*",
        "OMP_NUM_THREADS": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=tmp_path,
        env=surroundings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        page = _waited_for(f"http://127.0.0.1:{port}/", process)
    finally:
        process.terminate()
        printed = process.communicate(timeout=30)[0]
    assert re.search("<title>|window.gradio_config", page)
    assert "a demo by ganzoo" in page
    assert "Traceback" not in printed
    asked = [request.path for request in hub.calls(path=f"^/{NAME}/")]
    assert asked
    assert all(path.startswith(f"/{NAME}/resolve/{hub.head(NAME)}/") for path in asked), asked


def _waited_for(address, process):
    until = time.monotonic() + 120
    while True:
        try:
            with urlopen(address) as answer:
                return answer.read().decode()
        except OSError:
            if time.monotonic() > until or process.poll() is not None:
                process.kill()
                pytest.fail(process.communicate()[0])
            time.sleep(0.2)
