"""``ganzoo sample``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ganzoo.arguments import parse_layers
from ganzoo.cli.common import Device, Json, ModelArgument, complete_names, print_json
from ganzoo.cli.help import list_examples
from ganzoo.display.messages import print_warning
from ganzoo.distributed import is_first
from ganzoo.errors import InputError
from ganzoo.media.movies import WALK_FRAMES, check_movie_path
from ganzoo.models.code_range import CodeRange
from ganzoo.registry import DATASET
from ganzoo.storage.paths import refuse_existing

EXAMPLES = list_examples(
    ("Your newest run: 64 samples in one picture.", "sample"),
    ("A thousand single images, of a model on the Hub.", "sample user/name -n 1000 --out images/"),
    ("A movie from some samples to others.", "sample RUN --walk 0,1,2"),
    ("Coarse styles of some samples, and fine ones of others.", "sample RUN --mix 0-3"),
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sample", epilog=EXAMPLES)(sample)


def sample(
    model: ModelArgument = None,
    num: Annotated[
        int | None,
        typer.Option(
            "--num",
            "-n",
            min=1,
            help="Number of samples; by default 64, or all sources. Rows and columns of mixed "
            "styles; by default 6.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the latents.", show_default="0")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="NAME or NUMBER",
            help="Class of all samples; by default, samples cycle through the classes.",
        ),
    ] = None,
    truncation: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            help="Trade variety for quality: move latents into [-NUMBER, NUMBER].",
        ),
    ] = None,
    code: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Set a part of the latents that the architecture names: the number of a category, "
            "or a number; repeatable.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="NAME or PATH",
            help="Start from the images of a dataset, a folder or a zip, for models that do; those "
            "that translate between classes need --label too.",
            autocompletion=complete_names(DATASET),
        ),
    ] = None,
    make_sources: Annotated[
        bool,
        typer.Option(
            "--make-sources",
            help="The images of --source are whole ones: make the model's sources of them, as its "
            "training did. --seed is that of what is random, such as holes.",
        ),
    ] = False,
    tile: Annotated[
        int | None,
        typer.Option(
            min=16,
            metavar="PIXELS",
            help="Make large sources in tiles of this many pixels, a multiple of 16; by default "
            "256. Smaller ones take less memory. For models that take images of any size.",
            show_default=False,
        ),
    ] = None,
    walk: Annotated[
        str | None,
        typer.Option(
            metavar="SEED,SEED or NAME=FROM..TO",
            help="Make a movie from the samples of one seed to those of the next; or of one seed, "
            "along a part of the latents, such as tilt=-2..2, or all categories of one.",
        ),
    ] = None,
    vary: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=FROM..TO",
            help="Draw a row for each sample, along which a part of the latents changes, such as "
            "tilt=-2..2, or all categories of one.",
        ),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of frames from one seed or category to the next; 25 a second.",
            show_default=str(WALK_FRAMES),
        ),
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Walk back to the first seed.")] = False,
    mix: Annotated[
        str | None,
        typer.Option(
            metavar="LAYERS",
            help="Mix styles, for models that have them: each image has the styles of the sample "
            "to its left, but in these layers, such as 0-3, those of the sample above it.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE or DIR",
            help="A .png for one picture, a .csv for vectors, or a folder for single images; "
            "by default samples-SEED.png, vary-NAME.png, mix-SEED.png or translated.png, or a "
            "folder translated for several images that keep their sizes. A .webp, "
            ".gif or .mp4 for a walk; by default walk-SEED-SEED.webp or walk-NAME.webp.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Draw samples from a trained model, walk between seeds, mix styles, or translate images."""
    if sum(each is not None for each in (walk, vary, mix)) > 1:
        raise InputError("--walk makes a movie, --vary and --mix pictures: choose one of them")
    if make_sources and source is None:
        raise InputError("--make-sources makes them of the images of --source: give both")
    if tile is not None and source is None:
        raise InputError("--tile is for large images to start from: give them with --source")
    drawn = {"label": label, "truncation": truncation, "codes": _parse_codes(code)}
    if walk is not None:
        seeds, along = _parse_walk(walk, seed, source)
        stops = [along.name] if along else seeds
        _write_walk(
            model,
            out or Path(f"walk-{'-'.join(map(str, stops))}.webp"),
            seeds,
            along,
            num,
            {"frames": frames or WALK_FRAMES, "loop": loop, **drawn},
            as_json,
            device=device,
            replace=force,
        )
        return
    if frames is not None or loop:
        raise InputError("--frames and --loop need --walk")
    seed = seed or 0
    if mix is not None or vary is not None:
        how = _parse_mix(mix, source) if mix is not None else _parse_variation(vary or "", source)
        name = f"mix-{seed}" if isinstance(how, tuple) else f"vary-{how.name}"
        _write_picture(
            model,
            out or Path(f"{name}.png"),
            how,
            num,
            {"seed": seed, **drawn},
            as_json,
            device=device,
            replace=force,
        )
        return
    made = {"make_sources": True} if make_sources else {}
    _write_samples(
        model,
        out if out or source else Path(f"samples-{seed}.png"),
        num,
        {
            "seed": seed,
            **drawn,
            "source": source,
            **made,
            **({"tile": tile} if tile else {}),
        },
        as_json,
        device=device,
        replace=force,
    )


