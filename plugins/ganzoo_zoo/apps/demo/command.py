"""Serve a page to try a model."""

from __future__ import annotations

from typing import Annotated

import typer

from ganzoo.cli.common import Device, ModelArgument
from ganzoo.cli.help import list_examples
from ganzoo.display.messages import note
from ganzoo.errors import Interrupted
from ganzoo.signals import signum_of
from ganzoo_zoo.apps.demo import HOST, PORT, require_gradio

app = typer.Typer(rich_markup_mode=None)
EXAMPLES = list_examples(
    ("The model of your newest run, in a browser.", "demo --open"),
)


@app.command(epilog=EXAMPLES)
def demo(
    model: ModelArgument = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Name or address to listen on. There is no login: with 0.0.0.0, anyone who can "
            "reach the machine can use the page.",
        ),
    ] = HOST,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free one.")
    ] = PORT,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    device: Device = "auto",
) -> None:
    """Serve a page to try a model, until Ctrl-C.

    The page draws samples by seed, class and truncation, walks between seeds, and shows the nearest
    training images, all with downloads. It connects only to this machine, and other web pages
    cannot access it.
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
            note("the demo is running; press Ctrl-C to end it")
            if not is_loopback(listening):
                note("note: anyone who can reach this machine can use it too; there is no login")
            if open_page:
                # A terminal browser would block.
                threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()

        try:
            serve(loaded, listening, host, device or "auto", ready)
        except KeyboardInterrupt as stop:
            raise Interrupted("the demo has ended", signum_of(stop)) from None
