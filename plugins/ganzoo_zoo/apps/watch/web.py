"""Serving the page of ``ganzoo watch --web`` until it is interrupted."""

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
    """Serve the page until the command is interrupted.

    Args:
        runs: Folders of runs; if empty, the newest run under ``runs/`` and runs that appear there.
        host: See :class:`ganzoo_zoo.apps.watch.server.Server`.
        port: See :class:`ganzoo_zoo.apps.watch.server.Server`.
        open_page: Whether to open the page in a browser.

    Raises:
        ganzoo.errors.InputError: a folder is not a run, or the address is not available.
        Interrupted: the command was interrupted, and runs that trained here saved their state.
    """
    found = [Run.open(user_path(path)) for path in runs]
    if not runs:
        with suppress(GanzooError):  # there is none yet, but the page can start one
            found = [newest_run()]
    board = Dashboard([RunReader(run) for run in found], None if runs else Path(RUNS_FOLDER))
    with Server(board, host, port) as server, _sigterm_as_interrupt():
        print(server.address, flush=True)
        if not server.can_act:
            note(f"{host} is not a loopback address: others may reach it, so the page is view-only")
        try:
            if open_page:
                _open_browser(server.address)
            server.serve_forever()
        except KeyboardInterrupt as stop:
            signum = stop.args[0] if stop.args else signal.SIGINT
        saved = _close_board(board)
    commands = "\n".join(f"resume with: ganzoo train --resume {path}" for path in saved)
    raise Interrupted("watch has ended; training elsewhere continues", signum, commands)


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C."""

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
    """Close a dashboard; a second interrupt does not wait until states are saved."""
    try:
        return board.close()
    except KeyboardInterrupt:
        return []


def _open_browser(address: str) -> None:
    import webbrowser

    # Terminal browsers would block until they are closed.
    threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
