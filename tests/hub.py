"""A small Hugging Face Hub on this machine, and the real client of it in a process of its own.

:class:`FakeHub` keeps repositories in memory and answers the routes that ``huggingface_hub`` uses
for models and Spaces, as seen in its version 2.4. Tests look into it, and make it fail.
:class:`Client` runs the command line of ganzoo or a few lines of Python against it. It is another
process because the client reads its endpoint when it is imported.

Large files are kept apart, as on the real Hub, and are served under another name of this machine:
the client takes a redirect to the same one for a move of the repository.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import queue
import re
import secrets
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

import hub_routes
from hub_routes import (
    GIT_ATTRIBUTES,
    STORAGE_HOST,
    Answer,
    Blob,
    Commit,
    Repository,
    Request,
    is_large,
)
from tiny import Result

HOST = "127.0.0.1"
CHUNK = b"\0" * 65536
MOST_ENDLESS = 1 << 28
"""Bytes after which even a body without end ends."""
START = 180.0
"""Seconds in which a client must have imported all, which a machine may have to read first."""
PATIENCE = 120.0
"""Seconds in which it must have done what it is told, unless a test says otherwise."""
SECONDS_TO_SAY = 0.5
"""In which it tells where it is, when it is asked after that."""

Act = Callable[[Request, Answer | None], Answer | None]


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
        self._port = 0
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._reserved: socket.socket | None = None
        """Holds the port while nothing listens on it."""
        self._stopped: list[_Server] = []
        self._forget()

    def _forget(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        """All that was asked since the start of the test or :meth:`forget_requests`."""
        self.faults: list[Fault] = []
        self.poured = 0
        """Bytes of endless bodies that went out."""
        self.errors: list[str] = []
        """Tracebacks of the fake itself, where it failed."""

    def reset(self) -> None:
        """Forget all repositories, requests and faults, and be reachable.

        Raises ``AssertionError`` where the fake itself failed since the last time.
        """
        self.online()
        self._end_stopped()
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
        self._reserved.close()
        self._reserved = None
        self._end_stopped()

    def _end_stopped(self) -> None:
        while self._stopped:
            self._stopped.pop().server_close()

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
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def offline(self) -> None:
        """Refuse connections, until :meth:`online`."""
        if self._server is None:
            return
        self._server.stopping = True
        self._server.shutdown()
        self._thread.join()
        # A fault may ask for it, in a thread that answers: those are waited for elsewhere.
        self._server.socket.close()
        self._stopped.append(self._server)
        self._server = self._thread = None
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
            repository.commit("main", tree, "initial commit")
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
            return repository.commit(branch, tree, message).sha

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

    def before(
        self, method: str, path: str, do: Callable[[], object], times: int | None = 1
    ) -> Fault:
        """Call ``do`` before the next request that matches is handled: the head moves, say."""
        return self._aside(method, path, do, times, after=False)

    def after(
        self, method: str, path: str, do: Callable[[], object], times: int | None = 1
    ) -> Fault:
        """Call ``do`` after the next request that matches was handled, before it is answered."""
        return self._aside(method, path, do, times, after=True)

    def _aside(
        self, method: str, path: str, do: Callable[[], object], times: int | None, *, after: bool
    ) -> Fault:
        def act(request: Request, answer: Answer | None) -> None:
            do()

        return self.on(method, path, act, times=times, after=after)

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
            if answer.status == 200 and answer.body:
                middle = len(answer.body) // 2
                content = bytearray(answer.body)
                content[middle] ^= 1
                answer.body = bytes(content)
            return answer

        return self.on("GET", f"^/(?!api/).*{path}", act, times=times, after=True)

    def truncate(self, path: str, *, times: int | None = 1) -> Fault:
        """Close the connection after half of the files that are served and match."""

        def act(request: Request, answer: Answer | None) -> Answer | None:
            if answer.status == 200:
                answer.size = len(answer.body)
                answer.body = answer.body[: len(answer.body) // 2]
            return answer

        return self.on("GET", f"^/(?!api/).*{path}", act, times=times, after=True)

    def endless(
        self, method: str, path: str, how: str, *, status: int = 200, times: int | None = None
    ) -> Fault:
        """Answer with a body that does not end, of one of the kinds ``ENDLESS``.

        It ends after ``hub.MOST_ENDLESS`` bytes, so that a client that takes it all fails in time.
        ``hub.poured`` is how much of all these bodies went out.
        """

        def act(request: Request, answer: Answer | None) -> Answer | None:
            if request.method == "HEAD":
                return answer
            headers = {"X-Repo-Commit": "0" * 40, **answer.headers}
            return Answer(status, b"", headers, endless=how)

        return self.on(method, path, act, times=times, after=True)

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
        return hub_routes.hidden(request, answer)

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
        try:
            with self._lock:
                return hub_routes.answer(self, request)
        except Exception:
            self.errors.append(traceback.format_exc())
            return Answer(500)


class _Server(socketserver.ThreadingTCPServer):
    # Its threads are no daemons, and waited for: no connection outlives a test.
    allow_reuse_address = True
    request_queue_size = 64
    hub: FakeHub
    stopping = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # the client may have been killed
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
        with contextlib.suppress(OSError):  # the client may have gone
            self._send(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _body(self) -> bytes:
        size = int(self.headers.get("Content-Length", 0))
        content = self.rfile.read(size)
        if len(content) < size:
            raise ConnectionError("the client has gone")
        return content

    def _pour(self, answer: Answer) -> None:
        """Send a body without end, as long as the client takes it."""
        headers = {
            "announced": {"Content-Length": str(10**15)},
            "until-closed": {},
            "gzip": {"Transfer-Encoding": "chunked", "Content-Encoding": "gzip"},
        }.get(answer.endless, {"Transfer-Encoding": "chunked"})
        self.send_response(answer.status)
        for name, text in {**answer.headers, **headers, "Connection": "close"}.items():
            self.send_header(name, text)
        self.end_headers()
        packer = zlib.compressobj(wbits=31)
        while self.server.hub.poured < MOST_ENDLESS and not self.server.stopping:
            piece = CHUNK
            if answer.endless == "drip":
                piece = b"0"
                time.sleep(0.02)
            elif answer.endless == "gzip":
                piece = packer.compress(CHUNK) + packer.flush(zlib.Z_SYNC_FLUSH)
            chunked = b"%x\r\n%b\r\n" % (len(piece), piece)
            self.wfile.write(chunked if "Transfer-Encoding" in headers else piece)
            self.server.hub.poured += len(piece)

    def _send(self, answer: Answer) -> None:
        if answer.endless:
            self._pour(answer)
            return
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

    It is started at once and imports ganzoo once. Of the environment of the tests, it does not get
    what is there for the Hub, for ganzoo and for proxies. What the real client reads as it is
    imported, such as ``HF_HUB_OFFLINE``, takes another one: :meth:`FakeHub.client`.
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
                start_new_session=True,
            )
        self._answers: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(
            target=_pass_on, args=(self._process.stdout, self._answers), daemon=True
        )
        self._reader.start()
        self._await(START, "it was started")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        shutil.rmtree(self._folder)

    def _stop(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):  # it may have ended
                os.killpg(self._process.pid, signal.SIGKILL)  # and what it started
            self._process.wait()
            self._reader.join()
            self._process.stdout.close()
            with contextlib.suppress(OSError):  # a command may be on its way
                self._process.stdin.close()
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
        timeout: float = PATIENCE,
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
        timeout: float = PATIENCE,
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
        with contextlib.suppress(OSError):  # it may have ended
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        answer = self._await(timeout, line, out, err)
        return json.loads(answer), *(path.read_text(errors="replace") for path in (out, err))

    def _await(self, timeout: float, what: str, *printed: Path) -> str:
        """Return the next answer, or say where the process is that gives none."""
        with contextlib.suppress(queue.Empty):
            if answer := self._answers.get(timeout=timeout):
                return answer
        os.kill(self._process.pid, signal.SIGUSR1)
        time.sleep(SECONDS_TO_SAY)
        code = self._process.poll()
        ended = f"no answer in {timeout} s" if code is None else f"it ended with {code}"
        texts = [path.read_text(errors="replace") for path in (*printed, self._folder / "log")]
        self._stop()
        pytest.fail("\n".join([f"{ended}: {what}", *texts]))


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
        "GANZOO_CACHE": str(home / "ganzoo"),
        "TORCH_HOME": str(home / "torch"),
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
