"""The web server of the page.

Anyone who can reach the server may look at the teacher's runs. Actions need the key at the end of
the printed address, which browsers never send to a server, or that of a pupil who entered with the
code of the class, and must come from this origin. Without a class, all runs are the teacher's.
Unknown host names are refused, as a protection against DNS rebinding.
"""

from __future__ import annotations

import base64
import errno
import hmac
import ipaddress
import json
import os
import re
import secrets
import socket
import socketserver
import stat
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.client import LineTooLong
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from ganzoo.display.messages import note
from ganzoo.errors import GanzooError, InputError
from ganzoo_zoo.apps.watch.training.control_words import CONTINUE, NEAREST, PAUSE, STOP, WALK
from ganzoo_zoo.apps.watch.training.training_run import CHANGE, STEPS, Busy, Unknown
from ganzoo_zoo.apps.watch.web.card import RESUME, Card
from ganzoo_zoo.apps.watch.web.choices import (
    find_default_loss,
    find_fitting_models,
    list_choices,
    placeholders,
    resolve_choices,
)
from ganzoo_zoo.apps.watch.web.classroom import A_LOOKER, LOOKER, THE_TEACHER, Person, Slowed
from ganzoo_zoo.apps.watch.web.controls import list_controls
from ganzoo_zoo.apps.watch.web.state import Dashboard

PAGE = Path(__file__).parents[1] / "page"
"""Folder of the files of the page."""
SHARED = ("charts", "files", "numbers", "theme")
"""The page's scripts that stand in the shared folder."""
SCRIPTS = (
    *("page", "elements", "requests"),
    *("form", "controls", "sketch", "draw", "lesson", "link", "classroom"),
    *("card", "timeline", "plane", "paint", "packing", "contours", "layers"),
    *("apart", "stage", "diagram", "change", "samples", "takeaway"),
    *("board", "curves"),
)
"""The page's own scripts."""
FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/base.css": ("../../shared/base.css", "text/css; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/form.css": ("form.css", "text/css; charset=utf-8"),
    "/card.css": ("card.css", "text/css; charset=utf-8"),
    "/charts.css": ("../../shared/charts.css", "text/css; charset=utf-8"),
    **{f"/{name}.js": (f"{name}.js", "text/javascript; charset=utf-8") for name in SCRIPTS},
    **{
        f"/{name}.js": (f"../../shared/{name}.js", "text/javascript; charset=utf-8")
        for name in SHARED
    },
    "/uplot.js": ("../../shared/uplot/uPlot.iife.min.js", "text/javascript; charset=utf-8"),
    "/uplot.css": ("../../shared/uplot/uPlot.min.css", "text/css; charset=utf-8"),
}
KEY_HEADER = "X-Ganzoo-Key"
"""The request header for the key."""
LONGEST_BODY = 1 << 16
"""The most bytes of a request."""
LARGEST_PICTURE = 1 << 25
"""The most bytes of a picture that is shown."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
LONGEST_HEAD = 1 << 16
"""The most bytes of a request's headers together."""
SECONDS_OF_SILENCE = 30
MOST_CONNECTIONS = 240
"""Browsers open up to six connections each."""
FASTEST_POLL, USUAL_POLL, SLOWEST_POLL = 150, 1000, 3000
"""Milliseconds between two questions of a page: while a run of it trains, otherwise, at most."""
POLL_PER_PAGE = 35
"""Milliseconds that each page adds to them, so that many pages together ask no more often."""
SECONDS_OF_A_PAGE = 15
"""Seconds for which a page counts after its last question."""
MOST_PAGES = 1024
SECONDS_WITHOUT_HANDLES = 0.2
"""Pause before the next connection where the system has no file handles left."""
MOST_NOTES = 20
"""The most kinds of failures that are printed, each once."""
NO_HANDLES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
JSON = "application/json"


