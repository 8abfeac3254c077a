"""Models of the Hub: loaded whole, of one commit, verified; or refused in a line or two."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest

import ganzoo
from ganzoo.models.folder import write_manifest
from hub import CallError
from hub_models import (
    IMPATIENT,
    NAME,
    NOISE,
    QUICK,
    UNKNOWN,
    USE,
    Known,
    assert_token_is_hidden,
    content,
    said,
    write_other,
)
from hub_routes import ENDLESS
from test_compare import ROW


@pytest.fixture(scope="module")
def model(tiny_run):
    return Known.of(tiny_run.model)


@pytest.fixture(scope="module")
def other(tiny_run, tmp_path_factory):
    """The same networks with other weights, of an earlier step."""
    return Known.of(write_other(tiny_run, tmp_path_factory.mktemp("other") / "model"))


@pytest.fixture
def use(client):
    """Run lines in the client's process, which asks again at once."""
    client.call(QUICK)
    return lambda text, **named: client.call(USE + text, **named)


@pytest.fixture
def show(client, use):
    """Load a model by the command line."""
    return lambda reference, **named: client.run("show", reference, "--json", **named)


def loaded(result):
    """Return the commit and the step of a model that a command has loaded in silence."""
    assert (result.code, result.err) == (0, ""), result
    told = json.loads(result.out)
    return told["reference"], told["config"]["step"]


def asked(hub, what=""):
    return [str(request) for request in hub.calls("*", what)]


# What is loaded.


def test_a_repository_is_a_model_folder(hub, use, model):
    head = hub.repo(NAME, model.files)
    hub.tag(NAME, "v1")

    for call in (
        "drawn('alice/digits')",
        "drawn('alice/digits@v1')",
        "drawn('alice/digits', 'v1')",
        "drawn('alice/digits', revision='main')",
        f"drawn('alice/digits@{head}')",
        f"drawn('alice/digits', '{head}')",
        f"drawn('alice/digits@{head}', '{head}')",
    ):
        assert use(f"result = {call}") == model.drawn, call
    names = {path.rpartition("/")[2] for path in asked(hub, "/resolve/")}
    assert names == {"manifest.json", "config.json", "model.safetensors"}


def test_the_discriminator_is_downloaded_when_it_is_asked_for(hub, use, tiny_run, model):
    hub.repo(NAME, model.files)

    use("drawn('alice/digits')")
    assert not hub.calls("*", "discriminator|samples.png|README|scores")
    read = """
names = ganzoo.load(ref).discriminator.state_dict().items()
result = {name: tensor.flatten().tolist() for name, tensor in names}
"""
    found = use(read, ref=NAME)
    own = ganzoo.load(tiny_run).discriminator.state_dict()
    assert found == {name: tensor.flatten().tolist() for name, tensor in own.items()}
    assert hub.calls("HEAD", "/discriminator.safetensors")


def test_what_is_pinned_and_cached_needs_no_network(hub, use, model):
    head = hub.repo(NAME, model.files)
    use("drawn('alice/digits')")
    hub.forget_requests()

    assert use(f"result = drawn('alice/digits@{head}')") == model.drawn
    assert hub.requests == []
    hub.offline()
    assert use(f"result = drawn('alice/digits@{head}')") == model.drawn


@pytest.mark.parametrize("gone", ["offline", "failing"])
def test_without_network_a_name_means_what_the_cache_has(hub, show, use, model, other, gone):
    head = hub.repo(NAME, model.files)
    hub.tag(NAME, "v1")
    use("drawn('alice/digits'), drawn('alice/digits@v1')")
    hub.commit(NAME, other.files)
    if gone == "offline":
        hub.offline()
    else:
        hub.fail("*", "", 503, times=None)

    for reference in (NAME, f"{NAME}@v1"):
        result = show(reference)
        assert result.code == 0
        assert json.loads(result.out)["reference"] == f"{NAME}@{head}"
        (line,) = result.err.splitlines()
        assert "using the cached commit of" in line
        assert head in line
        assert not [word for word in NOISE if word in line]
    said(show(f"{NAME}@v2"), 1)
    said(show("alice/none"), 1)
    hub.online()
    hub.faults.clear()
    assert use("result = drawn('alice/digits')") == other.drawn


