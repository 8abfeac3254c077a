"""Find the latent or the styles of a given image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganzoo.cli.common import MODEL_HELP, Device, Json, complete_models, print_json
from ganzoo.cli.help import list_examples
from ganzoo.display.messages import note
from ganzoo.errors import InputError
from ganzoo.storage.paths import refuse_existing, user_path
from ganzoo_zoo.apps.project.projection import MOVIE_FILE, RESTARTS, STEPS, check_folder

app = typer.Typer(rich_markup_mode=None)
EXAMPLES = list_examples(
    ("The styles of a photo.", "project RUN face.jpg"),
    ("Of each image in a folder, one style for all layers.", "project RUN faces/ --space w"),
    ("Of the model's own sample of seed 3, to see what it can find.", "project RUN sample:3"),
)


@app.command(epilog=EXAMPLES)
def project(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help=f"{MODEL_HELP}.",
            autocompletion=complete_models,
        ),
    ],
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="A file or a folder of images, or sample:SEED for the model's own sample.",
        ),
    ],
    space: Annotated[
        str | None,
        typer.Option(
            metavar="w+, w or z",
            help="Search a style for each layer, one style, or a latent; by default w+ where the "
            "model has styles, else z.",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Number of steps.")] = STEPS,
    restarts: Annotated[
        int,
        typer.Option(min=1, help="Number of searches for each image, of which the best is kept."),
    ] = RESTARTS,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the starts and of the noise.")] = 0,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="NAME or NUMBER", help="Class of the images; by default it is found too."
        ),
    ] = None,
    movie: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the movie of the search to this .webp, .gif or .mp4; by default to "
            f"{MOVIE_FILE} in the folder.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to.")] = Path(
        "projection"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace a projection there.")] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Find the latent or the styles from which a model makes an image, or nearly so.

    The folder gets the image beside what was found, a movie of the search, and what was found as
    numbers.
    """
    from ganzoo.media.movies import check_movie_path

    out = user_path(out)
    check_folder(out, force)
    movie = out / MOVIE_FILE if movie is None else user_path(movie)
    check_movie_path(movie)
    refuse_existing(movie, force, "--movie")
    from ganzoo.compute.devices import resolve_device
    from ganzoo.display.terminal import ProgressBar
    from ganzoo.models.model import load
    from ganzoo.progress import send_progress_to
    from ganzoo_zoo.apps.project.files import write_projection

    loaded = load(model)
    if label is not None and not loaded.conditional:
        raise InputError("this model has no classes to choose from: drop --label")
    loaded.to(resolve_device(device))
    with ProgressBar() as progress, send_progress_to(progress):
        done = write_projection(loaded, image, out, movie, space, steps, restarts, seed, label)
    for line in done.notes:
        note(line)
    if as_json:
        print_json({**done.about, "files": [str(file) for file in done.files]})
        return
    print(done.files[0])
    for row in done.about["images"]:
        note(f"{row['name']}: mean difference of pixels {row['error']:.4f}, where 1 is the largest")
