"""The page on a port of this machine, from the start to Ctrl-C."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.errors import GanzooError, InputError

if TYPE_CHECKING:
    from ganzoo.models.model import Model

SHUTDOWN_SECONDS = 1
"""Seconds for which requests that are under way are waited for at the end."""
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_SSR_MODE": "False",
    "GRADIO_HOT_RELOAD": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""What Gradio reads of the environment, so that it speaks to nobody but the browser."""


def bind_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens, so that a taken port is known before anything is loaded.

    Raises:
        InputError: the port is taken, or there is no such address here.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InputError(f"--host {host}: {error.strerror or error}") from None
    try:
        if os.name != "nt":  # there it would let two listen on one port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(128)
    except OSError as error:
        found.close()
        raise InputError(
            f"cannot listen on port {port} of {host}: {error.strerror}; choose another --port, or "
            "0 for one that is free"
        ) from None
    return found


def address_of(listening: socket.socket) -> str:
    """Return what a browser on this machine opens."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def is_loopback(listening: socket.socket) -> bool:
    """Tell whether nobody but this machine can reach a socket."""
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


@contextmanager
def raise_signals() -> Iterator[None]:
    """Have signals raised that ask for the end, so that what is open is closed."""

    def end(signum: int, frame: object) -> None:
        raise KeyboardInterrupt(signum)

    before = {each: signal.signal(each, end) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def working_folder() -> Iterator[Path]:
    """Give a folder of this process alone for what is drawn, and remove it afterwards.

    Gradio's own would be one that all users of the machine share, and that stays.
    """
    with tempfile.TemporaryDirectory(prefix="ganzoo-demo-", ignore_cleanup_errors=True) as place:
        os.environ.update(QUIET, GRADIO_TEMP_DIR=str(Path(place) / "served"))
        yield Path(place)


def serve(
    model: Model,
    listening: socket.socket,
    host: str,
    device: str,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve the page of a model until a signal ends it, and free the port.

    Args:
        model: The model.
        listening: What :func:`bind_socket` gave.
        host: A name by which the machine may be asked, beside its addresses and its own names.
        device: Where to compute.
        ready: Called once the page can be opened.

    Raises:
        KeyboardInterrupt: a signal ended it, whose number it holds.
    """
    with raise_signals(), working_folder() as place:
        import fastapi
        import gradio as gr
        import uvicorn

        from ganzoo_zoo.apps.demo.page import UPLOAD, build_page, settings
        from ganzoo_zoo.apps.demo.security import Guard
        from ganzoo_zoo.apps.demo.session import Session

        studio = Session(model, place / "drawn", device)
        app = fastapi.FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        page = build_page(studio)
        # Or Gradio would read whatever file a request names, as where others serve its page.
        page.has_launched = True
        gr.mount_gradio_app(app, page, "/", **settings())
        upload = 2 * UPLOAD if studio.can_translate else 0  # the envelope has its size too
        app.add_middleware(Guard, names=[host], upload=upload)

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                if self.started:
                    ready()

            def handle_exit(self, sig: int, frame: object) -> None:
                studio.ending.set()
                super().handle_exit(sig, frame)

        config = uvicorn.Config(
            app,
            log_level="critical",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        server = Server(config)
        server.run(sockets=[listening])
        if not server.started:
            raise GanzooError("the page could not be started")
