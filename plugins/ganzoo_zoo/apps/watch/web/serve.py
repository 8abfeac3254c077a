"""Serving the page of ``ganzoo watch --web`` until it is interrupted."""

from __future__ import annotations

import html
import socket
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from ganzoo.display.messages import note
from ganzoo.errors import GanzooError, Interrupted
from ganzoo.runs.folder import RUNS_FOLDER, Run, newest_run
from ganzoo.signals import answer_stop_signals, interrupt, signum_of
from ganzoo.storage.paths import user_path
from ganzoo_zoo.apps.watch.runs.run_reader import RunReader
from ganzoo_zoo.apps.watch.training.control_words import MAX_TRAINING
from ganzoo_zoo.apps.watch.web.bounds import Bounds
from ganzoo_zoo.apps.watch.web.classroom import Classroom
from ganzoo_zoo.apps.watch.web.server import Server
from ganzoo_zoo.apps.watch.web.state import Dashboard

REDIRECT = """<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={address}">
<title>ganzoo watch</title>
<a href="{address}">Open the page</a>
"""

EVERYWHERE = {"0.0.0.0": socket.AF_INET, "::": socket.AF_INET6, "": socket.AF_INET}
"""Addresses that stand for all of this machine's."""
ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Addresses in no network (RFC 5737, RFC 3849), by which the system tells its own; nothing is sent
there."""


def serve(
    runs: Sequence[Path],
    host: str,
    port: int,
    *,
    open_page: bool = False,
    classroom: Classroom | None = None,
    bounds: Bounds | None = None,
    most_training: int = MAX_TRAINING,
) -> None:
    """Serve the page until the command is interrupted.

    Args:
        runs: Folders of runs; if empty, the newest run under ``runs/`` and runs that appear there.
        host: See :class:`ganzoo_zoo.apps.watch.web.server.Server`.
        port: See :class:`ganzoo_zoo.apps.watch.web.server.Server`.
        open_page: Whether to open the page in a browser.
        classroom: A class whose pupils train here too, if any.
        bounds: What each pupil may train.
        most_training: The most runs that train at once.

    Raises:
        ganzoo.errors.InputError: a folder is not a run, or the address is not available.
        Interrupted: the command was interrupted, and runs that trained here saved their state.
    """
    found = [Run.open(user_path(path)) for path in runs]
    if not runs:
        with suppress(GanzooError):  # there is none yet, but the page can start one
            found = [newest_run()]
    readers, root = [RunReader(run) for run in found], None if runs else Path(RUNS_FOLDER)
    board = Dashboard(readers, root, classroom, bounds, most_training)
    with Server(board, host, port) as server, answer_stop_signals(interrupt, interrupt):
        if classroom is None:
            print(server.address, flush=True)
        else:
            _print_class(server, classroom)
        if not server.can_act:
            note(f"{host} is not a loopback address: others may reach it, so the page is view-only")
        if server.can_act and (classroom is not None or not found):
            board.prepare()  # whoever comes, comes to train
        try:
            with ExitStack() as files:
                if open_page:
                    _open_browser(server, files)
                server.serve_forever()
        except KeyboardInterrupt as stop:
            signum = signum_of(stop)
        saved = _close_board(board)
    commands = "\n".join(f"resume with: ganzoo train --resume {path}" for path in saved)
    raise Interrupted("watch has ended; training elsewhere continues", signum, commands)


def _print_class(server: Server, classroom: Classroom) -> None:
    """Print the teacher's address, and what a teacher shows to the class."""
    name = find_own_address(server.host)
    print(f"teacher: {server.address_at(name)}")
    print(f"pupils:  {server.address_at(name, key=False)}")
    print(f"code:    {classroom.code}", flush=True)
    note(
        "everyone in this network can look at your runs; whoever has the code can train within the "
        "bounds, and whoever has your address can do everything: keep it to yourself"
    )


def find_own_address(host: str) -> str:
    """Return the address at which other machines reach a host, without a lookup.

    Args:
        host: The host that is listened on; of one that stands for all addresses, that of the
            network that leads elsewhere is returned, or the machine's name if there is none.
    """
    if host not in EVERYWHERE:
        return host
    with suppress(OSError), socket.socket(EVERYWHERE[host], socket.SOCK_DGRAM) as probe:
        probe.connect((ELSEWHERE[EVERYWHERE[host]], 9))
        return str(probe.getsockname()[0])
    return socket.gethostname()


def _close_board(board: Dashboard) -> list[Path]:
    """Close a dashboard; a second interrupt does not wait until states are saved."""
    try:
        return board.close()
    except KeyboardInterrupt:
        return []


def _open_browser(server: Server, files: ExitStack) -> None:
    """Open the page in a browser; what was written for it is removed with ``files``."""
    import webbrowser

    try:
        local = server.address_at("127.0.0.1") if server.host in EVERYWHERE else server.address
        address = _write_redirect(local, files) if server.can_act else server.address
    except OSError as error:
        note(f"open the page yourself: no file can be written for the browser: {error}")
        return
    # Terminal browsers would block until they are closed.
    threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()


def _write_redirect(address: str, files: ExitStack) -> str:
    """Write a private file that leads a browser to an address, and return the file's address.

    Every user of the machine can see the command line of a browser, and so a key on it.
    """
    folder = TemporaryDirectory(prefix="ganzoo-watch-", ignore_cleanup_errors=True)
    path = Path(files.enter_context(folder)) / "open.html"
    path.touch(0o600)
    path.write_text(REDIRECT.format(address=html.escape(address)), encoding="utf-8")
    return path.as_uri()