def _parse_walk(
    text: str, seed: int | None, source: str | None
) -> tuple[list[int], CodeRange | None]:
    """Return the seeds of a walk, or its one seed and the code that it goes along."""
    is_along = text[:1].isalpha() or text.startswith("_")
    if source is not None or (seed is not None and not is_along):
        raise InputError("--walk has its own seeds: drop --seed and --source")
    if is_along:
        return [seed or 0], CodeRange.parse("--walk", text)
    return _parse_seeds(text), None


def _parse_mix(text: str, source: str | None) -> tuple[int, ...]:
    if source is not None:
        raise InputError("--mix draws from seeds: drop --source")
    return parse_layers("--mix", text)


def _parse_variation(text: str, source: str | None) -> CodeRange:
    if source is not None:
        raise InputError("--vary changes a part of the latents, and --source leaves none: drop one")
    return CodeRange.parse("--vary", text)


def _parse_seeds(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",")]
    if len(words) < 2 or not all(word.isdecimal() and len(word) < 20 for word in words):
        raise InputError(f"--walk {text}: give two seeds or more, such as 0,1,5")
    return [int(word) for word in words]


def _parse_codes(texts: list[str] | None) -> dict[str, float | list[float]]:
    codes: dict[str, float | list[float]] = {}
    for text in texts or ():
        name, _, value = text.partition("=")
        try:
            numbers = [_parse_number(word.strip()) for word in value.split(",")]
        except ValueError:
            raise InputError(
                f"--code {text}: give a name and a number, such as digit=3, or numbers with commas"
            ) from None
        codes[name] = numbers if len(numbers) > 1 else numbers[0]
    return codes


def _parse_number(word: str) -> float:
    return int(word) if word.isdecimal() else float(word)


def _write_samples(
    reference: str | None,
    path: Path | None,
    count: int | None,
    options: dict[str, Any],
    as_json: bool,
    **where: Any,
) -> None:
    if path is not None and path.suffix:  # a folder may hold other samples
        refuse_existing(path, where["replace"])
    from ganzoo.display.terminal import ProgressBar
    from ganzoo.models.find import find_model
    from ganzoo.models.model import load_folder
    from ganzoo.models.sample_files import write_samples
    from ganzoo.progress import send_progress_to

    folder = find_model(reference)
    model = load_folder(folder)
    with ProgressBar() as progress, send_progress_to(progress):
        files = write_samples(model, path, count, **options, **where, warn=print_warning)
    if not is_first():
        return
    if as_json:
        written = [str(file) for file in files]
        print_json({"model": folder.reference, **options, "files": written})
    else:
        print(path or files[0].parts[0])


def _write_walk(
    reference: str | None,
    path: Path,
    seeds: list[int],
    along: CodeRange | None,
    count: int | None,
    options: dict[str, Any],
    as_json: bool,
    **where: Any,
) -> None:
    check_movie_path(path)
    refuse_existing(path, where["replace"])
    from ganzoo.display.terminal import ProgressBar
    from ganzoo.models.find import find_model
    from ganzoo.models.model import load_folder
    from ganzoo.models.sample_files import write_walk
    from ganzoo.progress import send_progress_to

    folder = find_model(reference)
    model = load_folder(folder)
    with ProgressBar() as progress, send_progress_to(progress):
        write_walk(model, path, seeds, count=count, along=along, **options, **where)
    if not is_first():
        return
    if as_json:
        way = {"seeds": seeds, **({} if along is None else {"along": str(along)})}
        print_json({"model": folder.reference, **way, **options, "files": [str(path)]})
    else:
        print(path)


def _write_picture(
    reference: str | None,
    path: Path,
    along: Any,
    count: int | None,
    options: dict[str, Any],
    as_json: bool,
    **where: Any,
) -> None:
    """Write a picture of mixed styles, or of samples along which a code changes.

    Args:
        reference: The model.
        path: The picture.
        along: The layers whose styles are mixed, or the :class:`CodeRange`.
        count: Number of rows.
        options: What samples are drawn with.
        as_json: Whether to print JSON.
        where: The device, and whether to replace a file.
    """
    refuse_existing(path, where["replace"])
    from ganzoo.models import sample_files
    from ganzoo.models.find import find_model
    from ganzoo.models.model import load_folder

    folder = find_model(reference)
    is_varied = isinstance(along, CodeRange)
    write = sample_files.write_variation if is_varied else sample_files.write_mix
    write(load_folder(folder), path, along, count, **options, **where)
    if not is_first():
        return
    if as_json:
        told = {"vary": str(along)} if is_varied else {"layers": along}
        told = {"model": folder.reference, **told, **options}
        print_json({**told, "files": [str(path)]})
    else:
        print(path)
