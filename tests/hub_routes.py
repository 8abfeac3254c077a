"""What the Hub of the tests keeps, and how it answers each route; see ``hub``."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

if TYPE_CHECKING:
    from hub import FakeHub

STORAGE_HOST = "localhost"
"""Another name for the same machine, which serves large files and must be given no token."""
LARGE_SUFFIXES = (".safetensors", ".png", ".onnx", ".pt2", ".pt", ".pth", ".bin", ".ckpt", ".pkl")
LARGE_SIZE = 10_000_000
GIT_ATTRIBUTES = "".join(
    f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LARGE_SUFFIXES
).encode()
"""The one file of a new repository, which the Hub writes."""
NEW_SPACE = """---
title: {name}
emoji: 🐨
colorFrom: blue
colorTo: gray
sdk: {sdk}
sdk_version: 5.0.1
app_file: app.py
pinned: false
---

Check out the configuration reference at https://huggingface.co/docs/hub/spaces-config-reference
"""
"""What the Hub writes for a new Space."""
DATE = "2026-01-01T00:00:00.000Z"


@dataclass(frozen=True)
class Blob:
    """The bytes of a file, kept in the repository itself or apart as a large file."""

    content: bytes
    large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def pointer(self) -> bytes:
        """What git holds in the place of a large file."""
        return (
            "version https://git-lfs.github.com/spec/v1\n"
            f"oid sha256:{self.sha256}\nsize {len(self.content)}\n"
        ).encode()

    @property
    def git_id(self) -> str:
        content = self.pointer if self.large else self.content
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.large else self.git_id


@dataclass(frozen=True)
class Commit:
    """A state of a repository."""

    sha: str
    parent: str | None
    message: str
    tree: dict[str, Blob]

    @property
    def files(self) -> dict[str, bytes]:
        """The bytes of each file, by its name, without the one that the Hub itself wrote."""
        return {
            name: blob.content for name, blob in self.tree.items() if blob.content != GIT_ATTRIBUTES
        }


@dataclass
class Repository:
    """A repository: its history, and the large files that were uploaded to it.

    That of a Space has a name that begins with ``spaces/``, as its address does.
    """

    name: str
    private: bool = False
    gated: bool = False
    history: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    """By SHA-256, whether a commit names them or not."""
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of files with a false size, what is announced and what is sent."""
    strangers: dict[str, Blob] = field(default_factory=dict)
    """Files that each listing names, though nobody committed or asked for them."""

    @property
    def owner(self) -> str:
        return _owner(self.name)

    @property
    def head(self) -> Commit:
        return self.history[self.branches["main"]]

    def at(self, revision: str) -> Commit:
        """Return a commit by its own name, or that of a branch or tag."""
        sha = self.branches.get(revision) or self.tags.get(revision) or revision
        if sha not in self.history:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.history[sha]

    def commit(self, branch: str, tree: Mapping[str, Blob], message: str) -> Commit:
        """Put a state on top of a branch."""
        commit = Commit(
            secrets.token_hex(20), self.branches.get(branch), message, dict(sorted(tree.items()))
        )
        self.history[commit.sha] = commit
        self.branches[branch] = commit.sha
        return commit

    def listed(self, commit: Commit) -> dict[str, Blob]:
        return {**commit.tree, **self.strangers}

    def size(self, name: str, blob: Blob) -> int:
        return self.sizes.get(name, (len(blob.content),))[0]


ENDLESS = ("announced", "chunked", "until-closed", "gzip", "drip")
"""Bodies without end: with a false length, in chunks, with none of these, packed, and slow ones."""


