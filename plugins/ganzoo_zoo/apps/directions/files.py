"""Sheets of directions, and the files that keep them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ganzoo.arguments import require_int, require_positive
from ganzoo.errors import InputError
from ganzoo.media.images import grid, provenance, save_png
from ganzoo.progress import report_progress
from ganzoo.storage.files import write_text
from ganzoo.storage.json_files import read_json, to_json
from ganzoo.storage.tensors import load_tensors, save_tensors
from ganzoo_zoo.apps.directions.written import (
    JSON_FILE,
    OVERVIEW_FILE,
    STEPS,
    TENSORS_FILE,
    WrittenDirections,
    sheet_name,
)
from ganzoo_zoo.apps.shared.directions import (
    Directions,
    draw_points,
    find_directions,
    move,
    start_points,
)

if TYPE_CHECKING:
    from ganzoo.models.model import Model


def write_files(
    model: Model,
    out: Path,
    count: int,
    *,
    method: str,
    layers: Sequence[int] | None,
    samples: int,
    strength: float,
    seed: int,
    label: str | None,
    use: Path | None,
) -> WrittenDirections:
    """Find directions and write them; see :func:`ganzoo_zoo.apps.directions.write_directions`."""
    spec = model.config.spec
    if not spec.is_image:
        raise InputError(f"sheets show images, and this model's samples are {spec.kind}")
    count = require_int("the number of directions", count, 1)
    samples = require_int("the number of samples", samples, 1)
    steps = torch.linspace(-1, 1, STEPS) * require_positive("the strength", strength)
    number = _find_class(model, label)
    if use is None:
        found = find_directions(model, count, method, layers=layers, seed=seed, label=number)
    else:
        found = read_directions(use, model)
    about = {
        "model": model.title,
        "method": found.method,
        "space": found.space,
        "layers": list(found.layers),
        "seed": seed,
        "label": label,
        "steps": [round(step, 6) + 0.0 for step in steps.tolist()],
        "directions": [
            {"file": sheet_name(i), "strength": strength, "deviation": deviation}
            for i, (strength, deviation) in enumerate(
                zip(found.strengths.tolist(), found.deviations.tolist(), strict=True)
            )
        ],
    }
    out.mkdir(parents=True, exist_ok=True)
    files = _write_sheets(model, found, out, samples, steps, seed, number)
    save_tensors(
        out / TENSORS_FILE,
        {name: getattr(found, name) for name in ("vectors", "deviations", "strengths")},
    )
    write_text(out / JSON_FILE, to_json(about))
    return WrittenDirections(out, [*files, out / TENSORS_FILE, out / JSON_FILE], about)


def _find_class(model: Model, label: str | None) -> int | None:
    if label is None:
        return None
    if not model.conditional:
        raise InputError("this model has no classes to choose from: drop --label")
    return model.config.spec.class_index(label)


def _write_sheets(
    model: Model,
    directions: Directions,
    out: Path,
    samples: int,
    steps: Tensor,
    seed: int,
    label: int | None,
) -> list[Path]:
    inputs = model.inputs.draw(samples, seed, label)
    start = start_points(model, directions, inputs).repeat_interleave(len(steps), 0)
    labels = None if inputs.labels is None else inputs.labels.repeat_interleave(len(steps))
    files, rows = [], []
    for number in range(len(directions)):
        along = torch.zeros(len(steps), number + 1)
        along[:, number] = steps
        points = move(model, directions, start, along.repeat(samples, 1))
        sheet = draw_points(model, directions, points, labels)
        rows.append(sheet[: len(steps)])
        texts = provenance(model.title, seed) | {"ganzoo:direction": str(number)}
        files.append(out / sheet_name(number))
        save_png(grid(sheet, len(steps)), files[-1], texts)
        report_progress("drawing directions", number + 1, len(directions))
    overview = grid(torch.cat(rows), len(steps))
    save_png(overview, out / OVERVIEW_FILE, provenance(model.title, seed))
    return [*files, out / OVERVIEW_FILE]


def read_directions(folder: Path, model: Model) -> Directions:
    """Read the directions that a folder keeps.

    Args:
        folder: What :func:`ganzoo_zoo.apps.directions.write_directions` wrote.
        model: The model to move samples of.

    Raises:
        InputError: there are none, or they do not fit the model.
    """
    about, tensors = read_json(folder / JSON_FILE), load_tensors(folder / TENSORS_FILE)
    try:
        found = Directions(about["method"], about["space"], **tensors, layers=(*about["layers"],))
        fits = _fits(found, model)
    except (TypeError, LookupError):
        raise InputError(f"{folder} does not hold directions that ganzoo has written") from None
    if not fits:
        raise InputError(f"the directions in {folder} are of another model")
    return found


def _fits(directions: Directions, model: Model) -> bool:
    """Tell whether directions have the shapes of those of a model."""
    shape: Any = directions.vectors.shape
    whole = len(shape) == 2 and all(
        each.shape == shape[:1] for each in (directions.deviations, directions.strengths)
    )
    if directions.space == "z":
        return whole and shape[1] == sum(part.size for part in model.inputs.codes)
    styles = model.styles
    if styles is None or not set(directions.layers) <= set(styles.affine_layers):
        return False
    return directions.space == "w" and whole and shape[1] == len(styles.mean)
