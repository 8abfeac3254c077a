"""The Hub of the tests and the real client of it agree, and each fault does what it says."""

from __future__ import annotations

import os
import re

import pytest

from hub import CallError, Client, FakeHub

FILES = {
    "README.md": b"---\nlicense: mit\n---\nA model.\n",
    "config.json": b"{}",
    "model.safetensors": b"weights" * 100,
}
USE = """
from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download, snapshot_download
api = HfApi()

def push(parent=None, name="alice/digits", **files):
    files = {path.replace("_", "."): text for path, text in files.items()}
    return api.create_commit(
        name,
        [CommitOperationAdd(path, text.encode()) for path, text in files.items()],
        commit_message="pushed",
        parent_commit=parent,
    ).oid

def pull(path="model.safetensors", revision=None):
    with open(hf_hub_download("alice/digits", path, revision=revision), "rb") as file:
        return file.read().decode()
"""
PUSH = "result = push(README_md='---\\na: 1\\n---\\n', config_json='{1}', model_safetensors='new')"
PULL = "result = pull()"
INFO = "result = api.model_info('alice/digits').sha"


@pytest.fixture
def use(client):
    """Run lines in the client's process, where a few functions are at hand."""
    return lambda text, **named: client.call(USE + text, **named)


@pytest.fixture
def refused(use):
    """Run lines that must raise, and return the error."""

    def run(text: str, **named: object) -> CallError:
        with pytest.raises(CallError) as caught:
            use(text, **named)
        return caught.value

    return run


def test_a_round_trip(hub, use):
    made = use(
        """
api.create_repo("alice/digits", private=True, exist_ok=True)
parent = api.model_info("alice/digits").sha
sha = push(parent, README_md=texts[0], config_json=texts[1], model_safetensors=texts[2])
api.create_tag("alice/digits", tag="v1", revision=sha)
result = [parent, sha]
""",
        texts=[content.decode() for content in FILES.values()],
    )

    assert hub.files("alice/digits", "v1") == FILES
    assert [commit.sha for commit in hub.commits("alice/digits")] == made[::-1]
    assert hub.commits("alice/digits")[0].message == "pushed"
    assert hub.repositories["alice/digits"].private
    (upload,) = hub.calls("PUT")
    assert upload.body == FILES["model.safetensors"]
    (commit,) = hub.calls("POST", "/commit/")
    assert [key for key, _ in commit.operations] == ["header", "file", "file", "lfsFile"]

    for revision in (None, "v1", made[1]):
        assert use("result = pull(revision=revision)", revision=revision) == "weights" * 100
    hub.forget_requests()
    use("pull(revision=revision)", revision=made[1])
    assert hub.requests == []
    assert use("result = api.list_repo_files('alice/digits')")[1:] == list(FILES)
    listed = use(
        "result = [[f.path, f.size, f.lfs and f.lfs.sha256]"
        " for f in api.get_paths_info('alice/digits', ['config.json', 'model.safetensors'])]"
    )
    assert [size for _, size, _ in listed] == [2, 700]
    assert listed[1][2] in upload.path
    assert use("result = api.list_repo_refs('alice/digits').tags[0].target_commit") == made[1]
    assert use("result = len(api.list_repo_commits('alice/digits'))") == 2
    use("api.delete_repo('alice/digits')")
    assert not hub.repositories


def test_the_storage_is_another_host_and_is_given_no_token(hub, use):
    hub.repo("alice/digits", private=True)

    use(PUSH + "; pull()")

    stored = [request for request in hub.requests if request.to_storage]
    assert [request.method for request in stored] == ["PUT", "GET"]
    for request in hub.requests:
        assert request.token == (None if request.to_storage else hub.token)
        assert (hub.token in str(request.headers)) != request.to_storage


def test_files_that_have_not_changed_are_not_sent(hub, use):
    hub.repo("alice/digits", FILES)

    sha = use("result = push(config_json='{}', model_safetensors='weights' * 100)")

    assert sha == hub.head("alice/digits")
    assert not hub.calls("PUT")
    assert not hub.calls("POST", "/commit/")


def test_a_commit_on_a_stale_parent_is_refused(hub, use, refused):
    old = hub.repo("alice/digits", FILES)
    hub.before("POST", "/commit/", lambda: hub.commit("alice/digits", {"other": b"1"}))

    error = refused("result = push(parent, config_json='1')", parent=old)

    assert error.kinds[0] == "HfHubHTTPError"
    assert "A commit has happened since" in error.message
    assert hub.requests[-1].status == 412
    assert hub.files("alice/digits") == {**FILES, "other": b"1"}
    new = use("result = push(parent, config_json='1')", parent=hub.head("alice/digits"))
    assert hub.head("alice/digits") == new