def test_offline_mode_answers_at_once_and_asks_nothing(hub, client, use, model):
    head = hub.repo(NAME, model.files)
    hub.tag(NAME, "v1")
    use("drawn('alice/digits'), drawn('alice/digits@v1')")
    hub.forget_requests()

    with hub.client(home=client.home, HF_HUB_OFFLINE="1") as offline:
        offline.call("import huggingface_hub, torch")
        timed = USE + "start = time.monotonic()\nresult = [drawn(ref), time.monotonic() - start]"
        for reference in (NAME, f"{NAME}@v1", f"{NAME}@{head}"):
            found, seconds = offline.call(timed, ref=reference)
            assert found == model.drawn
            assert seconds < 1.5
        for reference in ("alice/none", f"{NAME}@v2", f"{NAME}@{'0' * 40}"):
            assert "HF_HUB_OFFLINE" in said(offline.run("show", reference), 1)
    assert hub.requests == []


def test_commands_take_models_of_the_hub(hub, client, use, tiny_run, model, tmp_path):
    head = hub.repo(NAME, model.files)
    hub.tag(NAME, "v1")

    for reference, out in ((f"{NAME}@v1", "hub.png"), (tiny_run.path, "run.png")):
        drawn = client.run("sample", reference, "-n", "4", "--out", out, "--json", cwd=tmp_path)
        assert drawn.code == 0, drawn
        if out == "hub.png":
            assert json.loads(drawn.out)["model"] == f"{NAME}@{head}"
    assert (tmp_path / "hub.png").read_bytes() == (tmp_path / "run.png").read_bytes()
    judged = client.run("eval", NAME, "--metric", "fid", "--samples", "24", "--json")
    assert judged.code == 0, judged
    assert json.loads(judged.out)["scores"][0]["step"] == 4
    shown = client.run("show", NAME)
    assert f"{NAME}@{head}" in shown.out


def test_comparing_downloads_scores_and_no_weights(hub, client, use, tiny_run, tmp_path):
    for user, value in (("alice", 10.0), ("bob", 5.0)):
        folder = shutil.copytree(tiny_run.model, tmp_path / user)
        row = ROW.model_copy(update={"value": value})
        (folder / "scores.json").write_text(json.dumps([row.model_dump(mode="json")]))
        write_manifest(folder)
        hub.repo(f"{user}/digits", content(folder))

    result = client.run("compare", "alice/digits", "bob/digits", "--json")

    (group,) = json.loads(result.out)["groups"]
    assert [place["model"] for place in group["ranking"]] == ["bob/digits", "alice/digits"]
    assert not hub.calls("*", "safetensors|storage")


# What passes.


READS = {
    "lookup": ("HEAD", "/resolve/main/manifest.json"),
    "manifest": ("GET", "/resolve/main/manifest.json"),
    "config-head": ("HEAD", "/config.json"),
    "config": ("GET", "/config.json"),
    "weights-head": ("HEAD", "/model.safetensors"),
    "weights": ("GET", "^/storage/"),
}


PASSING = [
    *((step, fault) for step in READS for fault in ("429", "500", "503", "drop")),
    *((step, fault) for step in READS for fault in ("truncate", "corrupt") if "GET" in READS[step]),
]


@pytest.mark.parametrize(("step", "fault"), PASSING)
def test_a_fault_that_passes(hub, show, use, model, step, fault):
    head = hub.repo(NAME, model.files)
    method, path = READS[step]
    if fault in ("truncate", "corrupt"):
        hit = getattr(hub, fault)(path.removeprefix("^/"), times=1)
    elif fault == "drop":
        hit = hub.drop(method, path)
    else:
        hit = hub.fail(method, path, int(fault), headers={"Retry-After": "0"})

    assert loaded(show(NAME)) == (f"{NAME}@{head}", 4)
    assert hit.hits == 1
    assert use("result = drawn('alice/digits')") == model.drawn