@dataclass
class Request:
    """What a client sent, and the status of the answer that it was given."""

    method: str
    target: str
    """The path and the query, as sent."""
    headers: dict[str, str]
    """By names in lower case."""
    body: bytes
    status: int | None = None
    """``None`` where no answer was sent."""

    @property
    def path(self) -> str:
        """The path, without the query, in plain letters."""
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def token(self) -> str | None:
        return self.headers.get("authorization", "").removeprefix("Bearer ") or None

    @property
    def to_storage(self) -> bool:
        """Whether it went to the host of large files."""
        return self.headers["host"].startswith(STORAGE_HOST)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def operations(self) -> list[tuple[str, dict[str, Any]]]:
        """What a commit is to do: ``header``, ``file``, ``lfsFile`` and ``deletedFile``."""
        lines = (json.loads(line) for line in self.body.splitlines())
        return [(line["key"], line["value"]) for line in lines]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Answer:
    """What the Hub sends; a fault may change it, or send nothing at all."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    size: int | None = None
    """What is announced, where it is not what is sent."""
    zeros: int = 0
    """How many bytes follow the body, which are kept nowhere."""
    dropped: bool = False
    endless: str = ""
    """How a body without end follows: one of ``ENDLESS``."""

    @classmethod
    def of(cls, value: Any, status: int = 200, **headers: str) -> Answer:
        """Answer in JSON."""
        headers = {name.replace("_", "-"): text for name, text in headers.items()}
        body = json.dumps(value).encode()
        return cls(status, body, {"Content-Type": "application/json; charset=utf-8", **headers})


class Refused(Exception):
    """The Hub does not do what it was asked."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(status, message, code)
        headers["X_Error_Message"] = message
        if code is not None:
            headers["X_Error_Code"] = code
        self.answer = Answer.of({"error": message}, status, **headers)


def is_large(path: str, size: int) -> bool:
    """Whether the Hub keeps a file apart, by its name and size."""
    return path.endswith(LARGE_SUFFIXES) or size > LARGE_SIZE


Handle = Callable[..., Answer]
ROUTES: list[tuple[tuple[str, ...], re.Pattern[str], Handle]] = []
MODEL = r"/api/(?:models/|(?=spaces/))(?P<name>(?:spaces/)?[^/]+/[^/]+)"
PAGE = r"/(?P<name>(?:spaces/)?[^/]+/[^/]+)"
REVISION = r"(?P<revision>[^/]+)"


def route(method: str, pattern: str) -> Callable[[Handle], Handle]:
    def add(handle: Handle) -> Handle:
        ROUTES.append((tuple(method.split()), re.compile(pattern), handle))
        return handle

    return add


WRONG_TOKEN = "Invalid credentials in Authorization header"
HIDDEN = re.compile("/api/(models|spaces)/.+|/.+/resolve/.+")
"""Where the client takes 401 for a repository that is not there, by the address alone."""


def answer(hub: FakeHub, request: Request) -> Answer:
    """Do what is asked, as the Hub would."""
    try:
        return _handled(hub, request)
    except Refused as refused:
        return refused.answer


def _handled(hub: FakeHub, request: Request) -> Answer:
    path = urlsplit(request.target).path
    for methods, pattern, handle in ROUTES:
        match = pattern.fullmatch(path)
        if match and request.method in methods:
            values = match.groupdict("main").items()
            return handle(hub, request, **{name: unquote(text) for name, text in values})
    raise Refused(501, f"the Hub of the tests does not know {request}")


def hidden(request: Request, answer: Answer) -> Answer:
    """Say what the client concludes from 401 by itself, but of addresses with https only."""
    told = answer.headers.get("X-Error-Message")
    if answer.status == 401 and told != WRONG_TOKEN and HIDDEN.match(request.path):
        answer.headers.setdefault("X-Error-Code", "RepoNotFound")
    return answer


def _account(hub: FakeHub, request: Request) -> str | None:
    if request.token is None:
        return None
    if request.token not in (hub.token, hub.read_token):
        raise Refused(401, WRONG_TOKEN)
    return "alice"


def _may_write(hub: FakeHub, request: Request, owner: str) -> None:
    account = _account(hub, request)
    if account is None:
        raise Refused(401, "Invalid username or password.")
    if request.token == hub.read_token:
        raise Refused(403, "Forbidden: you must use a write token to upload to a repository.")
    if account != owner:
        raise Refused(403, f"You don't have the rights to write under the namespace {owner!r}")


def _readable(hub: FakeHub, request: Request, name: str) -> Repository:
    account = _account(hub, request)
    repository = hub.repositories.get(name)
    if repository is None or (repository.private and account != repository.owner):
        if account is None:
            raise Refused(401, "Invalid username or password.")
        raise Refused(404, "Repository not found", "RepoNotFound")
    return repository


