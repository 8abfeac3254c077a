"""Write runs as one HTML page."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ganzoo.cli.common import Json, print_json
from ganzoo.cli.help import list_examples
from ganzoo.display.messages import note
from ganzoo.errors import InputError
from ganzoo.storage.paths import refuse_existing, user_path
from ganzoo_zoo.apps.report import MOST_NEIGHBOURS, MOST_RUNS, NEIGHBOURS, REPORT_FILE
from ganzoo_zoo.apps.report import report as write
from ganzoo_zoo.apps.report.summary import Report, Reports

app = typer.Typer(rich_markup_mode=None)
EXAMPLES = list_examples(
    ("Your newest run.", "report"),
    ("Several runs side by side, in one page.", "report runs/one runs/other --out both.html"),
    ("With the curves as a table.", "report RUN --csv curves.csv"),
    ("With a movie of its samples over the steps.", "report RUN --movie run.webp"),
)


@app.command(epilog=EXAMPLES)
def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN...",
            help="A run's folder, by default the newest run under runs/; or several, at most "
            f"{MOST_RUNS}.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"By default {REPORT_FILE} in the run's folder; of several runs, {REPORT_FILE} in "
            "the current folder.",
        ),
    ] = None,
    neighbours: Annotated[
        int,
        typer.Option(
            min=0,
            max=MOST_NEIGHBOURS,
            metavar="N",
            help="Number of fakes to show beside their nearest training samples; with 0, neither "
            "the model nor the data are read, and the page has no training samples.",
        ),
    ] = NEIGHBOURS,
    movie: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write the sample pictures as a movie, to a .webp, a .gif or an .mp4.",
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write the curves and scores as a table, to a .csv: run, metric, step, "
            "value.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
    as_json: Json = False,
) -> None:
    """Write a run, or several side by side, as one HTML file that needs no network and no server.

    The report of a run shows samples over time beside real ones, losses, gradient norms and speed,
    scores with their protocol, the nearest training samples of a few fakes, and how to reproduce
    the run. That of several has their curves in the same charts, and what differs between them.
    """
    from ganzoo.display.terminal import ProgressBar
    from ganzoo.progress import send_progress_to
    from ganzoo.runs.folder import Run
    from ganzoo_zoo.apps.report.csv_file import check_csv_path, write_csv

    several = runs is not None and len(runs) > 1
    if movie is not None:
        movie = user_path(movie)
        _check_movie(movie, force, several=several)
    if csv is not None:
        csv = user_path(csv)
        check_csv_path(csv, force)
    with ProgressBar() as counter, send_progress_to(counter):
        done: Report | Reports
        if runs is not None and several:
            done = write(runs, out, neighbours=neighbours, replace=force)
            written = [Run(path) for path in done.runs]
        else:
            done = write(runs[0] if runs else None, out, neighbours=neighbours, replace=force)
            written = [Run(done.run)]
        if movie is not None:
            from ganzoo_zoo.apps.report.movie import training_movie

            movie.parent.mkdir(parents=True, exist_ok=True)
            training_movie(written[0], movie)
        if csv is not None:
            csv.parent.mkdir(parents=True, exist_ok=True)
            write_csv(written, csv)
    others = {"movie": movie, "csv": csv}
    if as_json:
        shown = {name: str(path) for name, path in others.items() if path is not None}
        print_json({**_as_json(done), **shown})
        return
    for path in filter(None, (done.file, *others.values())):
        print(path)
    for reason in done.missing:
        note(f"not in the report: {reason}")


def _check_movie(path: Path, replace: bool, *, several: bool) -> None:
    from ganzoo.media.movies import check_movie_path

    if several:
        raise InputError("--movie takes one run")
    check_movie_path(path)
    refuse_existing(path, replace, "--movie")


def _as_json(done: Report | Reports) -> dict[str, Any]:
    found = {**asdict(done), "file": str(done.file)}
    if isinstance(done, Reports):
        return {**found, "runs": [str(path) for path in done.runs]}
    return {**found, "run": str(done.run)}
