"""``ganzoo train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganzoo.arguments import MODEL_FORMS
from ganzoo.cli.common import (
    START,
    Compile,
    ImageSize,
    Json,
    LossName,
    PenaltyNames,
    Precision,
    RecipeName,
    Settings,
    SourceOf,
    TrainCommand,
    TrainingData,
    TrainOption,
    complete_models,
    complete_names,
    forgive_output,
    gather_settings,
    print_json,
)
from ganzoo.cli.help import list_examples
from ganzoo.compute.memory import keep_freed_memory
from ganzoo.distributed import is_first, join_team
from ganzoo.errors import InputError
from ganzoo.registry import ARCHITECTURE, TRACKER

if TYPE_CHECKING:
    from ganzoo.display.terminal import ProgressObserver
    from ganzoo.runs.folder import Run


KEEP = "What to keep"
EXAMPLES = list_examples(
    ("Handwritten digits, which are part of ganzoo.", "train dcgan"),
    (
        "Your own photos, in a folder or a zip, at 64 x 64 pixels.",
        "train dcgan --data photos --image-size 64",
    ),
    ("Another loss; 'ganzoo list losses' says which there are.", "train dcgan --loss r3gan"),
    ("A penalty beside the loss.", "train dcgan --loss non-saturating --penalty r1"),
    ("A recipe with a name; 'ganzoo list recipes' says which there are.", "train --recipe NAME"),
    ("Scores as it trains; the best model is kept.", "train dcgan --eval-every 200"),
    ("Go on with a run that was stopped.", "train --resume RUN"),
    ("More steps from the end of a finished one, as a new run.", "train --fork RUN --steps 5000"),
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train", cls=TrainCommand, epilog=EXAMPLES)(train)


def train(
    context: typer.Context,
    architecture: Annotated[
        str | None,
        typer.Argument(
            metavar="ARCH",
            help="Name of an architecture; not needed with --recipe and the name of one, nor with "
            "--config, --init, --fork or --resume.",
            autocompletion=complete_names(ARCHITECTURE),
        ),
    ] = None,
    loss: LossName = None,
    penalty: PenaltyNames = None,
    data: TrainingData = None,
    image_size: ImageSize = None,
    source_of: SourceOf = None,
    recipe: RecipeName = None,
    steps: TrainOption = None,
    batch_size: TrainOption = None,
    seed: TrainOption = None,
    device: TrainOption = None,
    precision: Precision = None,
    compile: Compile = None,
    checkpoint_every: TrainOption = None,
    sample_every: TrainOption = None,
    eval_every: TrainOption = None,
    settings: Settings = None,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            rich_help_panel=START,
            help=f"Start from the networks of a model: {MODEL_FORMS}; other parts default to the "
            "model's.",
            autocompletion=complete_models,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=START,
            help="Start from a file of a whole configuration, in YAML, TOML or JSON, such as a "
            "run's config.json; what you give beside it goes before.",
        ),
    ] = None,
    fork: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            rich_help_panel=START,
            help="Start a new run from the newest checkpoint of a run, or from a checkpoint's "
            "folder, with its steps and optimisers; what you do not set is as there.",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=START,
            help="Continue a run; no other option is needed.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", rich_help_panel=KEEP, help="The run's folder; by default under runs/."
        ),
    ] = None,
    tracker: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=KEEP,
            help="Also send metrics to this tracker; repeatable. With --resume, in place of the "
            "run's own.",
            autocompletion=complete_names(TRACKER),
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Check everything that a training checks before its first step, print the "
            "resolved configuration and stop.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a GAN.

    Set the options of its parts with --set arch.KEY=VALUE, loss.KEY=VALUE, data.KEY=VALUE,
    train.KEY=VALUE, penalty.NAME.KEY=VALUE, augment.NAME.KEY=VALUE and tracker.NAME.KEY=VALUE;
    'ganzoo show NAME' lists them. A number of a loss, a penalty or an augmentation, and a rate of
    train, may change during the run: --set train.generator_lr="cosine(2e-4, 5e-5)".

    For small data, --set train.augment=NAME,NAME augments everything that the discriminator sees;
    'ganzoo list augmentations' lists the names.
    """
    given = gather_settings(settings, context.params, image_size, penalty, source_of)
    if resume is not None:
        if out is not None or dry_run:
            raise InputError("--resume continues in the run's own folder: drop --out and --dry-run")
        for option, given_one in (("--init", init), ("--fork", fork), ("--config", config)):
            if given_one is not None:
                own = "configuration" if option == "--config" else "weights"
                raise InputError(f"--resume continues from the run's own {own}: drop {option}")
        from ganzoo.api.training import continue_run

        names = {"architecture": architecture, "loss": loss, "data": data}
        changes = {name: value for name, value in names.items() if value is not None}
        with _prepare_process() as observer:
            run = continue_run(resume, {**changes, **given}, observer, tracker)
        _finish(run, as_json, observer)
        return
    from ganzoo.api.training import build_config, rehearse, start

    with join_team():
        resolved, initial = build_config(
            init, architecture, loss, data, given, tracker or (), out, fork, config
        )
        with _prepare_process() as observer:
            if dry_run:
                rehearse(resolved, observer, initial)
            else:
                run = start(resolved, out, observer, initial)
    if not dry_run:
        _finish(run, as_json, observer)
    elif is_first():
        print_json(resolved.model_dump(mode="json"))


def _prepare_process() -> ProgressObserver:
    """Prepare this process for training, and return the observer that shows its progress."""
    from ganzoo.display.terminal import ProgressObserver

    keep_freed_memory()
    return ProgressObserver()


def _finish(run: Run, as_json: bool, observer: ProgressObserver) -> None:
    if not is_first():
        return
    with forgive_output("the run is finished"):
        _print_result(run, as_json, observer)


def _print_result(run: Run, as_json: bool, observer: ProgressObserver) -> None:
    from ganzoo.cli.summary import summarise
    from ganzoo.runs.scores import read_logged_scores, read_scores

    config = run.config()
    logged = read_logged_scores(run.score_log)
    last = [row for row in logged if row.step == config.train.steps]
    # What its training took stands only in the run's list.
    taken = {(row.key, row.step): row for row in logged if row.images_seen is not None}
    best = [taken.get((row.key, row.step), row) for row in read_scores(run.best)]
    if as_json:
        print_json(
            {
                "run": str(run.path),
                "model": str(run.model),
                "step": config.train.steps,
                "scores": {
                    "last": [row.model_dump(mode="json") for row in last],
                    "best": [row.model_dump(mode="json") for row in best],
                },
                "config": config.model_dump(mode="json"),
            }
        )
        return
    print(run.path)
    summarise(run, config, last, best, observer)