@pytest.mark.parametrize(
    ("token", "push", "private"),
    [
        (None, (401, "RepositoryNotFoundError"), (401, "RepositoryNotFoundError")),
        ("hf_wrong", (401, "HfHubHTTPError"), (401, "HfHubHTTPError")),
        ("read", (403, "HfHubHTTPError"), None),
    ],
)
def test_who_may_do_what(hub, use, refused, token, push, private):
    env = {"HF_TOKEN": hub.read_token if token == "read" else token}
    head = hub.repo("alice/digits", FILES)

    error = refused(PUSH, env=env)
    assert (hub.requests[-1].status, error.kinds[0]) == push
    assert hub.head("alice/digits") == head

    hub.repo("alice/digits", FILES, private=True)
    if private is None:
        assert use(PULL, env=env) == "weights" * 100
    else:
        error = refused(PULL, env=env)
        assert (hub.requests[-1].status, error.kinds[0]) == private


def test_repositories_of_others(hub, refused):
    hub.repo("bob/open", FILES)
    hub.repo("bob/closed", FILES, private=True)
    hub.repo("alice/digits", FILES, gated=True)

    assert "403" in refused("push(name='bob/open', a='1')").message
    assert "403" in refused("api.create_repo('bob/new')").message
    assert refused("api.model_info('bob/closed')").kinds[0] == "RepositoryNotFoundError"
    assert refused("api.model_info('alice/none')").kinds[0] == "RepositoryNotFoundError"
    assert refused("api.model_info('bob/open', revision='v9')").kinds[0] == "RevisionNotFoundError"
    missing = "hf_hub_download('bob/open', 'none')"
    assert refused(missing).kinds[0] == "RemoteEntryNotFoundError"
    assert refused(PULL).kinds[0] == "GatedRepoError"


@pytest.mark.parametrize("fault", ["500", "429", "drop"])
@pytest.mark.parametrize(
    ("method", "path", "attempts"),
    [("POST", "/preupload/", 6), ("PUT", "^/storage/", 6), ("POST", "/commit/", 1)],
)
def test_how_often_a_part_of_a_push_is_tried(hub, refused, fault, method, path, attempts):
    head = hub.repo("alice/digits", FILES)
    if fault == "drop":
        hits = hub.drop(method, path, times=None)
    else:
        hits = hub.fail(method, path, int(fault), times=None, headers={"Retry-After": "2"})

    refused(PUSH)

    assert hits.hits == len(hub.calls(method, path)) == attempts
    assert hub.requests[-1].status == (None if fault == "drop" else int(fault))
    assert hub.head("alice/digits") == head


def test_a_fault_that_passes(hub, use):
    hub.repo("alice/digits", FILES)
    hub.fail("PUT", "^/storage/", 500, times=2)

    use(PUSH)

    assert [request.status for request in hub.calls("PUT")] == [500, 500, 200]
    assert hub.files("alice/digits")["model.safetensors"] == b"new"


@pytest.mark.parametrize("lost", ["drop", "fail"])
def test_a_commit_whose_answer_is_lost_was_made(hub, refused, lost):
    head = hub.repo("alice/digits", FILES)
    getattr(hub, lost)("POST", "/commit/", after=True)

    refused(PUSH)

    assert hub.files("alice/digits")["config.json"] == b"{1}"
    assert hub.commits("alice/digits")[0].parent == head


def test_files_that_arrive_other_than_they_are(hub, use, refused):
    hub.repo("alice/digits", FILES)
    hub.corrupt("model.safetensors")
    hub.truncate("config.json")

    got = use(PULL)
    assert len(got) == 700
    assert sum(a != b for a, b in zip(got, "weights" * 100, strict=True)) == 1
    assert use("result = pull('config.json')") == "{}"
    assert len(hub.calls("GET", "config.json")) == 2

    hub.truncate("README.md", times=None)
    assert refused("pull('README.md')").kinds[0] == "RemoteProtocolError"


def test_a_file_that_is_larger_than_it_should_be(hub, use, refused):
    hub.repo("alice/digits", FILES)
    hub.oversize("alice/digits", "model.safetensors", 10**15)
    hub.oversize("alice/digits", "config.json", 10**6, announced=2)

    sizes = use(
        "info = api.model_info('alice/digits', files_metadata=True)\n"
        "result = {file.rfilename: file.size for file in info.siblings}"
    )
    assert sizes["model.safetensors"] == 10**15
    assert sizes["config.json"] == 2
    assert refused(PULL).kinds[0] == "ValueError"
    assert not hub.calls("GET", "^/storage/")
    assert "should be of size 2 but has size 1000000" in refused("pull('config.json')").message


