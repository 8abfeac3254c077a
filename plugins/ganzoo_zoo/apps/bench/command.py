"""Measure the speed of training, or the time to a score.

This module does not import torch; the functions that it calls do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganzoo.cli.common import (
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
    complete_names,
    forgive_output,
    gather_settings,
    print_json,
    print_table,
)
from ganzoo.cli.help import list_examples
from ganzoo.display.messages import note
from ganzoo.errors import GanzooError, InputError
from ganzoo.registry import ARCHITECTURE
from ganzoo.storage.paths import user_path
from ganzoo_zoo.apps.shared.seeds import Seeds, read_seeds

if TYPE_CHECKING:
    from ganzoo_zoo.apps.bench import Bench, Spread
    from ganzoo_zoo.apps.bench.until import Outcome, TimeToScore

TAKEN = {
    "images": "{:,.0f}".format,
    "steps": "{:,.0f}".format,
    "seconds": "{:,.1f}".format,
    "processor_seconds": "{:,.1f}".format,
}
"""Columns of what it takes to reach a score, and how they are written."""

app = typer.Typer(rich_markup_mode=None)
EXAMPLES = list_examples(
    ("With the embedded digits.", "bench dcgan"),
    ("With larger images, and batches of 64.", "bench dcgan --image-size 64 --batch-size 64"),
    ("A recipe with a name.", "bench --recipe NAME"),
    ("The time to a score, over three seeds.", "bench dcgan --until 'fid<=30' --seeds 3"),
)


@app.command(cls=TrainCommand, epilog=EXAMPLES)
def bench(
    context: typer.Context,
    architecture: Annotated[
        str | None,
        typer.Argument(
            metavar="ARCH",
            help="Name of an architecture; not needed with --recipe and the name of one.",
            autocompletion=complete_names(ARCHITECTURE),
        ),
    ] = None,
    loss: LossName = None,
    penalty: PenaltyNames = None,
    data: TrainingData = None,
    image_size: ImageSize = None,
    source_of: SourceOf = None,
    recipe: RecipeName = None,
    batch_size: TrainOption = None,
    precision: Precision = None,
    compile: Compile = None,
    device: TrainOption = None,
    settings: Settings = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Number of generator updates to time; with --until, those of the whole training.",
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            help="Duration of the timed steps, of which there are at least 5. [default: 10]",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="SCORE",
            help="Train until this score is reached, such as 'fid<=30' or 'is>=8.4', and measure "
            "what that takes.",
        ),
    ] = None,
    seeds: Seeds = None,
    max_steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="With --until: end a training after these steps anyway; learning rates stay those "
            "of all of its steps. [default: all of its steps]",
        ),
    ] = None,
    eval_every: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="With --until: steps between scores. [default: a round number, for at most 40 "
            "scores]",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="With --until: keep the runs in this folder, one for each seed."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the speed of training on this machine, or the time to a score.

    Prints the median and the quartiles over blocks of steps, and the share of each part of a step.
    FLOPs are those of convolutions and matrix products, a multiply-add counting as two. They are
    compared with a single 3 x 3 convolution of 256 channels, measured at the same time. No files
    are written.

    With --until, trains with the options of ganzoo train, and prints the images, steps, seconds and
    processor seconds until the score, for each seed and in the mean. Scoring is not counted.
    """
    if until is not None:
        _measure_time(context.params)
        return
    for name in ("seeds", "max_steps", "eval_every", "out"):
        if context.params[name] is not None:
            raise InputError(f"--{name.replace('_', '-')} belongs to --until: give both, or none")
    from ganzoo.display.terminal import ProgressBar
    from ganzoo.progress import send_progress_to
    from ganzoo_zoo.apps.bench import bench as measure

    options = {key: value for key, value in context.params.items() if key != "steps"}
    given = gather_settings(settings, options, image_size, penalty, source_of)
    with ProgressBar() as counter, send_progress_to(counter):
        found = measure(architecture, loss, data, settings=given, steps=steps, seconds=seconds)
    if as_json:
        print_json({**asdict(found), "config": found.config.model_dump(mode="json")})
    else:
        _print(found)


def _measure_time(given: Mapping[str, Any]) -> None:
    """Train until a score is reached, print what that took, and fail if it was not reached."""
    from ganzoo_zoo.apps.bench.until import time_to_score

    if given["seconds"] is not None:
        raise InputError("--seconds does not belong to --until: give --max-steps")
    seeds, out = given["seeds"], given["out"]
    found = time_to_score(
        given["architecture"],
        given["loss"],
        given["data"],
        until=given["until"],
        settings=gather_settings(
            given["settings"],
            given,
            given["image_size"],
            given["penalty"],
            given["source_of"],
        ),
        seeds=None if seeds is None else read_seeds(seeds),
        max_steps=given["max_steps"],
        out=None if out is None else user_path(out),
        tell=note,
    )
    with forgive_output("the trainings are done"):
        if given["as_json"]:
            print_json(found.as_json())
        else:
            _print_time(found)
    if not found.is_reached:
        reached = sum(each.reached for each in found.seeds)
        raise GanzooError(
            f"{found.until} was reached by {reached} of {len(found.seeds)} seeds within "
            f"{found.max_steps:,} steps; a mean over these alone would flatter, so there is none"
        )