def _writable(hub: FakeHub, request: Request, name: str) -> Repository:
    if _account(hub, request) is not None:
        _readable(hub, request, name)
    _may_write(hub, request, _owner(name))
    return hub.repositories[name]


def _owner(name: str) -> str:
    return name.split("/")[-2]


def _named(hub: FakeHub, request: Request) -> str:
    wanted = request.json
    name = f"{wanted.get('organization') or _account(hub, request)}/{wanted['name']}"
    return f"spaces/{name}" if wanted.get("type") == "space" else name


@route("GET", "/api/whoami-v2")
def _whoami(hub: FakeHub, request: Request) -> Answer:
    account = _account(hub, request)
    if account is None:
        raise Refused(401, "Invalid username or password.")
    role = "read" if request.token == hub.read_token else "write"
    access = {"type": "access_token", "accessToken": {"displayName": "test", "role": role}}
    return Answer.of(
        {"type": "user", "name": account, "fullname": account, "orgs": [], "auth": access}
    )


@route("POST", "/api/repos/create")
def _create(hub: FakeHub, request: Request) -> Answer:
    wanted = request.json
    name = _named(hub, request)
    _may_write(hub, request, _owner(name))
    answer = {"url": f"{hub.url}/{name}", "name": name.removeprefix("spaces/")}
    if name in hub.repositories:
        return Answer.of({**answer, "error": "You already created this repo"}, 409)
    if name.startswith("spaces/") and wanted["sdk"] not in ("gradio", "docker", "static"):
        raise Refused(400, '"sdk" must be one of [gradio, docker, static]')
    first = {"README.md": NEW_SPACE.format(**wanted).encode()} if "sdk" in wanted else None
    hub.repo(name, first, private=wanted.get("visibility") == "private")
    return Answer.of(answer)


@route("DELETE", "/api/repos/delete")
def _delete(hub: FakeHub, request: Request) -> Answer:
    del hub.repositories[_writable(hub, request, _named(hub, request)).name]
    return Answer.of({})


@route("POST", "/api/validate-yaml")
def _validate(hub: FakeHub, request: Request) -> Answer:
    import yaml

    found = re.match(r"---\r?\n(.*?)\r?\n---", request.json["content"], re.DOTALL)
    if not found:
        empty = {"message": "empty or missing yaml metadata in repo card"}
        return Answer.of({"warnings": [empty], "errors": []})
    try:
        metadata = yaml.safe_load(found[1])
        if not isinstance(metadata, dict):
            raise yaml.YAMLError("metadata should be a mapping")
    except yaml.YAMLError as error:
        return Answer.of({"warnings": [], "errors": [{"message": str(error)}]}, 400)
    return Answer.of({"warnings": [], "errors": []})


@route("POST", f"{MODEL}/preupload/{REVISION}")
def _preupload(hub: FakeHub, request: Request, name: str, revision: str) -> Answer:
    commit = _writable(hub, request, name).at(revision)
    files = []
    for file in request.json["files"]:
        path = file["path"]
        large = is_large(path, file["size"])
        entry = {"path": path, "shouldIgnore": False, "uploadMode": "lfs" if large else "regular"}
        if path in commit.tree:
            entry["oid"] = commit.tree[path].etag
        files.append(entry)
    return Answer.of({"files": files, "commitOid": commit.sha})


@route("POST", PAGE + r"\.git/info/lfs/objects/batch")
def _batch(hub: FakeHub, request: Request, name: str) -> Answer:
    repository = _writable(hub, request, name)
    objects = []
    for wanted in request.json["objects"]:
        entry = {"oid": wanted["oid"], "size": wanted["size"]}
        if wanted["oid"] not in repository.large:
            # Signed, as the storage's links are: whoever has the link may upload.
            href = f"{hub.storage_url}/storage/{name}/{wanted['oid']}?size={wanted['size']}"
            entry["actions"] = {"upload": {"href": href}}
        objects.append(entry)
    return Answer.of({"transfer": "basic", "objects": objects})


