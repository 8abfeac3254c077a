"""The samples that a model is known by: those of its picture, with their seed and their hash."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from ganzoo.component import Options, explain_error
from ganzoo.errors import InputError
from ganzoo.media.images import LAYOUT, choose_columns, describe_layout, provenance, save_png
from ganzoo.models.sample_files import DEFAULT_COUNT, render_model_samples
from ganzoo.runs.file_names import PICTURE_FILE, SAMPLES_FILE
from ganzoo.storage.files import flush, write_text
from ganzoo.storage.json_files import read_json, to_json

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.models.folder import ModelFolder
    from ganzoo.models.model import Model

POINTS = 2500
"""Samples in the picture of a model of vectors."""


class SampleRecord(Options):
    """The samples of a model's picture: what ``ganzoo sample`` draws with this seed and count."""

    seed: int = Field(ge=0, lt=2**63)
    count: int = Field(ge=1, le=1 << 16)
    sha256: str = Field(
        pattern="^[0-9a-f]{64}$",
        description="Hash of the samples as they are stored: uint8 images, else float32.",
    )

    def draw(self, model: Model) -> Tensor:
        """Draw the samples, as they are stored."""
        return draw_stored(model, self.count, self.seed)


def draw_stored(model: Model, count: int, seed: int) -> Tensor:
    """Draw samples of a seed as ``ganzoo sample`` does, uint8 images, else float32.

    Raises:
        InputError: the model makes samples from images.
    """
    return model.generate(model.inputs.draw(count, seed), stored=True)


def write_sample_record(model: Model, folder: Path, seed: int) -> SampleRecord:
    """Draw samples of a model, write their picture and their record to a folder, and return it."""
    spec = model.config.spec
    columns = choose_columns(spec.classes if model.conditional else None)
    count = DEFAULT_COUNT // columns * columns if spec.is_bounded else POINTS
    stored = draw_stored(model, count, seed)
    record = SampleRecord(seed=seed, count=count, sha256=hash_samples(stored))
    texts = provenance(model.title, seed) | {LAYOUT: describe_layout(stored, columns)}
    save_png(render_model_samples(model, stored, None), folder / PICTURE_FILE, texts)
    flush(folder / PICTURE_FILE)
    write_text(folder / SAMPLES_FILE, to_json(record.model_dump(mode="json")))
    return record


def read_sample_record(folder: ModelFolder) -> SampleRecord | None:
    """Read the record of the samples of a model's picture; None if it has none.

    Raises:
        InputError: the file is damaged.
    """
    if not folder.has(SAMPLES_FILE):
        return None
    path = folder.file(SAMPLES_FILE)
    try:
        return SampleRecord.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError(f"{path} tells of no samples: {explain_error(error)}") from None


def hash_samples(stored: Tensor) -> str:
    """Return the SHA-256 of stored samples, in hexadecimal."""
    return hashlib.sha256(stored.contiguous().numpy().tobytes()).hexdigest()