def _print_time(found: TimeToScore) -> None:
    header = ("seed", "score", "images", "steps", "seconds", "processor s", "scoring s")
    rows = [_outcome_row(each) for each in found.seeds]
    means = found.means()
    if means is not None and len(found.seeds) > 1:
        rows.append(("mean", "", *(TAKEN[name](means[name].mean) for name in TAKEN), ""))
        rows.append(("std", "", *(TAKEN[name](means[name].std or 0.0) for name in TAKEN), ""))
    print_table(header, rows)
    print()
    machine = found.machine
    about = [
        ("until", f"{found.until}, scored every {found.eval_every} steps"),
        ("score", found.metric or "none"),
        ("trained", f"{found.config.title}, {found.max_steps:,} steps at most"),
        ("schedule", f"of {found.config.train.steps:,} steps"),
        ("device", machine.device_name),
        ("processor", f"{machine.processor}, {machine.system}, {machine.cores} cores"),
        ("threads", f"{machine.threads}, using {machine.cores_used} cores"),
        ("versions", f"torch {machine.torch}, python {machine.python}"),
    ]
    print_table(("measured", ""), about)


def _outcome_row(found: Outcome) -> tuple[str, ...]:
    score = "none" if found.score is None else f"{found.score:.2f}"
    if not found.reached:
        best = "" if found.best is None else f", best {found.best:.2f}"
        score = f"not reached: {score}{best}"
    return (
        str(found.seed),
        score,
        *(write(getattr(found, name)) for name, write in TAKEN.items()),
        f"{found.scoring_seconds:,.1f}",
    )


def _print(found: Bench) -> None:
    flops, machine, train = found.flops, found.machine, found.config.train
    rows = [
        _row("steps/s", found.steps_per_second),
        _row("images/s", found.images_per_second),
        _row("step, ms", found.step_ms),
        *(_row(f"  {name}", part.ms, part.share) for name, part in found.parts.items()),
        ("step, GFLOP", _number(flops.step / 1e9), "", ""),
        ("GFLOP/s", _number(flops.per_second / 1e9), "", f"{flops.share:.1%}"),
        _row("  convolution", flops.convolution_per_second, unit=1e9),
    ]
    print_table(("what", "median", "middle half", "share"), rows)
    print()
    blocks = f", in blocks of {found.steps_per_block}" if found.steps_per_block > 1 else ""
    shape = " x ".join(map(str, found.shape))
    n_critic = found.config.write_schedules("train", {"n_critic": train.n_critic})["n_critic"]
    about = [
        ("trained", f"{found.config.title}, {shape}"),
        ("", f"batches of {train.batch_size}, n_critic {n_critic}, {train.precision}"),
        ("timed", f"{found.steps} steps after {found.warm_up}{blocks}, clock: {machine.clock}"),
        ("memory", _memory(found)),
        ("device", _device(found)),
        ("processor", f"{machine.processor}, {machine.system}, {machine.cores} cores"),
        ("threads", f"{machine.threads}, using {machine.cores_used} cores"),
        ("versions", f"torch {machine.torch}, python {machine.python}"),
    ]
    print_table(("measured", ""), about)


def _row(
    what: str, spread: Spread, share: float | None = None, unit: float = 1.0
) -> tuple[str, ...]:
    lower, upper = (_number(each / unit) for each in (spread.lower_quartile, spread.upper_quartile))
    return (
        what,
        _number(spread.median / unit),
        f"{lower} to {upper}",
        "" if share is None else f"{share:.1%}",
    )


def _memory(found: Bench) -> str:
    if found.memory.peak_bytes is None:
        return "unknown"
    size = f"{found.memory.peak_bytes / 2**20:,.0f} MiB at most"
    return f"{size}, of tensors" if found.memory.of == "device" else f"{size}, of the whole process"


def _device(found: Bench) -> str:
    machine = found.machine
    if machine.device == "cpu":
        return machine.device
    return f"{machine.device}, {machine.device_name}{', TF32' if machine.tf32 else ''}"


def _number(value: float) -> str:
    """Format a number with three significant digits, but with all digits before the point."""
    if not value:
        return "0"
    return f"{value:,.{min(3, max(0, 2 - math.floor(math.log10(abs(value)))))}f}"