@route("PUT", f"/storage{PAGE}/(?P<oid>[0-9a-f]{{64}})")
def _store(hub: FakeHub, request: Request, name: str, oid: str) -> Answer:
    blob = Blob(request.body, large=True)
    if blob.sha256 != oid or len(request.body) != int(request.query["size"]):
        raise Refused(400, "BadDigest: these are not the bytes that were announced")
    hub.repositories[name].large[oid] = request.body
    return Answer(200)


@route("GET", f"/storage{PAGE}/(?P<oid>[0-9a-f]{{64}})")
def _fetch(hub: FakeHub, request: Request, name: str, oid: str) -> Answer:
    repository = hub.repositories[name]
    blob = Blob(repository.large[oid], large=True)
    return _sent(request, repository, request.query["filename"], blob)


@route("POST", f"{MODEL}/commit/{REVISION}")
def _commit(hub: FakeHub, request: Request, name: str, revision: str) -> Answer:
    repository = _writable(hub, request, name)
    commit = repository.at(revision)
    if revision not in repository.branches:
        raise Refused(400, "Commits are made on a branch")
    (key, header), *operations = request.operations
    assert key == "header"
    if header.get("parentCommit") not in (None, commit.sha):
        raise Refused(412, "A commit has happened since. Please refresh and try again.")
    tree = dict(commit.tree)
    for key, value in operations:
        OPERATIONS[key](repository, tree, value)
    made = repository.commit(revision, tree, header["summary"])
    url = f"{hub.url}/{name}/commit/{made.sha}"
    return Answer.of({"success": True, "commitOid": made.sha, "commitUrl": url, "hookOutput": ""})


def _add(repository: Repository, tree: dict[str, Blob], value: Mapping[str, Any]) -> None:
    assert value["encoding"] == "base64"
    tree[value["path"]] = Blob(base64.b64decode(value["content"], validate=True), large=False)


def _add_large(repository: Repository, tree: dict[str, Blob], value: Mapping[str, Any]) -> None:
    content = repository.large.get(value["oid"])
    if content is None or len(content) != value["size"]:
        raise Refused(400, f"{value['path']}: LFS pointer pointed to a file that does not exist")
    tree[value["path"]] = Blob(content, large=True)


def _remove(repository: Repository, tree: dict[str, Blob], value: Mapping[str, Any]) -> None:
    if tree.pop(value["path"], None) is None:
        raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")


def _remove_folder(repository: Repository, tree: dict[str, Blob], value: Mapping[str, Any]) -> None:
    for path in [path for path in tree if path.startswith(value["path"].rstrip("/") + "/")]:
        del tree[path]


OPERATIONS = {
    "file": _add,
    "lfsFile": _add_large,
    "deletedFile": _remove,
    "deletedFolder": _remove_folder,
}


@route("POST", f"{MODEL}/tag/{REVISION}")
def _tag(hub: FakeHub, request: Request, name: str, revision: str) -> Answer:
    repository = _writable(hub, request, name)
    commit = repository.at(revision)
    if request.json["tag"] in repository.tags:
        raise Refused(409, f"Tag reference exists already in repo {name}")
    repository.tags[request.json["tag"]] = commit.sha
    return Answer.of({})


@route("DELETE", f"{MODEL}/tag/(?P<tag>[^/]+)")
def _untag(hub: FakeHub, request: Request, name: str, tag: str) -> Answer:
    if _writable(hub, request, name).tags.pop(tag, None) is None:
        raise Refused(404, f"Invalid rev id: {tag}", "RevisionNotFound")
    return Answer.of({})


@route("GET", f"{MODEL}/refs")
def _refs(hub: FakeHub, request: Request, name: str) -> Answer:
    repository = _readable(hub, request, name)
    kinds = {"branches": ("heads", repository.branches), "tags": ("tags", repository.tags)}
    return Answer.of(
        {
            "converts": [],
            **{
                kind: [
                    {"name": ref, "ref": f"refs/{folder}/{ref}", "targetCommit": sha}
                    for ref, sha in refs.items()
                ]
                for kind, (folder, refs) in kinds.items()
            },
        }
    )


