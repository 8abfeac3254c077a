"""Write a run as one HTML page."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ganzoo.cli.common import Json, print_json
from ganzoo.cli.help import list_examples
from ganzoo.display.messages import note
from ganzoo.storage.paths import refuse_existing, user_path
from ganzoo_zoo.apps.report import MOST_NEIGHBOURS, NEIGHBOURS, REPORT_FILE
from ganzoo_zoo.apps.report import report as write

app = typer.Typer(rich_markup_mode=None)
EXAMPLES = list_examples(
    ("Your newest run.", "report"),
    ("With a movie of its samples over the steps.", "report RUN --movie run.webp"),
)


@app.command(epilog=EXAMPLES)
def report(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN", help="A run's folder; by default the newest run under runs/."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=f"By default {REPORT_FILE} in the run's folder."),
    ] = None,
    neighbours: Annotated[
        int,
        typer.Option(
            min=0,
            max=MOST_NEIGHBOURS,
            metavar="N",
            help="Number of fakes to show beside their nearest training samples; with 0, neither "
            "the model nor the data are read.",
        ),
    ] = NEIGHBOURS,
    movie: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write the sample pictures as a movie, to a .webp, a .gif or an .mp4.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
    as_json: Json = False,
) -> None:
    """Write a run as one HTML file that needs no network and no server.

    The report shows samples over time, losses, gradient norms and speed, scores with their
    protocol, the nearest training samples of a few fakes, and how to reproduce the run.
    """
    from ganzoo.display.terminal import ProgressBar
    from ganzoo.media.movies import check_movie_path
    from ganzoo.progress import send_progress_to
    from ganzoo.runs.folder import Run

    if movie is not None:
        movie = user_path(movie)
        check_movie_path(movie)
        refuse_existing(movie, force, "--movie")
    with ProgressBar() as counter, send_progress_to(counter):
        done = write(run, out, neighbours=neighbours, replace=force)
        if movie is not None:
            from ganzoo_zoo.apps.report.movie import training_movie

            movie.parent.mkdir(parents=True, exist_ok=True)
            training_movie(Run(Path(done.run)), movie)
    if as_json:
        shown = {} if movie is None else {"movie": str(movie)}
        print_json({**asdict(done), "run": str(done.run), "file": str(done.file), **shown})
        return
    print(done.file)
    if movie is not None:
        print(movie)
    for reason in done.missing:
        note(f"not in the report: {reason}")
