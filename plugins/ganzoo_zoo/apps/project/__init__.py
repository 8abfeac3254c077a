"""Projection: the latent or the styles from which a model makes a given image, or nearly so.

``ganzoo project`` and :func:`project` search them by gradient descent.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo import Model
    from ganzoo.runs.folder import Run

STEPS = 500
"""Default number of steps."""
RESTARTS = 4
"""Default number of searches for each image, of which the best is kept."""
SPACES = ("w+", "w", "z")
FOUND_FILE = "found.safetensors"
JSON_FILE = "projection.json"
PICTURE_FILE = "projection.png"
MOVIE_FILE = "search.webp"


@dataclass(frozen=True)
class Projection:
    """What was found of N images."""

    space: str
    """``w+``, ``w`` or ``z``."""
    found: Tensor
    """Styles ``(N, L, W)`` in ``w+`` and in ``w``, latents ``(N, D)`` in ``z``."""
    labels: Tensor | None
    """Class of each image ``(N,)`` in ``z``; None without classes, or in ``w``."""
    targets: Tensor
    """The images as the model's samples are stored, uint8 ``(N, C, H, W)``."""
    images: Tensor
    """What the model makes of what was found, uint8 ``(N, C, H, W)``."""
    errors: tuple[float, ...]
    """Mean absolute difference of the numbers of both images, which go from 0 to 1."""
    path: Tensor
    """What was found after some of the steps, ``(F, N, ...)``, for a movie."""


def project(
    model: Model | Run | str | Path | None,
    images: Tensor | str | Path,
    space: str | None = None,
    *,
    steps: int = STEPS,
    restarts: int = RESTARTS,
    seed: int = 0,
    label: int | None = None,
    device: str = "auto",
) -> Projection:
    """Find the latents or styles whose samples are some images.

    From the mean style and the best of many drawn ones, Adam follows the gradient of the mean
    squared difference of pixels at several scales (Karras et al. 2020, arXiv:1912.04958,
    appendix D). The noise inputs of a generator stay as they are.

    Args:
        model: A model, or anything that :func:`ganzoo.load` accepts.
        images: Floats ``(N, C, H, W)`` in ``[-1, 1]`` of the shape of the model's samples; or a
            file or a folder of images, or ``sample:SEED`` for the model's own sample.
        space: ``w+`` for a style of each layer, ``w`` for one style, ``z`` for a latent; None for
            ``w+`` where the model has styles, else ``z``.
        steps: Number of steps.
        restarts: Number of searches for each image, of which the best is kept.
        seed: Seed of the drawn latents and of the noise on the way.
        label: Class of the images; None also finds the class.
        device: Device to compute on.

    Raises:
        InputError: the model does not start from noise, makes no images or has no styles, or the
            images cannot be read or do not fit it.
    """
    from ganzoo.compute.devices import resolve_device
    from ganzoo.models.model import Model, load
    from ganzoo_zoo.apps.project.search import Search, search
    from ganzoo_zoo.apps.project.targets import choose_space, read_targets

    loaded = model if isinstance(model, Model) else load(model)
    space = choose_space(loaded, space)
    loaded.to(resolve_device(device))
    targets = read_targets(loaded, images, label).images
    return search(loaded, targets, Search(space, steps, restarts, seed, label))


def check_folder(out: Path, replace: bool) -> None:
    """Check that a projection can be written to a folder, before anything is computed.

    Raises:
        InputError: it is a file, or has a projection and may not be replaced.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: give a folder")
    if (out / JSON_FILE).exists() and not replace:
        raise InputError(f"{out} has a projection already; choose another --out, or add --force")


@dataclass(frozen=True)
class WrittenProjection:
    """The files of a projection, and what they are."""

    files: list[Path]
    about: dict[str, Any]
    """What ``projection.json`` holds."""
    notes: tuple[str, ...]
    """How the images were read, a line each."""