@route("GET", f"{MODEL}/commits/{REVISION}")
def _commits(hub: FakeHub, request: Request, name: str, revision: str) -> Answer:
    commit = _readable(hub, request, name).at(revision)
    return Answer.of(
        [
            {
                "id": commit.sha,
                "title": commit.message,
                "message": "",
                "authors": [{"user": "alice"}],
                "date": DATE,
            }
            for commit in hub.commits(name, commit.sha)
        ]
    )


@route("GET", f"{MODEL}(?:/revision/(?P<revision>[^/]+))?")
def _info(hub: FakeHub, request: Request, name: str, revision: str) -> Answer:
    repository = _readable(hub, request, name)
    commit = repository.at(revision)
    siblings = []
    for path, blob in repository.listed(commit).items():
        sibling: dict[str, Any] = {"rfilename": path}
        if "blobs" in request.query:
            size = repository.size(path, blob)
            sibling |= {"blobId": blob.git_id, "size": size}
            if blob.large:
                sibling["lfs"] = {"sha256": blob.sha256, **_large_sizes(size, blob)}
        siblings.append(sibling)
    return Answer.of(
        {
            "_id": "0" * 24,
            "id": name.removeprefix("spaces/"),
            "modelId": name.removeprefix("spaces/"),
            "author": repository.owner,
            "sha": commit.sha,
            "private": repository.private,
            "gated": "manual" if repository.gated else False,
            "disabled": False,
            "createdAt": DATE,
            "lastModified": DATE,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "siblings": siblings,
        }
    )


def _large_sizes(size: int, blob: Blob) -> dict[str, int]:
    return {"size": size, "pointerSize": len(blob.pointer)}


def _listing(repository: Repository, tree: Mapping[str, Blob]) -> list[dict[str, Any]]:
    entries = []
    for path, blob in tree.items():
        size = repository.size(path, blob)
        entry: dict[str, Any] = {"type": "file", "path": path, "size": size, "oid": blob.git_id}
        if blob.large:
            entry["lfs"] = {"oid": blob.sha256, **_large_sizes(size, blob)}
        entries.append(entry)
    return entries


@route("GET", f"{MODEL}/tree/{REVISION}")
def _tree(hub: FakeHub, request: Request, name: str, revision: str) -> Answer:
    repository = _readable(hub, request, name)
    if request.query.get("recursive") != "true":
        raise Refused(501, "the fake Hub lists all files or none")
    return Answer.of(_listing(repository, repository.listed(repository.at(revision))))


@route("POST", f"{MODEL}/paths-info/{REVISION}")
def _paths_info(hub: FakeHub, request: Request, name: str, revision: str) -> Answer:
    repository = _readable(hub, request, name)
    wanted = parse_qs(request.body.decode())["paths"]
    tree = {k: blob for k, blob in repository.at(revision).tree.items() if k in wanted}
    return Answer.of(_listing(repository, {**tree, **repository.strangers}))


@route("GET HEAD", f"{PAGE}/resolve/{REVISION}/(?P<path>.+)")
def _resolve(hub: FakeHub, request: Request, name: str, revision: str, path: str) -> Answer:
    repository = _readable(hub, request, name)
    if repository.gated:
        status = 401 if request.token is None else 403
        raise Refused(status, f"Access to model {name} is restricted.", "GatedRepo")
    commit = repository.at(revision)
    blob = repository.listed(commit).get(path)
    if blob is None:
        raise Refused(404, "Entry not found", "EntryNotFound", X_Repo_Commit=commit.sha)
    if blob.large:
        answer = Answer.of({}, 302)
        where = f"/storage/{name}/{blob.sha256}?filename={quote(path, safe='')}"
        answer.headers |= {
            "Location": hub.storage_url + where,
            "X-Linked-Size": str(repository.size(path, blob)),
            "X-Linked-ETag": f'"{blob.etag}"',
        }
    else:
        answer = _sent(request, repository, path, blob)
    answer.headers |= {"X-Repo-Commit": commit.sha, "ETag": f'"{blob.etag}"'}
    return answer


def _sent(request: Request, repository: Repository, path: str, blob: Blob) -> Answer:
    headers = {"Content-Type": "application/octet-stream"}
    if path not in repository.sizes:
        return Answer(200, blob.content, headers)
    announced, sent = repository.sizes[path]
    return Answer(200, b"", headers, announced if request.method == "HEAD" else sent, sent)
