"""A small Hugging Face Hub on this machine, and the real client of it in a process of its own.

:class:`FakeHub` keeps repositories in memory and answers the routes that ``huggingface_hub`` uses
for models, as seen in its version 2.4. Tests look into it, and make it fail. :class:`Client` runs
the command line of ganzoo or a few lines of Python against it. It is another process because the
client reads its endpoint when it is imported.

Large files are kept apart, as on the real Hub, and are served under another name of this machine:
the client takes a redirect to the same one for a move of the repository.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import itertools
import json
import os
import queue
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest

from tiny import Result

HOST = "127.0.0.1"
STORAGE_HOST = "localhost"
"""Another name for the same machine, which serves large files and must be given no token."""
LARGE_SUFFIXES = (".safetensors", ".png", ".onnx", ".pt2", ".pt", ".pth", ".bin", ".ckpt", ".pkl")
LARGE_SIZE = 10_000_000
GIT_ATTRIBUTES = "".join(
    f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LARGE_SUFFIXES
).encode()
"""The one file of a new repository, which the Hub writes."""
DATE = "2026-01-01T00:00:00.000Z"
CHUNK = b"\0" * 65536


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
    """A model repository: its history, and the large files that were uploaded to it."""

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
        return self.name.split("/")[0]

    @property
    def head(self) -> Commit:
        return self.history[self.branches["main"]]

    def at(self, revision: str) -> Commit:
        """Return a commit by its own name, or that of a branch or tag."""
        sha = self.branches.get(revision) or self.tags.get(revision) or revision
        if sha not in self.history:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.history[sha]

    def listed(self, commit: Commit) -> dict[str, Blob]:
        return {**commit.tree, **self.strangers}

    def size(self, name: str, blob: Blob) -> int:
        return self.sizes.get(name, (len(blob.content),))[0]


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


Act = Callable[[Request, "Answer | None"], "Answer | None"]
Handle = Callable[..., Answer]


@dataclass
class Fault:
    """What happens to requests that match, before they are handled or after."""

    method: str
    pattern: re.Pattern[str]
    act: Act
    """Given the request and, after it was handled, the answer; returns what is sent instead."""
    times: int | None
    after: bool
    hits: int = 0
    """How often it happened."""

    def meets(self, request: Request, after: bool) -> bool:
        """Whether it happens to this request, which is then counted."""
        if self.after != after or self.hits == self.times:
            return False
        if self.method not in (request.method, "*"):
            return False
        if not self.pattern.search(unquote(request.target)):
            return False
        self.hits += 1
        return True


class FakeHub:
    """The Hub, listening on a port of this machine from ``with`` until its end.

    Two people have an account: ``alice``, who is the one that the client is logged in as, and
    ``bob``.
    """

    def __init__(self) -> None:
        self.token = f"hf_{secrets.token_hex(17)}"
        """Of ``alice``, who may write with it."""
        self.read_token = f"hf_{secrets.token_hex(17)}"
        """Of ``alice``, who may not."""
        self._lock = threading.RLock()
        self._numbers = itertools.count()
        self._port = 0
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._reserved: socket.socket | None = None
        self._forget()

    def _forget(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        """All that was asked since the start of the test or :meth:`forget_requests`."""
        self.faults: list[Fault] = []
        self.errors: list[str] = []
        """Tracebacks of the fake itself, where it failed."""

    def reset(self) -> None:
        """Forget all repositories, requests and faults, and be reachable.

        Raises ``AssertionError`` where the fake itself failed since the last time.
        """
        self.online()
        with self._lock:
            errors = self.errors
            self._forget()
        assert not errors, "\n".join(errors)

    # The server.

    def __enter__(self) -> FakeHub:
        self.online()
        return self

    def __exit__(self, *_: object) -> None:
        self.offline()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    @property
    def storage_url(self) -> str:
        return f"http://{STORAGE_HOST}:{self._port}"

    def online(self) -> None:
        """Listen, on the same port each time."""
        if self._server is not None:
            return
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
        self._server = _Server((HOST, self._port), _Handler)
        self._server.hub = self
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def offline(self) -> None:
        """Refuse connections, until :meth:`online`."""
        if self._server is None:
            return
        self._server.stopping = True
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server = self._thread = None
        # Bound and not listening: the port stays ours.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind((HOST, self._port))

    def client(self, home: Path | None = None, **env: str | None) -> Client:
        """Start a client of this Hub, to be used by ``with``.

        ``home`` is its ``HF_HOME``, a new and empty one by default. ``env`` adds to its
        environment, or takes away by ``None``; it has ``HF_TOKEN=hub.token`` otherwise.
        """
        return Client(self, home, env)

    # What the tests prepare and look at.

    def repo(
        self,
        name: str,
        files: Mapping[str, bytes] | None = None,
        *,
        private: bool = False,
        gated: bool = False,
    ) -> str:
        """Make a repository, with a commit of ``files`` if given, and return its head."""
        with self._lock:
            repository = Repository(name, private, gated)
            self.repositories[name] = repository
            tree = {".gitattributes": Blob(GIT_ATTRIBUTES, large=False)}
            self._commit(repository, "main", tree, "initial commit")
            return self.commit(name, files) if files else self.head(name)

    def commit(
        self,
        name: str,
        files: Mapping[str, bytes | None],
        message: str = "a commit",
        branch: str = "main",
    ) -> str:
        """Change files of a repository, or remove them by ``None``; returns the commit's sha."""
        with self._lock:
            repository = self.repositories[name]
            tree = dict(repository.at(branch).tree)
            for path, content in files.items():
                tree.pop(path, None)
                if content is not None:
                    tree[path] = Blob(content, is_large(path, len(content)))
                    if tree[path].large:
                        repository.large[tree[path].sha256] = content
            return self._commit(repository, branch, tree, message).sha

    def tag(self, name: str, tag: str, revision: str = "main") -> None:
        """Tag a commit of a repository."""
        with self._lock:
            self.repositories[name].tags[tag] = self.repositories[name].at(revision).sha

    def head(self, name: str, branch: str = "main") -> str:
        """Return the sha of the last commit."""
        return self.repositories[name].branches[branch]

    def files(self, name: str, revision: str = "main") -> dict[str, bytes]:
        """Return the bytes of each file, without the ``.gitattributes`` that the Hub wrote."""
        return self.repositories[name].at(revision).files

    def commits(self, name: str, revision: str = "main") -> list[Commit]:
        """Return the history, the newest first; the last is the Hub's own."""
        repository = self.repositories[name]
        commits = [repository.at(revision)]
        while commits[-1].parent is not None:
            commits.append(repository.history[commits[-1].parent])
        return commits

    def tags(self, name: str) -> dict[str, str]:
        """Return the commits that have a tag, by tag."""
        return dict(self.repositories[name].tags)

    def calls(self, method: str = "*", path: str = "") -> list[Request]:
        """Return the requests so far of a method whose path and query match an expression."""
        with self._lock:
            return [
                request
                for request in self.requests
                if method in (request.method, "*") and re.search(path, unquote(request.target))
            ]

    def forget_requests(self) -> None:
        """Start the list of requests anew."""
        with self._lock:
            self.requests = []

    def _commit(
        self, repository: Repository, branch: str, tree: Mapping[str, Blob], message: str
    ) -> Commit:
        parent = repository.branches.get(branch)
        label = f"{repository.name} {parent} {message} {next(self._numbers)}"
        sha = hashlib.sha1(label.encode()).hexdigest()
        commit = Commit(sha, parent, message, dict(sorted(tree.items())))
        repository.history[sha] = commit
        repository.branches[branch] = sha
        return commit

    # Faults.

    def on(
        self, method: str, path: str, act: Act, *, times: int | None = 1, after: bool = False
    ) -> Fault:
        """Do something with the next ``times`` requests that match, or with all by ``None``.

        ``path`` is an expression that is searched for in the path and the query, ``method`` may be
        ``"*"``. ``act(request, answer)`` is called before the request is handled, or after, in a
        thread of the server and without any lock. It may return an answer to send instead.
        """
        fault = Fault(method, re.compile(path), act, times, after)
        with self._lock:
            self.faults.append(fault)
        return fault

    def before(self, method: str, path: str, do: Callable[[], object], times: int = 1) -> Fault:
        """Call ``do`` before the next request that matches is handled: the head moves, say."""
        return self.on(method, path, lambda request, answer: do() and None, times=times)

    def after(self, method: str, path: str, do: Callable[[], object], times: int = 1) -> Fault:
        """Call ``do`` after the next request that matches was handled, before it is answered."""
        return self.on(method, path, lambda request, answer: do() and None, times=times, after=True)

    def fail(
        self,
        method: str,
        path: str,
        status: int = 500,
        *,
        times: int | None = 1,
        after: bool = False,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Fault:
        """Answer by a status: in the place of what was asked for, or after it was done.

        ``body`` is sent as JSON, or as it is if it is bytes. In it and in ``headers`` the text
        ``{authorization}`` becomes what the client sent in that header, as a careless server
        might echo it.
        """
        if body is None:
            body = {"error": f"{HTTPStatus(status).phrase} (as the test wants it)"}
        answer = Answer(status, body) if isinstance(body, bytes) else Answer.of(body, status)
        answer.headers.update(headers or {})

        def act(request: Request, _: Answer | None) -> Answer:
            sent = request.headers.get("authorization", "nothing")
            return Answer(
                answer.status,
                answer.body.replace(b"{authorization}", sent.encode()),
                {k: v.replace("{authorization}", sent) for k, v in answer.headers.items()},
            )

        return self.on(method, path, act, times=times, after=after)

    def drop(self, method: str, path: str, *, times: int | None = 1, after: bool = False) -> Fault:
        """Close the connection without an answer: before it is done, or after."""
        return self.on(
            method, path, lambda request, answer: Answer(0, dropped=True), times=times, after=after
        )

    def corrupt(self, path: str, *, times: int | None = None) -> Fault:
        """Turn one bit of the files that are served and match; their size stays."""

        def act(request: Request, answer: Answer | None) -> Answer | None:
            if answer.status in (200, 206) and answer.body:
                middle = len(answer.body) // 2
                content = bytearray(answer.body)
                content[middle] ^= 1
                answer.body = bytes(content)
            return answer

        return self.on("GET", f"^/(?!api/).*{path}", act, times=times, after=True)

    def truncate(self, path: str, *, times: int | None = 1) -> Fault:
        """Close the connection after half of the files that are served and match."""

        def act(request: Request, answer: Answer | None) -> Answer | None:
            if answer.status in (200, 206):
                answer.size = len(answer.body)
                answer.body = answer.body[: len(answer.body) // 2]
            return answer

        return self.on("GET", f"^/(?!api/).*{path}", act, times=times, after=True)

    def oversize(self, name: str, path: str, size: int, announced: int | None = None) -> None:
        """Pretend that a file of a repository has a size, without keeping so much.

        Listings and headers announce it, or ``announced`` if given; downloads send zeros.
        """
        with self._lock:
            repository = self.repositories[name]
            assert path in repository.head.tree
            repository.sizes[path] = (size if announced is None else announced, size)

    def intrude(self, name: str, paths: Sequence[str], content: bytes = b"intruder") -> None:
        """Name files in each listing of a repository, asked for or not: ``../../x``, say."""
        with self._lock:
            for path in paths:
                self.repositories[name].strangers[path] = Blob(content, large=False)

    # Answering.

    def _answer(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
        answer = self._disturbed(request, None)
        if answer is None:
            answer = self._disturbed(request, self._handled(request))
        request.status = None if answer.dropped else answer.status
        return answer

    def _disturbed(self, request: Request, answer: Answer | None) -> Answer | None:
        after = answer is not None
        for fault in list(self.faults):
            with self._lock:
                met = fault.meets(request, after)
            if met:
                answer = fault.act(request, answer) or answer
                if answer is not None and not after:
                    return answer
        return answer

    def _handled(self, request: Request) -> Answer:
        path = urlsplit(request.target).path
        for method, pattern, handle in ROUTES:
            found = pattern.fullmatch(path)
            if found and request.method in method:
                values = {name: unquote(text) for name, text in found.groupdict("main").items()}
                return self._called(handle, request, values)
        return Refused(501, f"the fake Hub does not know {request}").answer

    def _called(self, handle: Handle, request: Request, values: Mapping[str, str]) -> Answer:
        try:
            with self._lock:
                return handle(self, request, **values)
        except Refused as refused:
            return refused.answer
        except Exception:
            self.errors.append(traceback.format_exc())
            return Refused(500, "the fake Hub failed").answer

    def _account(self, request: Request) -> str | None:
        """Return who asks, if anybody says so."""
        if request.token is None:
            return None
        if request.token not in (self.token, self.read_token):
            raise Refused(401, "Invalid credentials in Authorization header")
        return "alice"

    def _writer(self, request: Request, owner: str, code: str | None = None) -> None:
        account = self._account(request)
        if account is None:
            raise Refused(401, "Invalid username or password.", code)
        if request.token == self.read_token:
            raise Refused(403, "Forbidden: you must use a write token to upload to a repository.")
        if account != owner:
            raise Refused(403, f"You don't have the rights to write under the namespace {owner!r}")

    def _readable(self, request: Request, name: str) -> Repository:
        account = self._account(request)
        repository = self.repositories.get(name)
        if repository is None or (repository.private and account != repository.owner):
            # On https the client would see it by 401 alone; here, it looks at the code only.
            if account is None:
                raise Refused(401, "Invalid username or password.", "RepoNotFound")
            raise Refused(404, "Repository not found", "RepoNotFound")
        return repository

    def _writable(self, request: Request, name: str) -> Repository:
        if self._account(request) is None:
            self._writer(request, "", "RepoNotFound")
        repository = self._readable(request, name)
        self._writer(request, repository.owner)
        return repository


def is_large(path: str, size: int) -> bool:
    """Whether the Hub keeps a file apart, by its name and size."""
    return path.endswith(LARGE_SUFFIXES) or size > LARGE_SIZE


ROUTES: list[tuple[tuple[str, ...], re.Pattern[str], Handle]] = []
MODEL = r"/api/models/(?P<name>[^/]+/[^/]+)"
REVISION = r"(?P<revision>[^/]+)"


def route(method: str, pattern: str) -> Callable[[Handle], Handle]:
    def add(handle: Handle) -> Handle:
        ROUTES.append((tuple(method.split()), re.compile(pattern), handle))
        return handle

    return add


@route("GET", "/api/whoami-v2")
def _whoami(hub: FakeHub, request: Request) -> Answer:
    account = hub._account(request)
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
    account = hub._account(request)
    name = f"{wanted.get('organization') or account}/{wanted['name']}"
    hub._writer(request, name.split("/")[0])
    answer = {"url": f"{hub.url}/{name}", "name": name}
    if name in hub.repositories:
        return Answer.of({**answer, "error": "You already created this model repo"}, 409)
    hub.repo(name, private=wanted.get("visibility") == "private")
    return Answer.of(answer)


@route("DELETE", "/api/repos/delete")
def _delete(hub: FakeHub, request: Request) -> Answer:
    wanted = request.json
    name = f"{wanted.get('organization') or hub._account(request)}/{wanted['name']}"
    del hub.repositories[hub._writable(request, name).name]
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
    commit = hub._writable(request, name).at(revision)
    files = []
    for file in request.json["files"]:
        path = file["path"]
        large = is_large(path, file["size"])
        entry = {"path": path, "shouldIgnore": False, "uploadMode": "lfs" if large else "regular"}
        if path in commit.tree:
            entry["oid"] = commit.tree[path].etag
        files.append(entry)
    return Answer.of({"files": files, "commitOid": commit.sha})


@route("POST", r"/(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch")
def _batch(hub: FakeHub, request: Request, name: str) -> Answer:
    repository = hub._writable(request, name)
    objects = []
    for wanted in request.json["objects"]:
        entry = {"oid": wanted["oid"], "size": wanted["size"]}
        if wanted["oid"] not in repository.large:
            # Signed, as the storage's links are: whoever has the link may upload.
            href = f"{hub.storage_url}/storage/{name}/{wanted['oid']}?size={wanted['size']}"
            entry["actions"] = {"upload": {"href": href}}
        objects.append(entry)
    return Answer.of({"transfer": "basic", "objects": objects})


@route("PUT", r"/storage/(?P<name>[^/]+/[^/]+)/(?P<oid>[0-9a-f]{64})")
def _store(hub: FakeHub, request: Request, name: str, oid: str) -> Answer:
    blob = Blob(request.body, large=True)
    if blob.sha256 != oid or len(request.body) != int(request.query["size"]):
        raise Refused(400, "BadDigest: these are not the bytes that were announced")
    hub.repositories[name].large[oid] = request.body
    return Answer(200)


@route("GET", r"/storage/(?P<name>[^/]+/[^/]+)/(?P<oid>[0-9a-f]{64})")
def _fetch(hub: FakeHub, request: Request, name: str, oid: str) -> Answer:
    repository = hub.repositories[name]
    blob = Blob(repository.large[oid], large=True)
    return _sent(request, repository, request.query["filename"], blob)


@route("POST", f"{MODEL}/commit/{REVISION}")
def _commit(hub: FakeHub, request: Request, name: str, revision: str) -> Answer:
    repository = hub._writable(request, name)
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
    made = hub._commit(repository, revision, tree, header["summary"])
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
    repository = hub._writable(request, name)
    commit = repository.at(revision)
    if request.json["tag"] in repository.tags:
        raise Refused(409, f"Tag reference exists already in repo {name}")
    repository.tags[request.json["tag"]] = commit.sha
    return Answer.of({})


@route("DELETE", f"{MODEL}/tag/(?P<tag>[^/]+)")
def _untag(hub: FakeHub, request: Request, name: str, tag: str) -> Answer:
    if hub._writable(request, name).tags.pop(tag, None) is None:
        raise Refused(404, f"Invalid rev id: {tag}", "RevisionNotFound")
    return Answer.of({})


@route("GET", f"{MODEL}/refs")
def _refs(hub: FakeHub, request: Request, name: str) -> Answer:
    repository = hub._readable(request, name)
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
    commit = hub._readable(request, name).at(revision)
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
    repository = hub._readable(request, name)
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
            "id": name,
            "modelId": name,
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
    repository = hub._readable(request, name)
    if request.query.get("recursive") != "true":
        raise Refused(501, "the fake Hub lists all files or none")
    return Answer.of(_listing(repository, repository.listed(repository.at(revision))))


@route("POST", f"{MODEL}/paths-info/{REVISION}")
def _paths_info(hub: FakeHub, request: Request, name: str, revision: str) -> Answer:
    repository = hub._readable(request, name)
    wanted = parse_qs(request.body.decode())["paths"]
    tree = {k: blob for k, blob in repository.at(revision).tree.items() if k in wanted}
    return Answer.of(_listing(repository, {**tree, **repository.strangers}))


@route("GET HEAD", f"/(?P<name>[^/]+/[^/]+)/resolve/{REVISION}/(?P<path>.+)")
def _resolve(hub: FakeHub, request: Request, name: str, revision: str, path: str) -> Answer:
    repository = hub._readable(request, name)
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
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
    if path in repository.sizes:
        announced, sent = repository.sizes[path]
        return Answer(200, b"", headers, announced if request.method == "HEAD" else sent, sent)
    asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
    if not asked:
        return Answer(200, blob.content, headers)
    start, size = int(asked[1]), len(blob.content)
    headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
    return Answer(206, blob.content[start:], headers)


class _Server(http.server.ThreadingHTTPServer):
    # Its threads are waited for, so that no connection outlives a test.
    daemon_threads = False
    hub: FakeHub
    stopping = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.hub.errors.append(traceback.format_exc())


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    server: _Server

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        # One request a connection: nothing is left open when the Hub goes.
        self.close_connection = True
        headers = {name.lower(): text for name, text in self.headers.items()}
        answer = self.server.hub._answer(Request(self.command, self.path, headers, self._body()))
        if answer.dropped:
            return
        try:
            self._send(answer)
        except OSError:
            pass  # the client has gone

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        size = len(answer.body) if answer.size is None else answer.size
        for name, text in {**answer.headers, "Content-Length": str(size)}.items():
            self.send_header(name, text)
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(answer.body)
        for _ in self._pieces(answer.zeros):
            self.wfile.write(CHUNK)

    def _pieces(self, size: int) -> Iterator[int]:
        for start in range(0, size, len(CHUNK)):
            if self.server.stopping:
                return
            yield start


class CallError(Exception):
    """What was called in the client's process raised.

    ``kinds`` are the names of the exception's classes, the nearest first; ``result`` is what was
    printed.
    """

    def __init__(self, answer: Mapping[str, Any], result: Result) -> None:
        super().__init__(answer["traceback"])
        self.kinds: list[str] = answer["kinds"]
        self.message: str = answer["message"]
        self.result = result


class Client:
    """A process with the real client of the Hub, which runs what the tests tell it.

    It is started at once and imports ganzoo once. It has no part in the environment of the tests
    but ``PATH`` and the like: nothing of the Hub's variables and of proxies is left.
    """

    def __init__(self, hub: FakeHub, home: Path | None, env: Mapping[str, str | None]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="hub-client-"))
        self.home = home or self._folder / "home"
        """Its ``HF_HOME``."""
        self.home.mkdir(exist_ok=True)
        self._env = {**_clean(os.environ), **_given(hub, self.home), **env}
        self._process: subprocess.Popen[str] | None = None
        self._start()

    def _start(self) -> None:
        with (self._folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("hub_client.py"))],
                env={name: value for name, value in self._env.items() if value is not None},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._answers: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(
            target=_pass_on, args=(self._process.stdout, self._answers), daemon=True
        )
        self._reader.start()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        shutil.rmtree(self._folder)

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            self._process.stdin.close()
            self._process.stdout.close()
            self._process = None

    def empty_cache(self) -> None:
        """Remove all that is in its ``HF_HOME``."""
        for path in self.home.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def run(
        self,
        *arguments: object,
        cwd: Path | None = None,
        env: Mapping[str, str | None] | None = None,
        timeout: float = 60,
    ) -> Result:
        """Run the command line of ganzoo.

        ``cwd`` is the folder of the test by default. ``env`` changes the environment during the
        command, which counts for what is read then, as ``HF_TOKEN`` is.
        """
        command = {"arguments": [str(argument) for argument in arguments]}
        answer, out, err = self._do(command, cwd, env, timeout)
        return Result(answer["code"], out, err)

    def call(
        self,
        text: str,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str | None] | None = None,
        timeout: float = 60,
        **values: Any,
    ) -> Any:
        """Execute Python that knows ``values``, and return what it leaves in ``result``.

        Both must fit in JSON. Raises :class:`CallError` where it raised.
        """
        command = {"text": text, "values": values}
        answer, out, err = self._do(command, cwd, env, timeout)
        if "kinds" in answer:
            raise CallError(answer, Result(1, out, err))
        return answer["result"]

    def _do(
        self,
        command: Mapping[str, Any],
        cwd: Path | None,
        env: Mapping[str, str | None] | None,
        timeout: float,
    ) -> tuple[dict[str, Any], str, str]:
        if self._process is None:
            self._start()
        out, err = self._folder / "out", self._folder / "err"
        surroundings = {"cwd": str(cwd or Path.cwd()), "env": dict(env or {})}
        line = json.dumps({**command, **surroundings, "out": str(out), "err": str(err)})
        for path in (out, err):
            path.write_bytes(b"")
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = self._answers.get(timeout=timeout)
        except (queue.Empty, OSError):
            answer = ""
        printed = [path.read_bytes().decode(errors="replace") for path in (out, err)]
        if not answer:
            self._stop()
            log = (self._folder / "log").read_text()
            pytest.fail("\n".join([f"no end of {line} in {timeout} s", *printed, log]))
        return json.loads(answer), *printed


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    unwanted = ("HF_", "HUGGING", "TRANSFORMERS_", "GANZOO_")
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(unwanted) and not name.lower().endswith("_proxy")
    }


def _given(hub: FakeHub, home: Path) -> dict[str, str]:
    return {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        "HF_TOKEN": hub.token,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "*",
        "NO_COLOR": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "QUICK_RETRIES": "1",
    }


def _pass_on(stream: Any, answers: queue.Queue[str]) -> None:
    for line in stream:
        answers.put(line)
    answers.put("")
