"""Watch runs while they train, in the terminal or on a page.

This module imports neither rich nor torch; the functions that it calls do.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganzoo.cli.common import Json, print_json
from ganzoo.cli.help import list_examples
from ganzoo.errors import GanzooError, InputError, Interrupted
from ganzoo.signals import signum_of
from ganzoo_zoo.apps.watch.training.control_words import MAX_TRAINING
from ganzoo_zoo.apps.watch.web.bounds import Bounds, describe_bound

if TYPE_CHECKING:
    from ganzoo_zoo.apps.watch.runs.run_reader import RunReader

SECONDS_BETWEEN_READS = 0.5
SECONDS_BETWEEN_LINES = 10.0
HOST, PORT = "127.0.0.1", 8420

app = typer.Typer(rich_markup_mode=None)
EXAMPLES = list_examples(
    ("Your newest run, in the terminal.", "watch"),
    ("A page with all runs under runs/, which can also train.", "watch --web --open"),
    ("The same for a class, whose pupils enter with a code.", "watch --web --host 0.0.0.0 --class"),
)


def _bound(name: str, at_least: int = 1) -> Any:
    """Return the option of a bound of a class."""
    return typer.Option(
        f"--pupil-{name}", min=at_least, help=f"With --class: {describe_bound(name)}"
    )


@app.command(epilog=EXAMPLES)
def watch(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN", help="Folders of runs; by default the newest run under runs/."
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print the current state and exit.")] = False,
    web: Annotated[
        bool,
        typer.Option(
            "--web",
            help="Serve a page that shows runs and can train small ones, until Ctrl-C.",
        ),
    ] = False,
    port: Annotated[
        int,
        typer.Option(min=0, max=65_535, help="Port of the page; 0 for any free port."),
    ] = PORT,
    host: Annotated[
        str,
        typer.Option(
            help="Name or address to serve the page at. If others can reach it, the page is "
            "view-only, unless it is that of a class."
        ),
    ] = HOST,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    has_class: Annotated[
        bool,
        typer.Option(
            "--class",
            help="Let a class train too: pupils enter with a code, see only their runs and yours, "
            "and train within bounds.",
        ),
    ] = False,
    code: Annotated[
        str | None,
        typer.Option(help="With --class: the code of the class; by default a new one."),
    ] = None,
    training: Annotated[
        int,
        typer.Option(min=1, max=64, help="Runs that train at once; others wait for their turn."),
    ] = MAX_TRAINING,
    pupil_runs: Annotated[int, _bound("runs")] = Bounds.runs,
    pupil_steps: Annotated[int, _bound("steps")] = Bounds.steps,
    pupil_seconds: Annotated[int, _bound("seconds")] = Bounds.seconds,
    pupil_parameters: Annotated[int, _bound("parameters")] = Bounds.parameters,
    pupil_memory: Annotated[int, _bound("memory", 1_000)] = Bounds.memory,
    as_json: Json = False,
) -> None:
    """Watch runs until they are finished, whichever process trains them.

    Shows losses, gradient norms, scores, warnings, speed and the remaining time, and the newest
    samples if the terminal can show images. Run folders are only read. Without a terminal, a line
    is printed from time to time.

    With --web, a page in the browser shows the same, and for points the discriminator's surface. It
    also trains small runs, which can be paused, stepped and restarted with other options. If no run
    is named, runs are found under runs/.
    """
    if web:
        if once or as_json:
            raise InputError("--web shows runs until Ctrl-C: drop --once and --json")
        from ganzoo_zoo.apps.watch.web.classroom import Classroom
        from ganzoo_zoo.apps.watch.web.serve import serve

        bounds = Bounds(
            runs=pupil_runs,
            steps=pupil_steps,
            seconds=pupil_seconds,
            parameters=pupil_parameters,
            memory=pupil_memory,
        )
        if not has_class and (code is not None or bounds != Bounds()):
            raise InputError("--code and the bounds of pupils need --class")
        serve(
            runs or [],
            host,
            port,
            open_page=open_page,
            classroom=Classroom(code) if has_class else None,
            bounds=bounds,
            most_training=training,
        )
        return
    if open_page or has_class or (host, port, training) != (HOST, PORT, MAX_TRAINING):
        raise InputError("--host, --port, --open, --class and --training need --web")
    from ganzoo.runs.folder import Run, newest_run
    from ganzoo.storage.paths import user_path
    from ganzoo_zoo.apps.watch.runs.run_reader import RunReader

    found = [Run.open(user_path(path)) for path in runs] if runs else [newest_run()]
    watched = [RunReader(run) for run in found]
    for each in watched:
        each.update()
    if as_json:
        print_json({"runs": [_as_json(each) for each in watched]})
        return
    try:
        _show(watched, once)
    except KeyboardInterrupt as stop:
        raise Interrupted("watch has ended; training continues", signum_of(stop)) from None
    lost = [str(each.run.path) for each in watched if each.is_gone]
    if lost:
        raise GanzooError(f"{', '.join(lost)}: the folder is gone")


def _show(runs: Sequence[RunReader], once: bool) -> None:
    from rich.console import Console

    from ganzoo_zoo.apps.watch.view import View

    console = Console()
    console.soft_wrap = not console.is_terminal  # cut lines in a terminal only
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
            # The time since the last sign of life changes without news.
            late = time.monotonic() - drawn >= SECONDS_BETWEEN_LINES
            if any(news) or late or console.size != size:
                live.update(view(runs), refresh=True)
                drawn, size = time.monotonic(), console.size
        live.update(view(runs), refresh=True)


def _print_lines(runs: Sequence[RunReader]) -> None:
    printed: dict[Path, str] = {}
    while True:
        for run in runs:
            line = _format_line(run)
            if printed.get(run.run.path) != line:
                printed[run.run.path] = line
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
    from ganzoo.errors import escape_text
    from ganzoo.runs.metrics import loss_terms
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
        "scores": {name: scored.as_json() for name, scored in run.scores.items()},
        "warnings": run.warnings,
        "past_warnings": [
            {"message": each.message, "from": each.began, "to": each.ended}
            for each in run.past_warnings
        ],
        "picture": None if run.picture is None else str(run.picture),
    }
