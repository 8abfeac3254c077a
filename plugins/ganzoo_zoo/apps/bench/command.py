"""Measure the speed of training.

This module does not import torch; the functions that it calls do.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ganzoo.cli.common import (
    Compile,
    ImageSize,
    Json,
    LossName,
    Precision,
    Settings,
    TrainCommand,
    TrainingData,
    TrainOption,
    complete_names,
    gather_settings,
    print_json,
    print_table,
)
from ganzoo.cli.help import list_examples
from ganzoo.registry import ARCHITECTURE

if TYPE_CHECKING:
    from ganzoo_zoo.apps.bench import Bench, Spread

app = typer.Typer(rich_markup_mode=None)
EXAMPLES = list_examples(
    ("With the embedded digits.", "bench dcgan"),
    ("With larger images, and batches of 64.", "bench dcgan --image-size 64 --batch-size 64"),
)


@app.command(cls=TrainCommand, epilog=EXAMPLES)
def bench(
    context: typer.Context,
    architecture: Annotated[
        str,
        typer.Argument(
            metavar="ARCH",
            help="Name of an architecture.",
            autocompletion=complete_names(ARCHITECTURE),
        ),
    ],
    loss: LossName = None,
    data: TrainingData = None,
    image_size: ImageSize = None,
    batch_size: TrainOption = None,
    precision: Precision = None,
    compile: Compile = None,
    device: TrainOption = None,
    settings: Settings = None,
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Number of generator updates to time.")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            help="Duration of the timed steps, of which there are at least 5. [default: 10]",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the speed of training on this machine, without writing any files.

    Prints the median and the quartiles over blocks of steps, and the share of each part of a step.
    FLOPs are those of convolutions and matrix products, a multiply-add counting as two. They are
    compared with a single 3 x 3 convolution of 256 channels, measured at the same time.
    """
    from ganzoo.cli.progress import ProgressBar
    from ganzoo.progress import send_progress_to
    from ganzoo_zoo.apps.bench import bench as measure

    options = {key: value for key, value in context.params.items() if key != "steps"}
    given = gather_settings(settings, options, image_size)
    with ProgressBar() as counter, send_progress_to(counter):
        found = measure(architecture, loss, data, settings=given, steps=steps, seconds=seconds)
    if as_json:
        print_json({**asdict(found), "config": found.config.model_dump(mode="json")})
    else:
        _print(found)


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
    about = [
        ("trained", f"{found.config.title}, {shape}"),
        ("", f"batches of {train.batch_size}, n_critic {train.n_critic}, {train.precision}"),
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