class Refused(Exception):
    """A request is refused."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class Server(ThreadingHTTPServer):
    """Serves the page of a dashboard.

    Args:
        board: The dashboard.
        host: Name or address to listen on; without a class, actions are possible on loopback
            addresses only.
        port: Port to listen on; 0 for any free port.

    Raises:
        InputError: this machine does not have the address, or the port is taken.
    """

    daemon_threads = True
    request_queue_size = 128  # a whole class opens the page at once
    # On Windows this would let two servers have one port.
    allow_reuse_address = os.name != "nt"

    def __init__(self, board: Dashboard, host: str, port: int) -> None:
        self.board = board
        self.host = host
        self.is_local = _is_loopback(host)
        self.can_act = self.is_local or board.classroom is not None
        self.names = {"localhost", host.lower()}
        if not self.is_local:
            self.names.add(socket.gethostname().lower())
        self.key = secrets.token_urlsafe(16)
        self._connections: dict[socket.socket, None] = {}
        """Open connections; the one that was answered least recently is the first."""
        self._lock = threading.Lock()
        self._noted: set[str] = set()
        self._pages: dict[str, float] = {}
        """When each page asked last; a pupil has one, as has an address without a key."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), Handler)
        except (OSError, OverflowError) as error:
            raise InputError(_describe_bind_error(error, host, port)) from None

    def server_bind(self) -> None:
        """Bind without looking up this machine's name, which may take long."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.host, self.server_address[1]

    @property
    def address(self) -> str:
        """Address of the page, with the key if actions are possible."""
        return self.address_at(self.host)

    def address_at(self, host: str, *, key: bool = True) -> str:
        """Return the address of the page at a host, with the key if actions are possible."""
        host = f"[{host}]" if ":" in host else host
        ending = f"#{self.key}" if key and self.can_act else ""
        return f"http://{host}:{self.server_port}/{ending}"

    def find_person(self, key: str) -> Person:
        """Return who has a key; a looker if nobody has it."""
        if not self.can_act or not key:
            return A_LOOKER
        if hmac.compare_digest(key.encode("utf-8", "replace"), self.key.encode()):
            return THE_TEACHER
        classroom = self.board.classroom
        return (classroom.find(key) if classroom else None) or A_LOOKER

    def count_page(self, page: str) -> int:
        """Note that a page asked, and return how many have asked of late."""
        now = time.monotonic()
        with self._lock:
            self._pages.pop(page, None)
            self._pages[page] = now
            while now - next(iter(self._pages.values())) > SECONDS_OF_A_PAGE or (
                len(self._pages) > MOST_PAGES
            ):
                del self._pages[next(iter(self._pages))]
            return len(self._pages)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; without file handles, make room and pause, or it would spin."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in NO_HANDLES:
                self._note_once(f"cannot accept connections for a while: {error.strerror}")
                self._end_connections(len(self._connections) - 1)
                time.sleep(SECONDS_WITHOUT_HANDLES)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread, in place of an idle one if there are too many."""
        self._end_connections(MOST_CONNECTIONS - 1)
        self.mark_answered(request)
        super().process_request(request, client_address)

    def mark_answered(self, request: socket.socket) -> None:
        """Remember that a connection is in use, so that others are ended before it."""
        with self._lock:
            self._connections.pop(request, None)
            self._connections[request] = None

    def close_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._connections.pop(request, None)
        super().close_request(request)

    def _end_connections(self, most: int) -> None:
        """End the connections that were answered least recently, but for some; their threads close
        them.
        """
        with self._lock:
            for request in list(self._connections)[: max(0, len(self._connections) - most)]:
                del self._connections[request]
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print a failed request in one line; closed connections are ignored."""
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, TimeoutError)):
            self._note_once(f"a request failed: {type(error).__name__}: {error}")

    def _note_once(self, message: str) -> None:
        if message not in self._noted and len(self._noted) < MOST_NOTES:
            self._noted.add(message)
            note(message)


class _HeadReader:
    """Reads the lines of a request's headers, up to a number of bytes."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._left = LONGEST_HEAD

    def readline(self, size: int) -> bytes:
        """Read a line.

        Raises:
            http.client.LineTooLong: the headers are too long.
        """
        line: bytes = self._file.readline(min(size, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise LineTooLong("header")
        return line


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = SECONDS_OF_SILENCE
    disable_nagle_algorithm = True  # or each answer would wait 40 ms for the page's receipt
    _person = A_LOOKER
    """Who asks, by the key of the request."""

    def version_string(self) -> str:
        """Return the server's name without versions."""
        return "ganzoo"

    def log_message(self, *args: Any) -> None:
        """Log nothing."""

    def parse_request(self) -> bool:
        """Read the headers of a request."""
        file = self.rfile
        self.rfile = cast("Any", _HeadReader(file))
        try:
            return super().parse_request()
        finally:
            self.rfile = file

    def do_GET(self) -> None:
        """Answer a GET request, which shows something."""
        self._answer(self._handle_get)

    def do_POST(self) -> None:
        """Answer a POST request, which acts."""
        self._answer(self._handle_post)

    def _answer(self, what: Callable[[], None]) -> None:
        try:
            self._require_host()
            self._person = self.server.find_person(self.headers.get(KEY_HEADER, ""))
            what()
        except Refused as error:
            self._refuse(error.status, str(error))
        except Unknown as error:
            self._refuse(HTTPStatus.NOT_FOUND, str(error))
        except Busy as error:
            self._refuse(HTTPStatus.CONFLICT, str(error))
        except Slowed as error:
            self._refuse(HTTPStatus.TOO_MANY_REQUESTS, str(error))
        except GanzooError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, "; ".join(str(error).splitlines()))
        self.server.mark_answered(self.connection)

    # Showing.

    def _handle_get(self) -> None:
        url = urlsplit(self.path)
        if url.path in FILES:
            name, kind = FILES[url.path]
            self._send((PAGE / name).read_bytes(), kind)
            return
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        for pattern, show in ROUTES.items():
            if match := re.fullmatch(pattern, url.path):
                show(self, match, query)
                return
        raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _send_state(self, match: re.Match[str], query: Mapping[str, str]) -> None:
        person = self._person
        state = self.server.board.state(person)
        page = f"{person.role} {person.name or self.client_address[0]}"
        lively = any(run["own"] and not run["over"] for run in state["runs"])
        shared = min(POLL_PER_PAGE * self.server.count_page(page), SLOWEST_POLL)
        poll = max(FASTEST_POLL if lively else USUAL_POLL, shared)
        whose = {"acts": self.server.can_act, "role": person.role, "name": person.name}
        self._send_json({**state, **whose, "poll": poll})

    def _send_choices(self, match: re.Match[str], query: Mapping[str, str]) -> None:
        self._send_json(list_choices())

    def _send_resolved(self, match: re.Match[str], query: Mapping[str, str]) -> None:
        architecture = query.get("architecture", "")
        loss, data, init = (query.get(word) or None for word in ("loss", "data", "init"))
        config = resolve_choices(architecture, loss, data, {}, init)
        usual = config.loss.name if init and not loss else find_default_loss(architecture, data)
        self._send_json(
            {
                "loss": config.loss.name,
                "default_loss": usual,
                "data": config.data.name,
                "options": placeholders(config),
                "controls": list_controls(config),
                "models": find_fitting_models(config),
            }
        )

    def _send_curves(self, match: re.Match[str], query: Mapping[str, str]) -> None:
        self._send_run_data(match[1], lambda card: card.curves())

    def _send_frames(self, match: re.Match[str], query: Mapping[str, str]) -> None:
        after = query.get("after", "")
        step = int(after) if re.fullmatch("[0-9]{1,18}", after) else -1
        self._send_run_data(match[1], lambda card: card.frames_after(step))

    def _send_picture(self, match: re.Match[str], query: Mapping[str, str]) -> None:
        path = self.server.board.read_card(
            match[1], lambda card: card.picture(int(match[2])), self._person
        )
        self._send(_read_picture(path), "image/png")

    def _send_stage(self, match: re.Match[str], query: Mapping[str, str]) -> None:
        self._send_run_data(match[1], lambda card: card.stage())

    def _send_walk(self, match: re.Match[str], query: Mapping[str, str]) -> None:
        answer = self.server.board.ask_run(match[1], WALK, self._person)
        picture = base64.b64decode((answer or {}).get("picture") or "")
        if not picture.startswith(PNG_SIGNATURE):
            raise Refused(HTTPStatus.NOT_FOUND, "this run has no walk between its images")
        self._send(picture, "image/png")

    def _send_nearest(self, match: re.Match[str], query: Mapping[str, str]) -> None:
        self._send_json(self.server.board.ask_run(match[1], NEAREST, self._person))

    def _send_run_data(self, name: str, what: Callable[[Card], Any]) -> None:
        """Send data of a run; null for a run that is no longer shown, as another tab may ask."""
        self._send_json(self.server.board.read_card(name, what, self._person))

    # Acting.

    def _handle_post(self) -> None:
        self._require_own_page()
        path = urlsplit(self.path).path
        if path == "/enter":
            self._enter(self._read_body())
            return
        self._require_key()
        body = self._read_body()
        if path == "/runs":
            self._start_run(body)
        elif match := ACTION_PATH.fullmatch(path):
            self._act(match[1], match[2], body)
            self._send_json({})
        else:
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such action")

    def _act(self, name: str, word: str, body: Mapping[str, Any]) -> None:
        board, person = self.server.board, self._person
        if word == DISMISS:
            board.dismiss(name, person)
        elif word == RESUME:
            board.resume(name, person)
        elif word == CHANGE:
            board.change(name, _require_texts(body.get("settings")), person)
        else:
            board.send_command(name, word, person)

    def _enter(self, body: Mapping[str, Any]) -> None:
        classroom = self.server.board.classroom
        if classroom is None:
            raise Refused(HTTPStatus.NOT_FOUND, "there is no class here")
        code, name = body.get("code"), body.get("name")
        if not (isinstance(code, str) and isinstance(name, str)):
            raise Refused(HTTPStatus.BAD_REQUEST, "give a code and a name")
        key, name = classroom.enter(code, name, self.client_address[0])
        self._send_json({"key": key, "name": name})

    def _start_run(self, body: Mapping[str, Any]) -> None:
        settings = _require_texts(body.get("settings", {}))
        words = ("loss", "data", "init", "preset", "instead", "beside")
        names = {word: body.get(word) for word in words}
        architecture, paused = body.get("architecture"), body.get("paused", False)
        good = (
            isinstance(architecture, str)
            and all(name is None or _is_short(name) for name in names.values())
            and isinstance(paused, bool)
        )
        if not good:
            raise Refused(HTTPStatus.BAD_REQUEST, "the request does not describe a run")
        near = {word: names.pop(word) for word in ("instead", "beside")}
        asked = {"architecture": architecture, **names, "settings": settings}
        name = self.server.board.start(asked, self._person, **near, paused=paused)
        self._send_json({"name": name})

    def _read_body(self) -> dict[str, Any]:
        if self.headers.get_content_type() != JSON:
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the request must be {JSON}")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()):
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "the request must give its length")
        if len(length) > 9 or int(length) > LONGEST_BODY:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request is too long")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "the request must be a JSON object")
        return body

    # Permissions.

    def _require_host(self) -> None:
        """Refuse host names that are not this server's own; any port may be used."""
        with suppress(ValueError):
            name = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
            if name in self.server.names:
                return
            # DNS rebinding needs a name, so an address is safe.
            if ipaddress.ip_address(name).is_loopback or not self.server.is_local:
                return
        raise Refused(HTTPStatus.FORBIDDEN, "open this page at the address where it is served")

    def _require_own_page(self) -> None:
        """Refuse actions from other pages, and where everybody can only look."""
        if not self.server.can_act:
            raise Refused(
                HTTPStatus.FORBIDDEN, "this page is view-only, as others can reach its address"
            )
        if self.headers.get("Origin") != f"http://{self.headers['Host']}":
            raise Refused(HTTPStatus.FORBIDDEN, "another page may not act here")

    def _require_key(self) -> None:
        """Refuse actions without a key of the teacher or of a pupil."""
        if self._person.role == LOOKER:
            way = "" if self.server.board.classroom is None else ", or enter with the class's code"
            raise Refused(
                HTTPStatus.FORBIDDEN, f"open the full address that the terminal shows{way}"
            )

    # Sending.

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        self.close_connection = True  # unread parts must not be taken for the next request
        self._send(json.dumps({"error": message}).encode(), JSON, status)

    def _send_json(self, value: Any) -> None:
        data = json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
        self._send(data, JSON)

    def _send(self, data: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


ROUTES: dict[str, Callable[[Handler, re.Match[str], Mapping[str, str]], None]] = {
    "/state": Handler._send_state,
    "/choices": Handler._send_choices,
    "/resolved": Handler._send_resolved,
    "/runs/([0-9]{1,9})/curves": Handler._send_curves,
    "/runs/([0-9]{1,9})/moves": Handler._send_frames,
    "/runs/([0-9]{1,9})/pictures/([0-9]{1,18})": Handler._send_picture,
    "/runs/([0-9]{1,9})/stage": Handler._send_stage,
    "/runs/([0-9]{1,9})/walk": Handler._send_walk,
    "/runs/([0-9]{1,9})/nearest": Handler._send_nearest,
}
DISMISS = "dismiss"
ACTIONS = (PAUSE, *STEPS, CONTINUE, STOP, DISMISS, CHANGE, RESUME)
ACTION_PATH = re.compile(f"/runs/([0-9]{{1,9}})/({'|'.join(ACTIONS)})")


LONGEST_NAME = 200


def _is_short(name: Any) -> bool:
    return isinstance(name, str) and len(name) <= LONGEST_NAME


def _require_texts(settings: Any) -> dict[str, str]:
    """Return options and their values, all of them texts."""
    if isinstance(settings, dict) and all(isinstance(value, str) for value in settings.values()):
        return settings
    raise Refused(HTTPStatus.BAD_REQUEST, "settings are texts by the names of options")


def _read_picture(path: Path | None) -> bytes:
    """Read a sample picture; links and files that are not PNGs are refused."""
    if path is None:
        raise Refused(HTTPStatus.NOT_FOUND, "there is no such picture")
    # Without O_NONBLOCK, opening a named pipe would wait forever.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        handle = os.open(path, flags | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(file.fileno())
            if stat.S_ISREG(found.st_mode) and found.st_size <= LARGEST_PICTURE:
                data = file.read(LARGEST_PICTURE)
                if data.startswith(PNG_SIGNATURE) and not (
                    path.is_symlink() or path.parent.is_symlink()
                ):
                    return data
    except OSError:
        pass
    raise Refused(HTTPStatus.NOT_FOUND, "that picture cannot be shown")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _describe_bind_error(error: OSError | OverflowError, host: str, port: int) -> str:
    if isinstance(error, OverflowError):
        return f"--port {port}: ports are 0 to 65535"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken; choose another --port, or 0 for any that is free"
    return f"{host}:{port} cannot be served: {error.strerror or error}; choose another --host"
