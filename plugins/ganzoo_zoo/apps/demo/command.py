"""Play with a model in the browser: samples, walks, and the nearest training images."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from ganzoo.cli.common import Device, ModelArgument, note
from ganzoo.errors import Interrupted
from ganzoo_zoo.apps.demo import HOST, PORT, require_gradio

app = typer.Typer(rich_markup_mode=None)


@app.command()
def demo(
    model: ModelArgument = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Name or address to listen on. There is no login: 0.0.0.0 lets in whoever reaches "
            "the machine.",
        ),
    ] = HOST,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for one that is free.")
    ] = PORT,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    device: Device = "auto",
) -> None:
    """Show a page to play with a model, until Ctrl-C.

    Samples by seed, class and truncation, walks between seeds, the nearest training images, and
    downloads. The page speaks to this machine alone, and pages of others cannot speak to it.
    """
    require_gradio()
    import threading
    import webbrowser

    from ganzoo.models.model import load
    from ganzoo_zoo.apps.demo.serving import address_of, bind_socket, is_loopback, serve

    with bind_socket(host, port) as listening:
        address = address_of(listening)
        loaded = load(model)

        def ready() -> None:
            print(address, flush=True)
            note("the demo is there; Ctrl-C ends it")
            if not is_loopback(listening):
                note("note: whoever reaches this machine may use it too; there is no login")
            if open_page:
                # A browser of the terminal would not come back.
                threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()

        try:
            serve(loaded, listening, host, device or "auto", ready)
        except KeyboardInterrupt as stop:
            raise Interrupted("the demo has ended", *(stop.args or [signal.SIGINT])) from None
