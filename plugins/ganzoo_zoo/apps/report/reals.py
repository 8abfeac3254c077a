"""Real samples in the layout of a run's sample pictures, to look at beside the fakes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ganzoo.errors import GanzooError
from ganzoo.evaluation.nearest import even_indices
from ganzoo.media import images
from ganzoo.models.inputs import cycle_classes
from ganzoo.training.inputs import PICTURE_POINTS
from ganzoo_zoo.apps.report.pictures import ENCODINGS, data_uri, encode_webp

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.models.model import Model
    from ganzoo.protocols.dataset import DataSpec, Samples

LARGEST = 300_000
"""Bytes of a picture above which it is encoded with losses."""


@dataclass(frozen=True)
class Reals:
    """A picture of training samples."""

    uri: str
    width: int
    height: int
    shown: int
    total: int
    by_class: bool
    """Whether each column has the class of the fakes' column."""
    framed: bool
    """Whether it is a plot with a frame of its own, which may differ from the fakes'."""


def draw_reals(model: Model, samples: Samples, layout: str) -> Reals | None:
    """Draw as many training samples as a sample picture has fakes, evenly chosen.

    Args:
        model: The run's model.
        samples: Its training data.
        layout: Layout of the run's pictures, see :func:`ganzoo.media.images.describe_layout`.

    Returns:
        The picture; None for models that translate, whose pictures have their sources, and for an
        unknown layout.

    Raises:
        GanzooError: a class of the model has no training sample.
    """
    count, columns = _read_layout(layout)
    if not model.architecture.takes_latents or not count:
        return None
    spec = samples.spec
    by_class = model.conditional and spec.is_bounded
    chosen = even_indices(len(samples), count)
    if by_class:
        assert samples.labels is not None
        assert spec.classes is not None
        chosen = _choose_by_class(samples.labels, cycle_classes(count, spec.classes), spec)
    picture = images.render_samples(samples.stored[chosen].clone(), spec.modes, columns)
    data = images.to_png(picture, {})
    kind = "png"
    if len(data) > LARGEST:
        data, kind = _encode_smaller(picture, data)
    return Reals(
        data_uri(data, kind),
        picture.shape[2],
        picture.shape[1],
        len(chosen),
        len(samples),
        by_class and class_columns(spec, layout) != (),
        layout == images.PLOT and spec.modes is None,
    )


def _encode_smaller(picture: Tensor, png: bytes) -> tuple[bytes, str]:
    """Return the bytes of a picture and their format, with losses where WebP can be written."""
    from PIL import features

    data, kind = png, "png"
    for way in ENCODINGS if features.check("webp") else ():
        data, kind = encode_webp(images.to_pil(picture), way), "webp"
        if len(data) <= LARGEST:
            break
    return data, kind


def class_columns(spec: DataSpec, layout: str) -> tuple[str, ...]:
    """Return the names of the classes above the columns of a conditional model's pictures.

    Args:
        spec: Kind of the samples.
        layout: Layout of the picture.

    Returns:
        A name for each column; empty if the columns are no classes.
    """
    _, columns = _read_layout(layout)
    classes = spec.classes
    if classes is None or classes > images.MAX_COLUMNS or columns != images.choose_columns(classes):
        return ()
    names = spec.class_names or tuple(map(str, range(classes)))
    return tuple(names[column % classes] for column in range(columns))


def _read_layout(layout: str) -> tuple[int, int]:
    """Return the number of samples of a picture, 0 if it is unknown, and its columns."""
    if layout == images.PLOT:
        return PICTURE_POINTS, images.COLUMNS
    found = re.fullmatch(r"(\d{1,3}) x (\d{1,3})", layout)
    return (int(found[1]) * int(found[2]), int(found[1])) if found else (0, images.COLUMNS)


def _choose_by_class(labels: Tensor, wanted: Tensor, spec: DataSpec) -> Tensor:
    """Choose a sample of each wanted class, evenly among those of the class."""
    chosen = torch.empty(len(wanted), dtype=torch.int64)
    for label in wanted.unique().tolist():
        members = torch.where(labels == label)[0]
        places = torch.where(wanted == label)[0]
        if not len(members):
            name = spec.class_names[label] if spec.class_names else label
            raise GanzooError(f"class {name} has no training sample")
        chosen[places] = members[torch.arange(len(places)) * len(members) // len(places)]
    return chosen
