"""``ganzoo watch --web``: a page on this machine, for as long as the command lasts."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ganzoo.cli.common import note
from ganzoo.errors import GanzooError, Interrupted
from ganzoo.runs.folder import RUNS_FOLDER, Run, newest_run
from ganzoo.storage.paths import user_path
from ganzoo_zoo.apps.watch.run_reader import RunReader
from ganzoo_zoo.apps.watch.server import Server
from ganzoo_zoo.apps.watch.state import Dashboard


def serve(runs: Sequence[Path], host: str, port: int, *, open_page: bool = False) -> None:
    """Serve a page until somebody interrupts.

    Args:
        runs: Folders of runs; the newest under ``runs/``, and what appears there, if none.
        host: As for :class:`ganzoo_zoo.apps.watch.server.Server`.
        port: As there.
        open_page: Whether a browser is to be opened.

    Raises:
        ganzoo.errors.InputError: a folder is no run, or there is no such address.
        Interrupted: it was interrupted; what is trained here has saved its state.
    """
    found = [Run.open(user_path(path)) for path in runs]
    if not runs:
        with suppress(GanzooError):  # one may be trained from the page
            found = [newest_run()]
    board = Dashboard([RunReader(run) for run in found], None if runs else Path(RUNS_FOLDER))
    with Server(board, host, port) as server, _sigterm_as_interrupt():
        print(server.address, flush=True)
        if not server.can_act:
            note(f"{host} is no loopback address: others may reach it, and runs are only looked at")
        try:
            if open_page:
                _open_browser(server.address)
            server.serve_forever()
        except KeyboardInterrupt as stop:
            signum = stop.args[0] if stop.args else signal.SIGINT
        saved = _close_board(board)
    ways = "".join(f"\ngo on with: ganzoo train --resume {path}" for path in saved)
    raise Interrupted(f"no longer watched; what is trained elsewhere goes on{ways}", signum)


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Have a termination request be met as Ctrl-C is."""

    def stop(signum: int, frame: object) -> None:
        raise KeyboardInterrupt(signum)

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _close_board(board: Dashboard) -> list[Path]:
    """Close a board; whoever interrupts once more does not wait for states to be saved."""
    try:
        return board.close()
    except KeyboardInterrupt:
        return []


def _open_browser(address: str) -> None:
    import webbrowser

    # Some browsers are programs of the terminal, and would be waited for.
    threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
