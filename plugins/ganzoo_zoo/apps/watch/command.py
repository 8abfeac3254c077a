"""Watch runs from their folders alone: losses, scores, speed and samples, here or in a browser.

The command alone is here; what it calls imports rich, and torch where samples are shown.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganzoo.cli.common import Json, print_json
from ganzoo.errors import GanzooError, InputError, Interrupted

if TYPE_CHECKING:
    from ganzoo_zoo.apps.watch.run_reader import RunReader

SECONDS_BETWEEN_READS = 0.5
SECONDS_BETWEEN_LINES = 10.0
HOST, PORT = "127.0.0.1", 8420

app = typer.Typer(rich_markup_mode=None)


@app.command()
def watch(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN", help="Folders of runs; by default the newest run under runs/."
        ),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Print what there is to see now, and end.")
    ] = False,
    web: Annotated[
        bool,
        typer.Option(
            "--web",
            help="Serve a page that shows them, and where small runs can be trained, until Ctrl-C.",
        ),
    ] = False,
    port: Annotated[
        int,
        typer.Option(min=0, max=65_535, help="Port of the page; 0 for any that is free."),
    ] = PORT,
    host: Annotated[
        str,
        typer.Option(
            help="Name or address that the page is served at; at one that others reach, runs are "
            "only looked at."
        ),
    ] = HOST,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: Json = False,
) -> None:
    """Watch runs, whoever trains them, until they are finished.

    Their folders are read and nothing is written there: losses and norms of gradients over the
    steps, scores, warnings, images per second, the time left, and the newest samples where the
    terminal can show them. Without a terminal there is a line now and then.

    With --web a page in a browser shows the same, of points the discriminator's surface too, and
    trains small runs that can be paused, done step by step and begun again with other options. Runs
    are looked for under runs/ where none is named.
    """
    if web:
        if once or as_json:
            raise InputError("--web shows runs until Ctrl-C: leave --once and --json away")
        from ganzoo_zoo.apps.watch.web import serve

        serve(runs or [], host, port, open_page=open_page)
        return
    if open_page or (host, port) != (HOST, PORT):
        raise InputError("--host, --port and --open are of a page: add --web")
    from ganzoo.runs.folder import Run, newest_run
    from ganzoo.storage.paths import user_path
    from ganzoo_zoo.apps.watch.run_reader import RunReader

    found = [Run.open(user_path(path)) for path in runs] if runs else [newest_run()]
    watched = [RunReader(run) for run in found]
    for each in watched:
        each.update()
    if as_json:
        print_json({"runs": [_as_json(each) for each in watched]})
        return
    try:
        _show(watched, once)
    except KeyboardInterrupt:
        raise Interrupted("no longer watched; what trains goes on", signal.SIGINT) from None
    lost = [str(each.run.path) for each in watched if each.is_gone]
    if lost:
        raise GanzooError(f"{', '.join(lost)}: the folder is gone")


def _show(runs: Sequence[RunReader], once: bool) -> None:
    from rich.console import Console

    from ganzoo_zoo.apps.watch.view import View

    console = Console()
    console.soft_wrap = not console.is_terminal  # elsewhere no line is cut
    view = View(console)
    if once:
        console.print(view(runs))
    elif console.is_terminal and not console.is_dumb_terminal:
        _show_live(runs, view, console)
    else:
        _print_lines(runs)


def _show_live(runs: Sequence[RunReader], view: Any, console: Any) -> None:
    from rich.live import Live

    drawn, size = time.monotonic(), console.size
    with Live(view(runs), console=console, auto_refresh=False) as live:
        while not all(map(_is_over, runs)):
            time.sleep(SECONDS_BETWEEN_READS)
            news = [run.update() for run in runs]
            # For how long nothing was heard changes without news.
            late = time.monotonic() - drawn >= SECONDS_BETWEEN_LINES
            if any(news) or late or console.size != size:
                live.update(view(runs), refresh=True)
                drawn, size = time.monotonic(), console.size
        live.update(view(runs), refresh=True)


def _print_lines(runs: Sequence[RunReader]) -> None:
    said: dict[Path, str] = {}
    while True:
        for run in runs:
            line = _format_line(run)
            if said.get(run.run.path) != line:
                said[run.run.path] = line
                print(line, flush=True)
        if all(map(_is_over, runs)):
            return
        until = time.monotonic() + SECONDS_BETWEEN_LINES
        while time.monotonic() < until and not all(map(_is_over, runs)):
            time.sleep(SECONDS_BETWEEN_READS)
            for run in runs:
                run.update()


def _is_over(run: RunReader) -> bool:
    return run.is_finished or run.is_gone


def _format_line(run: RunReader) -> str:
    from ganzoo.cli.progress import loss_terms
    from ganzoo.errors import escape_text
    from ganzoo_zoo.apps.watch.view import progress, scores

    sums = loss_terms({name: series.last for name, series in run.numbers.items()}).items()
    shown = [f"{network} {sum(terms.values()):.3f}" for network, terms in sums if terms]
    return "  ".join([f"{escape_text(str(run.run.path))}: {progress(run)}", *shown, *scores(run)])


def _as_json(run: RunReader) -> dict[str, Any]:
    return {
        "run": str(run.run.path),
        "title": run.config.title,
        "state": run.state(),
        "finished": run.is_finished,
        "step": run.step,
        "steps": run.steps,
        "images_per_second": run.speed,
        "seconds_left": run.seconds_left(),
        "numbers": {name: series.last for name, series in run.numbers.items()},
        "scores": {
            name: {
                word: dict(zip(("value", "step"), found, strict=True))
                for word, found in (("last", scored.last), ("best", scored.best))
            }
            for name, scored in run.scores.items()
        },
        "warnings": list(run.warnings),
        "picture": None if run.picture is None else str(run.picture),
    }
