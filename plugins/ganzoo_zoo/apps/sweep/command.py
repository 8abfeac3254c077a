"""Train a grid of runs, and rank them.

This module does not import torch; the functions that it calls do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ganzoo.cli.common import (
    HOW,
    WHAT,
    Compile,
    ImageSize,
    Json,
    Precision,
    SourceOf,
    TrainCommand,
    TrainingData,
    TrainOption,
    complete_names,
    forgive_output,
    print_json,
    print_table,
)
from ganzoo.cli.help import list_examples
from ganzoo.display.messages import note
from ganzoo.errors import GanzooError, InputError
from ganzoo.registry import ARCHITECTURE, EVALUATOR, LOSS, Kind
from ganzoo.storage.paths import user_path
from ganzoo_zoo.apps.shared.seeds import Seeds, read_seeds

if TYPE_CHECKING:
    from ganzoo_zoo.apps.sweep.folder import SearchOptions
    from ganzoo_zoo.apps.sweep.grid import Grid
    from ganzoo_zoo.apps.sweep.results import Results

SHORT = ("steps", "batch_size", "device", "precision", "eval_every")
"""Command-line options that set fields of ``TrainOptions``."""

TRIALS = 20
"""Runs of a search by default."""

app = typer.Typer(rich_markup_mode=None)
EXAMPLES = list_examples(
    ("Three losses, with two seeds each.", "sweep dcgan --loss wgan-gp,hinge,r3gan --seeds 2"),
    (
        "A search for a batch size.",
        "sweep mlp --sampler optuna --set 'train.batch_size=range(16,64)'",
    ),
)


def _complete_list(kind: Kind) -> Callable[[str], list[str]]:
    """Return a completion function for the last name of a comma-separated list."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [f"{before}{comma}{name}" for name in complete_names(kind)(last)]

    return complete


