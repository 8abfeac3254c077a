"""``ganzoo sample``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganzoo.cli.common import Device, Json, ModelArgument, print_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sample")(sample)


def sample(
    model: ModelArgument = None,
    num: Annotated[int, typer.Option("--num", "-n", min=1, help="Number of samples.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the latents.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE or DIR",
            help="A .png for one picture, a .csv for vectors, or a folder for single images; "
            "by default samples-SEED.png.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Draw samples from a trained model."""
    from ganzoo.model import load
    from ganzoo.samples import write_samples

    loaded = load(model)
    path = out or Path(f"samples-{seed}.png")
    written = write_samples(loaded, path, num, seed, device=device, replace=force)
    if as_json:
        print_json(
            {"model": str(loaded.folder), "seed": seed, "files": [str(file) for file in written]}
        )
    else:
        print(path)