MOMENTS = {
    "after-lookup": ("after", "HEAD", "manifest.json"),
    "before-manifest": ("before", "GET", "manifest.json"),
    "after-manifest": ("after", "GET", "manifest.json"),
    "before-config": ("before", "HEAD", "config.json"),
    "after-config": ("after", "GET", "config.json"),
    "before-weights": ("before", "GET", "^/storage/"),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("longer", [False, True], ids=["of-a-size", "longer"])
def test_the_head_moves_while_a_model_is_loaded(hub, show, use, model, other, moment, longer):
    files = dict(other.files)
    if longer:
        records = json.loads(files["manifest.json"])
        files["more.txt"] = b"more"
        records["more.txt"] = {"size": 4, "sha256": hashlib.sha256(b"more").hexdigest()}
        files["manifest.json"] = json.dumps(records).encode()
    old = hub.repo(NAME, model.files)
    when, method, path = MOMENTS[moment]
    getattr(hub, when)(method, path, lambda: hub.commit(NAME, files))

    found = loaded(show(NAME))

    new = hub.head(NAME)
    assert new != old
    assert found in ((f"{NAME}@{old}", 4), (f"{NAME}@{new}", 3))
    drawn = {f"{NAME}@{old}": model.drawn, f"{NAME}@{new}": other.drawn}
    assert use("result = drawn(ref)", ref=found[0]) == drawn[found[0]]
    assert use("result = drawn('alice/digits')") == other.drawn
    assert use("result = drawn(ref)", ref=f"{NAME}@{old}") == model.drawn


# What is refused.


def status(method, path, code, headers=None):
    return lambda hub, files: hub.fail(method, path, code, times=None, headers=headers)


def dropped(method, path):
    return lambda hub, files: hub.drop(method, path, times=None)


FAULTS = {
    "401-lookup": (status("*", "manifest", 401, UNKNOWN), 1, "log in"),
    "401-no-token": (status("*", "manifest", 401), 2, "log in"),
    "401-weights": (status("*", "model.safetensors", 401, UNKNOWN), 1, "log in"),
    "403-lookup": (status("*", "manifest", 403), 1, "403"),
    "403-weights": (status("GET", "^/storage/", 403), 1, "403"),
    "404-lookup": (status("*", "manifest", 404), 1, "404"),
    "409-lookup": (status("*", "manifest", 409), 1, "409"),
    "412-lookup": (status("*", "manifest", 412), 1, "412"),
    "429-lookup": (status("*", "manifest", 429), 1, "too many requests"),
    "429-weights": (status("GET", "^/storage/", 429), 1, "too many requests"),
    "500-lookup": (status("*", "manifest", 500), 1, "500"),
    "500-manifest": (status("GET", "manifest", 500), 1, "500"),
    "500-config": (status("*", "config", 500), 1, "500"),
    "500-weights": (status("GET", "^/storage/", 500), 1, "500"),
    "503-weights": (status("GET", "^/storage/", 503), 1, "503"),
    "drop-lookup": (dropped("*", "manifest"), 1, "cannot be reached"),
    "drop-config": (dropped("*", "config"), 1, "cannot be reached"),
    "drop-weights": (dropped("GET", "^/storage/"), 1, "cannot be reached"),
    "offline": (lambda hub, files: hub.offline(), 1, "cannot be reached"),
    "offline-later": (
        lambda hub, files: hub.before("HEAD", "safetensors", hub.offline),
        1,
        "cannot be reached",
    ),
    "truncated-manifest": (lambda hub, files: hub.truncate("manifest", times=None), 1, ""),
    "truncated-config": (lambda hub, files: hub.truncate("config", times=None), 1, ""),
    "truncated-weights": (lambda hub, files: hub.truncate("safetensors", times=None), 1, ""),
    "corrupt-manifest": (lambda hub, files: hub.corrupt("manifest"), 2, "manifest.json"),
    "corrupt-config": (lambda hub, files: hub.corrupt("config"), 2, "config.json"),
    "corrupt-weights": (lambda hub, files: hub.corrupt("safetensors"), 2, "model.safetensors"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_stays(hub, show, use, model, fault):
    arrange, code, words = FAULTS[fault]
    hub.repo(NAME, model.files)
    arrange(hub, model.files)

    assert words in said(show(NAME), code)

    hub.online()
    hub.faults.clear()
    assert loaded(show(NAME))[1] == 4
    assert use("result = drawn('alice/digits')") == model.drawn


def changed(files, **records):
    """Return files with another manifest: of sizes, hashes or names that are not theirs."""
    listed = {**json.loads(files["manifest.json"]), **records}
    listed = {name: record for name, record in listed.items() if record is not None}
    return {**files, "manifest.json": json.dumps(listed).encode()}


def record(size, text="0" * 64):
    return {"size": size, "sha256": text}


def resized(hub, name, size, announced=None):
    hub.oversize(NAME, name, size, announced)


def without(files, *names):
    return {name: content for name, content in files.items() if name not in names}


PICKLE = b"cos\nsystem\n(S'touch canary'\ntR."
PICKLED = {"pytorch_model.bin": PICKLE, "model.pt": PICKLE, "README.md": b"# A model\n"}
HUGE = 10**15
UNFIT = {
    "pickles": (lambda files: PICKLED, None, "not a complete"),
    "pickles-and-config": (
        lambda files: {**PICKLED, "config.json": files["config.json"]},
        None,
        "not a complete",
    ),
    "no-weights": (lambda files: without(files, "model.safetensors"), None, "not a complete"),
    "no-config": (lambda files: without(files, "config.json"), None, "not a complete"),
    "huge-manifest": (
        dict,
        lambda hub: resized(hub, "manifest.json", HUGE),
        "at most 1,048,576",
    ),
    "huge-config": (dict, lambda hub: resized(hub, "config.json", HUGE), f"{HUGE:,}"),
    "huge-weights": (dict, lambda hub: resized(hub, "model.safetensors", HUGE), f"{HUGE:,}"),
    "huge-and-listed": (
        lambda files: changed(files, **{"model.safetensors": record(HUGE)}),
        lambda hub: resized(hub, "model.safetensors", HUGE),
        "does not fit its network",
    ),
    "huge-config-listed": (
        lambda files: changed(files, **{"config.json": record(HUGE)}),
        lambda hub: resized(hub, "config.json", HUGE),
        "at most",
    ),
    "other-size": (
        lambda files: changed(files, **{"model.safetensors": record(5000)}),
        None,
        "model.safetensors",
    ),
    "other-hash": (
        lambda files: changed(
            files, **{"model.safetensors": record(len(files["model.safetensors"]))}
        ),
        None,
        "model.safetensors",
    ),
    "not-listed": (
        lambda files: changed(files, **{"model.safetensors": None}),
        None,
        "does not list it",
    ),
    "empty-list": (lambda files: {**files, "manifest.json": b"{}"}, None, "does not list it"),
    "no-list": (lambda files: {**files, "manifest.json": b"[1]"}, None, "manifest.json"),
    "no-json": (lambda files: {**files, "manifest.json": b"\xff{"}, None, "manifest.json"),
}


@pytest.mark.parametrize("state", UNFIT)
def test_what_is_no_model(hub, client, show, use, model, tmp_path, state):
    arranged, arrange, words = UNFIT[state]
    hub.repo(NAME, arranged(model.files))
    if arrange:
        arrange(hub)

    assert words in said(show(NAME), 2)

    assert not hub.calls("*", r"pytorch_model|model\.pt|canary")
    assert not list(tmp_path.rglob("*canary*"))
    assert sum(path.lstat().st_size for path in client.home.rglob("*")) < 10**6
    hub.repo(NAME, model.files)
    assert loaded(show(NAME))[1] == 4


def test_names_in_a_manifest_lead_nowhere(hub, client, show, use, model, tmp_path):
    names = ("../../canary", "/canary", ".canary", "canary")
    hub.repo(NAME, changed(model.files, **{name: record(6) for name in names}))
    hub.intrude(NAME, names)

    result = show(NAME)

    assert loaded(result)[1] == 4 if result.code == 0 else said(result, 2)
    assert not hub.calls("*", "canary")
    for place in (tmp_path, client.home):
        assert not list(place.rglob("*canary*"))


def test_a_file_that_is_larger_than_announced_is_not_taken(hub, show, use, model):
    size = len(model.files["config.json"])
    hub.repo(NAME, model.files)
    resized(hub, "config.json", 10**6, announced=size)

    said(show(NAME), 1)

    hub.repo(NAME, model.files)
    assert loaded(show(NAME))[1] == 4


GREEDY = 100_000_000
"""Bytes that nobody should take of a body without end."""


@pytest.mark.parametrize("how", ENDLESS)
@pytest.mark.parametrize("step", ["manifest", "config", "weights"])
def test_a_file_that_does_not_end_is_not_taken(hub, client, show, use, model, step, how):
    client.call(IMPATIENT, seconds=0.1)
    hub.repo(NAME, model.files)
    method, path = READS[step]
    hub.endless(method, path, how)

    assert "arrive" in said(show(NAME), 1)

    assert hub.poured < GREEDY
    assert len(hub.calls(method, path)) == 1, "it is not asked for again"
    assert not list((client.home / "hub").rglob("*.incomplete"))
    biggest = max(len(content) for content in model.files.values())
    kept = [path for path in (client.home / "hub").rglob("*") if path.is_file()]
    assert all(path.stat().st_size <= biggest for path in kept)
    client.call(IMPATIENT, seconds=60)
    hub.faults.clear()
    assert loaded(show(NAME))[1] == 4


@pytest.mark.parametrize("how", ["announced", "gzip"])
def test_an_error_that_does_not_end_is_not_taken(hub, show, use, model, how):
    hub.repo(NAME, model.files)
    hub.endless("GET", "config.json", how, status=403)
    said(show(NAME), 1)
    assert hub.poured < GREEDY


def test_hostile_names_in_a_listing_are_nobodys_business(hub, client, show, use, model, tmp_path):
    hub.repo(NAME, model.files)
    hub.intrude(NAME, ["../../intruder", "/intruder", "..\\intruder", "C:/intruder", ".env"])

    assert loaded(show(NAME))[1] == 4

    assert not hub.calls("*", "intruder|env")
    for place in (tmp_path, client.home):
        assert b"intruder" not in b"".join(
            path.read_bytes() for path in place.rglob("*") if path.is_file()
        )


WHO = {
    "private": ({"private": True}, 2, "private"),
    "gated": ({"gated": True}, 1, "gated"),
}


@pytest.mark.parametrize("kind", WHO)
@pytest.mark.parametrize("token", [None, "hf_wrong"], ids=["no-token", "wrong-token"])
def test_what_not_everybody_may_have(hub, show, use, model, kind, token):
    about, code, words = WHO[kind]
    hub.repo(NAME, model.files, **about)

    if token:
        code, words = 1, "does not know you"
    assert words in said(show(NAME, env={"HF_TOKEN": token}), code)

    hub.repositories[NAME].gated = False
    assert loaded(show(NAME))[1] == 4


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (f"{NAME}@v9", "no revision v9"),
        (f"{NAME}@{'0' * 40}", "no revision"),
        ("alice/none", "no model alice/none"),
        ("alice/none@v1", "no model alice/none"),
        (f"{NAME}@", "no run or model folder"),
        (f"{NAME}@../x", "no run or model folder"),
        ("alice/../x", "no run or model folder"),
        ("a/b/c", "no run or model folder"),
    ],
)
def test_what_is_not_there(hub, show, use, model, reference, words):
    hub.repo(NAME, model.files)

    assert words in said(show(reference), 2)


@pytest.mark.parametrize("revision", ["", " ", "a b", "../../x", "v1\n"])
def test_a_revision_is_one(hub, use, model, revision):
    hub.repo(NAME, model.files)

    with pytest.raises(CallError) as caught:
        use("drawn('alice/digits', revision)", revision=revision)

    assert "InputError" in caught.value.kinds
    assert hub.requests == []


def test_a_folder_has_no_revision_and_a_name_one(hub, use, tiny_run):
    for model, words in ((str(tiny_run.path), "revisions"), (f"{NAME}@v1", "choose one")):
        with pytest.raises(CallError, match=words) as caught:
            use("drawn(model, 'v2')", model=model)
        assert "InputError" in caught.value.kinds
    assert hub.requests == []


# The cache.


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES = {
    "flipped": lambda path: path.write_bytes(flipped(path.read_bytes())),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "emptied": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("name", ["manifest.json", "config.json", "model.safetensors"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_mended_where_there_is_a_network(
    hub, client, show, use, model, name, damage
):
    head = hub.repo(NAME, model.files)
    pinned = f"{NAME}@{head}"
    use("drawn('alice/digits')")
    (file,) = client.home.rglob(name)
    DAMAGES[damage](file.resolve())

    hub.offline()
    said(show(pinned), 1)
    hub.online()
    hub.forget_requests()
    assert loaded(show(pinned)) == (pinned, 4)
    assert len(hub.calls("GET", "/resolve/.*json|^/storage/")) == 1
    hub.forget_requests()
    assert use("result = drawn(ref)", ref=pinned) == model.drawn
    assert hub.requests == []


def test_a_damaged_file_of_another_commit_is_mended_too(hub, client, show, use, model):
    hub.repo(NAME, model.files)
    use("drawn('alice/digits')")
    (file,) = client.home.rglob("model.safetensors")
    DAMAGES["flipped"](file.resolve())
    hub.commit(NAME, {"notes.txt": b"new"})

    assert loaded(show(NAME))[1] == 4


def test_a_cache_that_cannot_be_written_is_named(hub, client, show, use, model):
    hub.repo(NAME, model.files)
    (client.home / "hub").write_text("no folder")

    message = said(show(NAME), 1)

    assert "cannot be reached" not in message
    assert str(client.home / "hub") in message
    (client.home / "hub").unlink()
    assert loaded(show(NAME))[1] == 4


# What it says of this machine.


def test_a_model_chooses_no_folder_and_no_download(hub, client, tiny_run, tmp_path):
    folder = shutil.copytree(tiny_run.model, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["data"] |= {"name": "mnist", "options": {"root": str(tmp_path / "some" / "place")}}
    (folder / "config.json").write_text(json.dumps(config))
    write_manifest(folder)
    hub.repo(NAME, content(folder))
    for command in (("eval", NAME), ("train", "--init", NAME, "--out", str(tmp_path / "run"))):
        message = said(client.run(*command), 2)
        assert "to download it, give --data mnist" in message
        assert {path.name for path in tmp_path.iterdir()} == {"model"}


# The token.


@pytest.mark.parametrize("by", ["environment", "login"])
def test_a_token_that_a_server_echoes_is_not_shown(hub, client, show, use, model, by, tmp_path):
    head = hub.repo(NAME, model.files, private=True)
    env = {}
    if by == "login":
        (client.home / "token").write_text(hub.token)
        env = {"HF_TOKEN": None}
    echo = {"X-Error-Message": "sent {authorization}", "X-HF-Warning": "topic; {authorization}"}
    printed = []
    for path in ("manifest.json", "model.safetensors"):
        hub.fail("HEAD", path, 400, headers=echo, times=None, body={"error": "{authorization}"})
        failed = show(NAME, env=env)
        assert "***" in said(failed, 1)
        printed += [failed, client.run("--debug", "show", NAME, env=env)]
        with pytest.raises(CallError) as caught:
            use("drawn('alice/digits')", env=env)
        assert "GanzooError" in caught.value.kinds
        printed += [caught.value.result, str(caught.value)]
        hub.faults.clear()

    assert loaded(show(f"{NAME}@{head}", env=env))[1] == 4
    assert "Traceback" in printed[1].err
    assert_token_is_hidden(hub, client, printed, tmp_path)