@app.command(cls=TrainCommand, epilog=EXAMPLES)
def sweep(
    context: typer.Context,
    architecture: Annotated[
        str | None,
        typer.Argument(
            metavar="ARCH[,ARCH]",
            help="Names of architectures; not needed with --resume.",
            autocompletion=_complete_list(ARCHITECTURE),
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[,NAME]",
            rich_help_panel=WHAT,
            help="Names of losses; by default each architecture's own.",
            autocompletion=_complete_list(LOSS),
        ),
    ] = None,
    data: TrainingData = None,
    image_size: ImageSize = None,
    source_of: SourceOf = None,
    steps: TrainOption = None,
    batch_size: TrainOption = None,
    device: TrainOption = None,
    precision: Precision = None,
    compile: Compile = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE[,VALUE]",
            rich_help_panel=HOW,
            help="Values of an option; repeatable. Commas separate values, except for options "
            "whose value is itself a list, such as train.betas=0,0.9: repeat --set for each "
            "further value. With --sampler, range(LOW,HIGH) is any number between the two, a whole "
            "one where the option is, and log(LOW,HIGH) the same, evenly by order of magnitude.",
        ),
    ] = None,
    eval_every: TrainOption = None,
    seeds: Seeds = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="Metric that evaluates each run at its end; repeatable; the first one ranks. By "
            "default all that fit the data, ranked by the one that ranks snapshots.",
            autocompletion=complete_names(EVALUATOR),
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="Number of fakes; by default as many as reals, at most 10,000."),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(min=1, help="Number of processes; each has its share of the threads."),
    ] = 1,
    sampler: Annotated[
        Literal["optuna"] | None,
        typer.Option(
            help="Search instead of training every combination: Optuna chooses the values of each "
            "run by the scores of earlier ones. With --eval-every, poor runs end early.",
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help=f"Number of runs of a search. [default: {TRIALS}]"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The sweep's folder, with a folder for each run; by default under runs/. A folder "
            "that holds a part of the same sweep is resumed.",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Resume a sweep; no other options are needed."),
    ] = None,
    print_commands: Annotated[
        bool,
        typer.Option("--print", help="Print the command of each run instead of training."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a grid of runs, and rank them in one table and one picture.

    Every combination of the architectures, the losses and the values of --set is trained with each
    seed and evaluated. When a sweep is resumed, finished runs are skipped, interrupted ones
    continue from their checkpoints, and failed ones are retried.

    With --sampler, a number of runs is chosen instead, to find good values with fewer of them.

    With --print, you can run the commands in another scheduler. Once they are done, the same
    command without --print evaluates the runs.
    """
    if resume is not None:
        _refuse_beside_resume(context.params)
        from ganzoo_zoo.apps.sweep.sweep import resume as go_on

        with _make_progress() as watcher:
            results = go_on(resume, workers, watcher)
        _finish(results, as_json)
        return
    if architecture is None:
        raise InputError("name an architecture to train, such as those of 'ganzoo list'")
    grid = _build_grid(architecture, loss, data, image_size, settings or [], seeds, context.params)
    search = _choose_search(sampler, trials)
    if search is not None:
        grid = _score_by(grid, metric)
    if print_commands:
        if search:
            raise InputError("--print knows no run of a search in advance: drop --sampler")
        if as_json:
            raise InputError("--print prints nothing but commands: drop --json")
        _print_commands(grid, out)
        return
    if out is not None:
        _refuse_taken(user_path(out), grid, metric or (), samples, search)
    from ganzoo_zoo.apps.sweep.sweep import sweep as swept

    with _make_progress() as watcher:
        results = swept(
            grid,
            out,
            metrics=metric or (),
            samples=samples,
            workers=workers,
            search=search,
            watcher=watcher,
        )
    _finish(results, as_json)


def _refuse_beside_resume(given: dict[str, Any]) -> None:
    kept = {"resume", "workers", "as_json"}
    others = [name for name, value in given.items() if value and name not in kept]
    if others:
        word = {"settings": "set", "print_commands": "print"}.get(others[0], others[0])
        called = "the architecture" if word == "architecture" else f"--{word.replace('_', '-')}"
        raise InputError(f"--resume continues the sweep unchanged: drop {called}")


def _build_grid(
    architecture: str,
    loss: str | None,
    data: str | None,
    image_size: str | None,
    settings: list[str],
    seeds: str | None,
    given: dict[str, Any],
) -> Grid:
    """Build the grid from the options; an option given twice is an error."""
    from ganzoo_zoo.apps.sweep.arguments import read_data, read_names, read_settings
    from ganzoo_zoo.apps.sweep.grid import Grid

    architectures = read_names(architecture, "architecture")
    losses = () if loss is None else read_names(loss, "--loss")
    swept = read_settings(settings, architectures, losses, data)
    short = {f"train.{name}": (str(given[name]),) for name in SHORT if given[name] is not None}
    if image_size is not None:
        short["data.image_size"] = (image_size,)
    if given["source_of"] is not None:
        short["arch.source_of"] = (given["source_of"],)
    if both := short.keys() & swept.keys():
        raise InputError(f"{min(both)} is given twice: by its own option and by --set")
    return Grid(
        architectures=architectures,
        losses=losses,
        data=read_data(data),
        settings={**short, **swept},
        seeds=(0,) if seeds is None else read_seeds(seeds),
    )


def _choose_search(sampler: str | None, trials: int | None) -> SearchOptions | None:
    from ganzoo_zoo.apps.sweep.folder import SearchOptions

    if sampler is not None:
        return SearchOptions(trials=trials or TRIALS)
    if trials is not None:
        raise InputError("--trials counts the runs of a search: add --sampler optuna")
    return None


def _score_by(grid: Grid, metrics: Sequence[str] | None) -> Grid:
    """Have snapshots scored by the metric that ranks the runs, unless another one is set."""
    name = "train.eval_metric"
    if not metrics or "train.eval_every" not in grid.settings or name in grid.settings:
        return grid
    return grid.model_copy(update={"settings": {**grid.settings, name: (metrics[0],)}})


def _refuse_taken(
    folder: Path,
    grid: Grid,
    metrics: Sequence[str],
    samples: int | None,
    search: SearchOptions | None,
) -> None:
    """Refuse a folder of something else before torch is loaded."""
    from ganzoo_zoo.apps.sweep.folder import Plan, continue_plan

    plan = Plan(grid=grid, metrics=tuple(metrics), samples=samples, threads=1, search=search)
    continue_plan(folder, plan, () if search else grid.cells())


def _print_commands(grid: Grid, out: Path | None) -> None:
    from ganzoo_zoo.apps.sweep.folder import choose_folder

    cells = grid.cells()
    folder = user_path(out) if out else choose_folder(grid, cells)
    for cell in cells:
        print(cell.command(folder))


def _make_progress() -> Any:
    from ganzoo_zoo.apps.sweep.progress import Progress

    return Progress()


def _finish(results: Results, as_json: bool) -> None:
    """Print the results, and fail at the end if any run failed."""
    with forgive_output("the sweep is finished"):
        if as_json:
            print_json(results.as_json())
        else:
            print_table(*results.table())
    for line in results.differences():
        note(line)
    is_search = "trial" in results.cells[0].combination
    if is_search:
        note(results.describe_best())
    failed = results.failed
    for cell in failed:
        note(f"failed: {cell.label}: {results.verdicts[cell.name].error}")
    note(f"in {results.folder}: {', '.join(results.files())}")
    if failed and (not is_search or not results.metrics):
        raise GanzooError(
            f"{len(failed)} of {len(results.cells)} runs failed; "
            f"retry them with: ganzoo sweep --resume {results.folder}"
        )