def test_hostile_names_are_in_every_listing(hub, use, refused):
    names = ["../../x", "/abs", "..\\x", "C:/x"]
    hub.repo("alice/digits", FILES)
    hub.intrude("alice/digits", names)

    siblings = "result = [file.rfilename for file in api.model_info('alice/digits').siblings]"
    assert use(siblings)[-4:] == names
    paths = "result = [f.path for f in api.get_paths_info('alice/digits', ['config.json'])]"
    assert use(paths) == ["config.json", *names]
    assert refused("snapshot_download('alice/digits')").kinds[0] == "ValueError"
    for name in names:
        assert refused("pull(name)", name=name).kinds[0] == "ValueError"


def test_a_server_that_echoes_the_token(hub, refused):
    hub.repo("alice/digits", FILES)
    warning = {"X-HF-Warning": "topic; sent {authorization}"}
    hub.fail(
        "POST", "/commit/", 400, body={"error": "got {authorization}"}, headers=warning, times=2
    )

    for _ in range(2):
        error = refused(PUSH)
        assert f"got Bearer {hub.token}" in error.message
        assert f"sent Bearer {hub.token}" in error.result.err


def test_the_head_moves_between_two_files(hub, use):
    old = hub.repo("alice/digits", FILES)
    hub.after("HEAD", "config.json", lambda: hub.commit("alice/digits", {"README.md": b"new"}))

    assert use("result = [pull('config.json'), pull('README.md')]") == ["{}", "new"]
    assert use("result = pull('README.md', old)", old=old) == FILES["README.md"].decode()


def test_the_network_goes_and_comes_back(hub, client, use, refused):
    url = hub.url
    hub.repo("alice/digits", FILES)
    use(PULL)

    hub.offline()
    assert use(PULL) == "weights" * 100
    assert refused(INFO).kinds[0] == "ConnectError"
    client.empty_cache()
    error = refused(PULL)
    assert error.kinds[0] == "LocalEntryNotFoundError"
    assert error.result.err.count("Retrying in") == 5

    hub.online()
    assert hub.url == url
    assert use(PULL) == "weights" * 100
    hub.after("POST", "/commit/", hub.offline)
    use(PUSH)
    refused(INFO)


def test_what_a_command_prints_is_caught_where_it_leaves_the_process(client):
    result = client.run("--version")
    assert (result.code, result.err) == (0, "")
    assert re.fullmatch(r"ganzoo \S+\n", result.out)
    assert client.run("no-such-command").code == 2

    error = """
import logging, os, sys, warnings
print("printed")
os.write(1, b"written\\n")
os.system("echo by a child >&2")
logging.getLogger("any").warning("logged")
warnings.warn("warned")
raise KeyError(os.environ["WORD"], os.getcwd(), sys.stdin.read())
"""
    for word in ("one", "two"):
        with pytest.raises(CallError) as caught:
            client.call(error, env={"WORD": word})
        assert caught.value.kinds[:2] == ["KeyError", "LookupError"]
        assert caught.value.message == str((word, os.getcwd(), ""))
        assert sorted(caught.value.result.out.split()) == ["printed", "written"]
        assert caught.value.result.err == "by a child\nlogged\n<call>:7: UserWarning: warned\n"
    assert client.call("import os; result = 'WORD' in os.environ") is False


def test_a_call_that_hangs_is_ended(hub, client):
    with pytest.raises(pytest.fail.Exception, match=r"(?s)no answer in 0\.5 s.*so far.*<call>"):
        client.call("import time; print('so far', flush=True); time.sleep(60)", timeout=0.5)

    assert client.call("result = 1 + 1") == 2


def test_the_tests_themselves_never_reach_the_real_hub(hub):
    import huggingface_hub
    from huggingface_hub.errors import OfflineModeIsEnabled

    with pytest.raises(OfflineModeIsEnabled):
        huggingface_hub.HfApi(endpoint=hub.url).model_info("alice/digits")
    assert hub.requests == []


def test_a_failure_of_the_fake_itself_is_not_silent():
    with FakeHub() as hub, hub.client(HF_TOKEN=None) as client:
        assert isinstance(client, Client)
        hub.before("GET", "alice/digits", lambda: 1 / 0)
        with pytest.raises(CallError):
            client.call(USE + INFO)
        with pytest.raises(AssertionError, match="ZeroDivisionError"):
            hub.reset()
        hub.reset()
