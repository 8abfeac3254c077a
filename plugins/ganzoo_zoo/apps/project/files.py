"""The files of a projection: what was found, a picture of it, and a movie of the search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ganzoo.media.images import grid, provenance, save_png, to_pil
from ganzoo.media.movies import write_movie
from ganzoo.storage.files import write_text
from ganzoo.storage.json_files import to_json
from ganzoo.storage.tensors import save_tensors
from ganzoo_zoo.apps.project.projection import (
    FOUND_FILE,
    JSON_FILE,
    PICTURE_FILE,
    WrittenProjection,
)
from ganzoo_zoo.apps.project.search import Search, draw, search
from ganzoo_zoo.apps.project.targets import choose_space, read_targets

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ganzoo.models.model import Model
    from ganzoo_zoo.apps.project.projection import Projection

FRAME, LAST = 80, 2000
"""Milliseconds for which a frame is shown, and the last one."""


def write_projection(
    model: Model,
    images: str,
    out: Path,
    movie: Path,
    space: str | None,
    steps: int,
    restarts: int,
    seed: int,
    label: str | None,
) -> WrittenProjection:
    """Project images, and write what was found.

    Args:
        model: The model, on the device to compute on.
        images: As for :func:`ganzoo_zoo.apps.project.project`.
        out: The folder.
        movie: The file of the movie.
        space: As there, and so are ``steps``, ``restarts`` and ``seed``.
        steps: See there.
        restarts: See there.
        seed: See there.
        label: Name or number of the class.
    """
    chosen = choose_space(model, space)
    number = None if label is None else model.config.spec.class_index(label)
    targets = read_targets(model, images, number)
    found = search(model, targets.images, Search(chosen, steps, restarts, seed, number))
    about = {
        "model": model.title,
        "space": found.space,
        "steps": steps,
        "restarts": restarts,
        "seed": seed,
        "images": _describe_images(model, targets.names, found),
    }
    out.mkdir(parents=True, exist_ok=True)
    texts = provenance(model.title, seed) | {"ganzoo:target": ", ".join(targets.names)}
    save_png(_side_by_side(found.targets, found.images), out / PICTURE_FILE, texts)
    movie.parent.mkdir(parents=True, exist_ok=True)
    durations = [FRAME] * (len(found.path) - 1) + [LAST]
    write_movie(movie, _frames(model, found), durations, texts)
    labels = {} if found.labels is None else {"labels": found.labels}
    save_tensors(out / FOUND_FILE, {"found": found.found, **labels})
    write_text(out / JSON_FILE, to_json(about))
    files = [out / PICTURE_FILE, movie, out / FOUND_FILE, out / JSON_FILE]
    return WrittenProjection(files, about, targets.notes)


def _describe_images(model: Model, names: Sequence[str], found: Projection) -> list[dict[str, Any]]:
    """Return the name and the error of each image, and its class if it was searched."""
    rows: list[dict[str, Any]] = [
        {"name": name, "error": error} for name, error in zip(names, found.errors, strict=True)
    ]
    if found.labels is not None:
        classes = model.config.spec.class_names
        for row, label in zip(rows, found.labels.tolist(), strict=True):
            row["label"] = classes[label] if classes else str(label)
    return rows


def _side_by_side(targets: Tensor, images: Tensor) -> Tensor:
    """Lay out each target with its image to the right, a pair in each row."""
    return grid(torch.stack([targets, images], 1).flatten(0, 1), 2)


def _frames(model: Model, found: Projection) -> Iterator[Image]:
    for points in found.path:
        images = draw(model, found.space, points, found.labels)
        yield to_pil(_side_by_side(found.targets, images))
