"""``ganzoo sample``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ganzoo.cli.common import Device, Json, ModelArgument, complete_names, note, print_json
from ganzoo.distributed import is_first
from ganzoo.errors import InputError
from ganzoo.media.movies import WALK_FRAMES
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
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the latents.", show_default="0")
    ] = None,
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
            autocompletion=complete_names(DATASET),
        ),
    ] = None,
    walk: Annotated[
        str | None,
        typer.Option(
            metavar="SEED,SEED",
            help="A movie that goes from the samples of a seed to those of the next; two or more.",
        ),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Frames of the walk from a seed to the next, 25 a second.",
            show_default=str(WALK_FRAMES),
        ),
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Let the walk end where it began.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE or DIR",
            help="A .png for one picture, a .csv for vectors, or a folder for single images; "
            "by default samples-SEED.png, or translated.png. A .webp, a .gif or an .mp4 for a "
            "walk; by default walk-SEED-SEED.webp.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Draw samples from a trained model, walk through them, or translate images by it."""
    from ganzoo.models.model import load

    if walk is not None:
        if seed is not None or source is not None:
            raise InputError("--walk has seeds of its own: leave --seed and --source away")
        _sample_walk(
            model,
            _parse_seeds(walk),
            out,
            as_json,
            count=num,
            frames=frames or WALK_FRAMES,
            loop=loop,
            label=label,
            truncation=truncation,
            device=device,
            replace=force,
        )
        return
    if frames is not None or loop:
        raise InputError("--frames and --loop are those of a --walk")
    from ganzoo.models.sample_files import write_samples

    seed = seed or 0
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
    if not is_first():
        return
    if as_json:
        files = [str(file) for file in written]
        drawn = {"seed": seed, "label": label, "truncation": truncation, "source": source}
        print_json({"model": loaded.folder.reference, **drawn, "files": files})
    else:
        print(path)


def _parse_seeds(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",")]
    if len(words) < 2 or not all(word.isdecimal() and len(word) < 20 for word in words):
        raise InputError(f"--walk {text}: name two seeds or more, as 0,1,5")
    return [int(word) for word in words]


def _sample_walk(
    model: str | None, seeds: list[int], out: Path | None, as_json: bool, **asked: Any
) -> None:
    from ganzoo.cli.progress import ProgressBar
    from ganzoo.models.model import load
    from ganzoo.models.sample_files import write_walk
    from ganzoo.progress import send_progress_to

    loaded = load(model)
    path = out or Path(f"walk-{'-'.join(map(str, seeds))}.webp")
    with ProgressBar() as counter, send_progress_to(counter):
        write_walk(loaded, path, seeds, **asked)
    if not is_first():
        return
    if as_json:
        about = {name: asked[name] for name in ("frames", "loop", "label", "truncation")}
        reference = loaded.folder.reference
        print_json({"model": reference, "seeds": seeds, **about, "files": [str(path)]})
    else:
        print(path)
