"""Directions in which the samples of a model change most, as pictures and as numbers.

``ganzoo directions`` and :func:`write_directions` find them and write a sheet of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo_zoo.apps.directions.written import (
    COUNT,
    SAMPLES,
    STRENGTH,
    WrittenDirections,
    check_folder,
)

if TYPE_CHECKING:
    from ganzoo.models.model import Model
    from ganzoo.runs.folder import Run


def write_directions(
    model: Model | Run | str | Path | None,
    out: str | Path,
    count: int = COUNT,
    *,
    method: str = "auto",
    layers: Sequence[int] | None = None,
    samples: int = SAMPLES,
    strength: float = STRENGTH,
    seed: int = 0,
    label: str | None = None,
    use: str | Path | None = None,
    device: str = "auto",
    replace: bool = False,
) -> WrittenDirections:
    """Find directions of a model, or take some that were found, and write a sheet of each.

    In a sheet each row is a sample, which stands in the middle; to its right it moves along the
    direction, and to its left against it. ``overview.png`` shows the first sample along each
    direction, a row for each. ``directions.safetensors`` and ``directions.json`` hold the
    directions; :func:`ganzoo_zoo.apps.directions.files.read_directions` reads them.

    Args:
        model: A model, or anything that :func:`ganzoo.load` accepts.
        out: The folder.
        count: Number of directions, at most.
        method: As for :func:`ganzoo_zoo.apps.shared.directions.find_directions`.
        layers: As there.
        samples: Number of samples in a sheet.
        strength: Distance of the outer columns from the samples, in standard deviations.
        seed: Seed of the samples, and of what the directions are found by.
        label: Name or number of the class of all samples.
        use: A folder of directions that were written before, to move other samples along.
        device: Device to compute on.
        replace: Whether to replace directions in the folder.

    Raises:
        InputError: there is something in the way, the model has no such directions, or its samples
            are no images.
    """
    out = Path(out)
    check_folder(out, replace)
    from ganzoo.compute.devices import resolve_device
    from ganzoo.models.model import Model, load
    from ganzoo_zoo.apps.directions.files import write_files

    loaded = model if isinstance(model, Model) else load(model)
    return write_files(
        loaded.to(resolve_device(device)),
        out,
        count,
        method=method,
        layers=layers,
        samples=samples,
        strength=strength,
        seed=seed,
        label=label,
        use=None if use is None else Path(use),
    )
