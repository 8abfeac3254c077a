"""Find the directions in which samples change most."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganzoo.arguments import parse_layers
from ganzoo.cli.common import Device, Json, ModelArgument, print_json
from ganzoo.cli.help import list_examples
from ganzoo.display.messages import note
from ganzoo.storage.paths import user_path
from ganzoo_zoo.apps.directions import write_directions
from ganzoo_zoo.apps.directions.written import (
    COUNT,
    OVERVIEW_FILE,
    SAMPLES,
    STRENGTH,
    check_folder,
)

app = typer.Typer(rich_markup_mode=None)
EXAMPLES = list_examples(
    ("Ten directions of your newest run.", "directions"),
    ("Those of fine layers alone, of a model with styles.", "directions RUN --layers 4-7"),
    (
        "Other samples along the same directions.",
        "directions RUN --use directions --seed 9 --out more",
    ),
)


@app.command(epilog=EXAMPLES)
def directions(
    model: ModelArgument = None,
    num: Annotated[int, typer.Option("--num", "-n", min=1, help="Number of directions.")] = COUNT,
    method: Annotated[
        str,
        typer.Option(
            metavar="auto, sefa or pca",
            help="Eigenvectors of the first weights, or principal components of styles or of the "
            "first features; auto takes the first that the model serves.",
        ),
    ] = "auto",
    layers: Annotated[
        str | None,
        typer.Option(metavar="LAYERS", help="Move the styles of these layers alone, such as 0-3."),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, help="Number of samples in a sheet, each in a row.")
    ] = SAMPLES,
    strength: Annotated[
        float, typer.Option(help="How far samples move, in standard deviations.")
    ] = STRENGTH,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the samples.")] = 0,
    label: Annotated[
        str | None, typer.Option(metavar="NAME or NUMBER", help="Class of all samples.")
    ] = None,
    use: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Take the directions that were written to a folder."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to.")] = Path(
        "directions"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace directions there.")] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Find the directions in which a model's samples change most, and draw a sheet of each.

    In a sheet each row is a sample, which moves from left to right along the direction and stands
    in the middle.
    """
    out = user_path(out)
    check_folder(out, force)
    from ganzoo.display.terminal import ProgressBar
    from ganzoo.progress import send_progress_to

    chosen = None if layers is None else parse_layers("--layers", layers)
    with ProgressBar() as progress, send_progress_to(progress):
        done = write_directions(
            model,
            out,
            num,
            method=method,
            layers=chosen,
            samples=samples,
            strength=strength,
            seed=seed,
            label=label,
            use=use,
            device=device,
            replace=force,
        )
    if as_json:
        print_json({**done.about, "files": [str(file) for file in done.files]})
    else:
        print(out / OVERVIEW_FILE)
        kind = "styles" if done.about["space"] == "w" else "latents"
        note(f"{len(done.about['directions'])} directions of {kind}, by {done.about['method']}")
