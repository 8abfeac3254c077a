"""``ganzoo sample``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganzoo.cli.common import Device, Json, ModelArgument, names_of, note, print_json
from ganzoo.registry import DATASET


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sample")(sample)


def sample(
    model: ModelArgument = None,
    num: Annotated[
        int | None,
        typer.Option(
            "--num", "-n", min=1, help="Number of samples; by default 64, or every source."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the latents.")] = 0,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="NAME or NUMBER",
            help="Class of all samples; by default every class in turn.",
        ),
    ] = None,
    truncation: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            help="Trade variety for quality: latents keep to [-NUMBER, NUMBER].",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="NAME or PATH",
            help="A dataset, or a folder or zip of images, to translate to the class --label.",
            autocompletion=names_of(DATASET),
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE or DIR",
            help="A .png for one picture, a .csv for vectors, or a folder for single images; "
            "by default samples-SEED.png, or translated.png.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Draw samples from a trained model, or translate images by it."""
    from ganzoo.model import load
    from ganzoo.samples import write_samples

    loaded = load(model)
    path = out or Path("translated.png" if source else f"samples-{seed}.png")
    written = write_samples(
        loaded,
        path,
        num,
        seed,
        label=label,
        source=source,
        truncation=truncation,
        device=device,
        replace=force,
        warn=lambda message: note(f"warning: {message}"),
    )
    if as_json:
        files = [str(file) for file in written]
        drawn = {"seed": seed, "label": label, "truncation": truncation, "source": source}
        print_json({"model": loaded.folder.reference, **drawn, "files": files})
    else:
        print(path)
