"""Serving the page on this machine until Ctrl-C."""

from __future__ import annotations

import ipaddress
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.cli.common import is_debugging
from ganzoo.errors import GanzooError, InputError
from ganzoo.signals import answer_stop_signals, interrupt
from ganzoo_zoo.apps.demo.served_files import FOLDER_VARIABLE

if TYPE_CHECKING:
    from types import FrameType

    from ganzoo.models.model import Model

BACKLOG = 64
"""Connections that may wait. Without file handles, asyncio tries as many times each second."""
SHUTDOWN_SECONDS = 1
"""Seconds that open requests have at the end."""
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_SSR_MODE": "False",
    "GRADIO_HOT_RELOAD": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""Environment variables that keep Gradio from contacting anything but the browser."""


def bind_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket, so that a taken port is noticed before the model is loaded.

    Raises:
        InputError: the port is taken, or this machine does not have the address.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InputError(f"--host {host}: {error.strerror or error}") from None
    try:
        if os.name != "nt":  # on Windows, two sockets could listen on one port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        raise InputError(
            f"cannot listen on port {port} of {host}: {error.strerror}; choose another --port, or "
            "0 for any free one"
        ) from None
    return found


def address_of(listening: socket.socket) -> str:
    """Return the address of the page for a browser on this machine."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def is_loopback(listening: socket.socket) -> bool:
    """Tell whether only this machine can reach a socket."""
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


def raise_signals() -> AbstractContextManager[None]:
    """Raise signals that ask to stop as KeyboardInterrupt, so that everything is closed."""
    return answer_stop_signals(interrupt, interrupt)


@contextmanager
def working_folder() -> Iterator[Path]:
    """Make a private folder for pictures, and remove it afterwards.

    Gradio's default folder is shared by all users of the machine and never removed.
    """
    with tempfile.TemporaryDirectory(prefix="ganzoo-demo-", ignore_cleanup_errors=True) as place:
        os.environ.update(QUIET, **{FOLDER_VARIABLE: str(Path(place) / "served")})
        yield Path(place)


def serve(
    model: Model,
    listening: socket.socket,
    host: str,
    device: str,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve the page of a model until a signal arrives, and free the port.

    Args:
        model: The model.
        listening: A socket from :func:`bind_socket`.
        host: A further host name to accept, beside this machine's addresses and names.
        device: Device to compute on.
        ready: Called once the page can be opened.

    Raises:
        KeyboardInterrupt: a signal arrived; the argument is its number.
    """
    with raise_signals(), working_folder() as place:
        import fastapi
        import gradio as gr
        import uvicorn

        from ganzoo_zoo.apps.demo.page import UPLOAD, build_page, settings
        from ganzoo_zoo.apps.demo.security import Guard
        from ganzoo_zoo.apps.demo.session import Session
        from ganzoo_zoo.apps.demo.terminal import discard_output, escape_output

        studio = Session(model, place / "drawn", device)
        app = fastapi.FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        page = build_page(studio)
        # Otherwise Gradio would read any file that a request names.
        page.has_launched = True
        gr.mount_gradio_app(app, page, "/", **settings())
        upload = 2 * UPLOAD if studio.can_translate else 0  # with room for the envelope
        app.add_middleware(Guard, names=[host], upload=upload)

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                if self.started:
                    ready()
                    output.enter_context(escape_output() if is_debugging() else discard_output())

            def handle_exit(self, sig: int, frame: FrameType | None) -> None:
                studio.ending.set()
                super().handle_exit(sig, frame)

        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        server = Server(config)
        with ExitStack() as output:
            server.run(sockets=[listening])
        if not server.started:
            raise GanzooError("the page could not be started")
