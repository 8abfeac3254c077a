"""Time a training on this machine: steps, images and operations per second, and what a step is.

The command alone is here; what it calls imports torch.
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
from ganzoo.registry import ARCHITECTURE

if TYPE_CHECKING:
    from ganzoo_zoo.apps.bench import Bench, Spread

app = typer.Typer(rich_markup_mode=None)


@app.command(cls=TrainCommand)
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
        int | None, typer.Option(min=1, metavar="N", help="Time so many generator updates.")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            help="Time steps for about so long, and 5 steps at least. [default: 10]",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Time a training on this machine, without a run: nothing is written.

    The median of blocks of steps, the middle half of them, and the share of each part of a step.
    Operations (FLOPs) are those of convolutions and matrix products, a multiply-add being two; they
    are set beside those of one convolution, 3 x 3 of 256 channels, measured in the same minute.
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
        ("threads", f"{machine.threads}, which had {machine.cores_used} cores"),
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
        return "not known here"
    size = f"{found.memory.peak_bytes / 2**20:,.0f} MiB at most"
    return f"{size}, of tensors" if found.memory.of == "device" else f"{size}, of the whole process"


def _device(found: Bench) -> str:
    machine = found.machine
    if machine.device == "cpu":
        return machine.device
    return f"{machine.device}, {machine.device_name}{', TF32' if machine.tf32 else ''}"


def _number(value: float) -> str:
    """Write a number with three digits that count, or all before the point."""
    if not value:
        return "0"
    return f"{value:,.{min(3, max(0, 2 - math.floor(math.log10(abs(value)))))}f}"
