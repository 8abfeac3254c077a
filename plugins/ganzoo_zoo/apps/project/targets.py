"""Images to project, at the size and with the channels of a model's samples."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ganzoo import DataSpec
from ganzoo.errors import InputError
from ganzoo.media.images import to_uint8
from ganzoo.registry import DATASET
from ganzoo.resolve import choose_data
from ganzoo.storage.paths import user_path
from ganzoo_zoo.apps.project.projection import SPACES

if TYPE_CHECKING:
    from ganzoo.models.model import Model

OWN_SAMPLE = re.compile(r"sample:(\d{1,18})")
"""A model's own sample, by its seed."""
MOST_IMAGES = 64
"""The most images of a folder that are projected."""
KINDS = {1: "grey", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class Targets:
    """Images to project."""

    images: Tensor
    """uint8 ``(N, C, H, W)``."""
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """How they were read, a line each."""


def choose_space(model: Model, space: str | None) -> str:
    """Return the space to search in.

    Raises:
        InputError: it is unknown, or the model does not have it or makes no images.
    """
    if not model.architecture.takes_latents:
        raise InputError("this model makes samples from images, and has no latents to find")
    if not model.config.spec.is_image:
        kind = model.config.spec.kind
        raise InputError(f"only images are projected, and this model's samples are {kind}")
    has_styles = model.styles is not None
    space = space or ("w+" if has_styles else "z")
    if space not in SPACES:
        raise InputError(f"--space {space}: choose {', '.join(SPACES)}")
    if space != "z" and not has_styles:
        raise InputError(f"--space {space}: this model has no styles; use --space z")
    if space == "z" and not model.inputs.codes:
        raise InputError(
            "this model draws latents of its own, and does not say which of their numbers can move"
        )
    return space


def read_targets(model: Model, images: Tensor | str | Path, label: int | None = None) -> Targets:
    """Read images as a model's samples are, or draw one of these.

    Images are cropped around their centre to the shape of the samples and resized, as a folder of
    training images is.

    Args:
        model: The model.
        images: As for :func:`ganzoo_zoo.apps.project.project`.
        label: Class of a sample to draw.

    Raises:
        InputError: there are no images, too many or none that can be read; or a tensor is not of
            the samples' shape.
    """
    if isinstance(images, Tensor):
        return _from_tensor(model, images)
    if own := OWN_SAMPLE.fullmatch(str(images)):
        inputs = model.inputs.draw(1, int(own[1]), label)
        return Targets(model.generate(inputs, stored=True), (str(images),))
    path = user_path(images)
    if not path.exists():
        raise InputError(f"there is no image {path}; give a file, a folder or sample:SEED")
    spec = DataSpec(shape=model.config.spec.shape)
    if path.is_dir():
        return _read_folder(path, spec)
    with tempfile.TemporaryDirectory() as folder:
        # Reading it as a dataset handles broken files of every kind.
        shutil.copyfile(path, Path(folder) / f"image{path.suffix.lower()}")
        try:
            found = _read_folder(Path(folder), spec)
        except InputError as error:
            reason = str(error).replace(folder, str(path))
            raise InputError(f"{path} cannot be read as an image: {reason}") from None
    return Targets(found.images, (path.name,), found.notes)


def _from_tensor(model: Model, images: Tensor) -> Targets:
    shape = model.config.spec.shape
    if tuple(images.shape[1:]) != shape or not len(images):
        raise InputError(
            f"this model makes images of {' x '.join(map(str, shape))}: give (N, "
            f"{', '.join(map(str, shape))}), not {tuple(images.shape)}"
        )
    names = tuple(f"image {number}" for number in range(len(images)))
    return Targets(to_uint8(images.detach().cpu()), names)


def _read_folder(folder: Path, spec: DataSpec) -> Targets:
    samples = choose_data(str(folder), {}, like=spec).build(DATASET).read()
    if len(samples) > MOST_IMAGES:
        raise InputError(f"{folder} holds {len(samples):,} images: give {MOST_IMAGES} at most")
    height, width = spec.shape[1:]
    channels = spec.image_channels
    kind = KINDS.get(channels, f"images of {channels} channels")
    how = f"cropped around the centre to the shape of {height} x {width}, resized, as {kind}"
    images = samples.select(torch.arange(len(samples)))
    names = tuple(samples.names or (str(number) for number in range(len(samples))))
    return Targets(images, names, (*samples.describe_skipped(), how))
