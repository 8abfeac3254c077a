"""A filter for requests, which keeps other web pages from using the demo.

A page of another site may send requests to any address of this machine, and may point its own host
name to it (DNS rebinding). So the requested host must be one of this machine, and requests of pages
must come from the demo's own.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ganzoo_zoo.apps.demo.served_files import trim_served_files

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Any]]
    Send = Callable[[Any], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

API = "/gradio_api"
ACTS = {f"{API}/queue/join", f"{API}/cancel", f"{API}/reset"}
"""Paths that the page sends to."""
UPLOADS = f"{API}/upload"
SHOWN_PATHS = re.compile(
    rf"/|/config|/theme\.css|/favicon\.ico|/(?:assets|static)/.+|{API}/(?:app_id|queue/data|"
    r"upload_progress|heartbeat/[^/]+|file=(?![A-Za-z][A-Za-z0-9+.-]+:).+)"
)
"""Paths that the page shows. Gradio serves many more, such as files of other machines."""
LARGEST_BODY = 1 << 20
"""The most bytes of a request other than an upload."""
MOST_UPLOADS = 4
"""The most uploads at a time."""
UPLOAD_SECONDS = 120
"""Seconds after which an upload is given up."""
HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; worker-src 'self' blob:; "
    "connect-src 'self' data: blob:; frame-ancestors 'none'; form-action 'none'; base-uri 'self'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
"""Headers that make the browser restrict the page to this server. Gradio needs inline scripts and
``eval``."""


class Guard:
    """ASGI middleware that refuses requests from other pages.

    Args:
        app: The application.
        names: Host names to accept, beside this machine's addresses and its own name.
        upload: The most bytes of an upload; 0 forbids uploads.
    """

    def __init__(self, app: App, names: Iterable[str] = (), upload: int = 0) -> None:
        self.app = app
        own = socket.gethostname().lower()
        self.names = {"localhost", own, f"{own}.local", *(name.lower() for name in names)}
        self.upload = upload
        self.uploading = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with a reason."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]
        }
        refusal = self.refusal(scope.get("method", "GET"), scope["path"], headers)
        if refusal is None:
            await self._pass_on(scope, receive, lambda message: send(_add_headers(message)))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            status, why = refusal
            await send(
                {
                    "type": "http.response.start",
                    "status": status,
                    "headers": [(b"content-type", b"text/plain; charset=utf-8")],
                }
            )
            await send({"type": "http.response.body", "body": f"{why}\n".encode()})

    def refusal(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str] | None:
        """Return the status and the reason if a request is refused, or None."""
        host = headers.get("host", "")
        if not self._is_own(host):
            return 403, "open this page by its address, localhost or the machine's name"
        if not _same_origin(headers, host) or not _same_site(method, headers):
            return 403, "another page may not request this"
        if method in ("GET", "HEAD"):
            return None if SHOWN_PATHS.fullmatch(path) else (404, "there is no such page")
        if method != "POST" or path not in (ACTS | ({UPLOADS} if self.upload else set())):
            return 404, "this path accepts no requests"
        size = headers.get("content-length", "")
        most = self.upload if path == UPLOADS else LARGEST_BODY
        # Chunks would count, and not the size that stands beside them.
        given = "transfer-encoding" not in headers and size.isdecimal() and len(size) < 10
        if not given or int(size) > most:
            return 413, f"at most {most:,} bytes, and their number in advance"
        if path == UPLOADS and self.uploading >= MOST_UPLOADS:
            return 503, "others are uploading; try again in a moment"
        return None

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; uploads are bounded in number, time and space."""
        if scope["path"] != UPLOADS:
            await self.app(scope, receive, send)
            return
        self.uploading += 1
        try:
            trim_served_files()
            async with asyncio.timeout(UPLOAD_SECONDS):
                await self.app(scope, receive, send)
        finally:
            self.uploading -= 1

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self.names
        return True  # DNS rebinding needs a name, so an address is safe


def _same_origin(headers: dict[str, str], host: str) -> bool:
    origin = headers.get("origin")
    return origin is None or origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")


def _same_site(method: str, headers: dict[str, str]) -> bool:
    """Tell whether a request comes from the page itself or from a person who follows a link."""
    site, mode = headers.get("sec-fetch-site", "none"), headers.get("sec-fetch-mode", "")
    if site in ("none", "same-origin"):
        return True
    return method == "GET" and mode == "navigate" and headers.get("sec-fetch-dest") == "document"


def _add_headers(message: Any) -> Any:
    if message["type"] != "http.response.start":
        return message
    more = [(name.encode(), text.encode()) for name, text in HEADERS.items()]
    kept = [
        (name, text)
        for name, text in message.get("headers", ())
        if not name.lower().startswith(b"access-control-") and name.decode().lower() not in HEADERS
    ]
    return {**message, "headers": [*kept, *more]}
