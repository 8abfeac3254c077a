"""Packaging a model: the folder that a distribution ships under the model's name."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ganzoo.arguments import require_text
from ganzoo.cards.card import build_card
from ganzoo.errors import InputError
from ganzoo.models.find import find_model
from ganzoo.models.folder import ModelFolder, write_manifest
from ganzoo.models.model import Model, load_folder
from ganzoo.models.sample_record import write_sample_record
from ganzoo.publishing.publish import require_permission
from ganzoo.publishing.staging import draw_curve, find_training_facts
from ganzoo.runs.file_names import (
    CARD_FILE,
    CONFIG_FILE,
    CURVE_FILE,
    DISCRIMINATOR_FILE,
    GENERATOR_FILE,
    MANIFEST_FILE,
    ORIGIN_FILE,
    PICTURE_FILE,
)
from ganzoo.runs.scores import ScoreRow, write_scores
from ganzoo.storage.files import atomic_folder, atomic_path, write_text
from ganzoo.storage.json_files import to_json
from ganzoo.storage.paths import strip_folders
from ganzoo.storage.tensors import save_tensors

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.runs.folder import Run

TRIED = 256
"""Samples that are drawn with weights of both precisions."""
GREY_LEVEL = 2 / 255
"""The difference between neighbouring grey levels of images in ``[-1, 1]``."""


@dataclass(frozen=True)
class PackagedModel:
    """What became of a model that was packaged."""

    folder: Path
    in_half: bool
    """Whether its weights are in half precision."""
    difference: float | None
    """The largest difference, in grey levels, that half precision makes in a sample; None if it was
    not tried."""


def package_model(
    model: Run | str | Path | None,
    folder: Path,
    name: str,
    judge: Callable[[Model], Iterable[ScoreRow]],
    *,
    licence: str | None = None,
    package: str | None = None,
    seed: int = 0,
    keep_discriminator: bool = False,
    permitted: bool = False,
) -> PackagedModel:
    """Write the folder of a model that a package ships under a name.

    Weights are stored in half precision if that changes no sample of a set by a grey level. What is
    shipped is what is judged: the picture, the hash of its samples and the scores are those of the
    weights as they are stored. A model that makes samples from images keeps its precision and the
    picture of its run, as these images are not shipped.

    Args:
        model: A run, a model folder or a model of the Hub; the newest run if None.
        folder: The folder to write; an earlier model folder there is replaced.
        name: The name by which :func:`ganzoo.load` will find it.
        judge: Scores the packaged model. The first score is the one that ``ganzoo list`` shows.
        licence: Identifier of its licence, as the Hub knows it.
        package: The distribution that ships it, for its card.
        seed: Seed of the samples in its picture.
        keep_discriminator: Whether to ship the discriminator, so that training can go on from both
            networks.
        permitted: As for :func:`ganzoo.publish`.

    Raises:
        InputError: there is no such model, it must not be passed on, or another folder is there.
    """
    name, source = require_text("the model's name", name), find_model(model)
    if not permitted:
        require_permission(source)
    if folder.exists() and not (folder / MANIFEST_FILE).is_file():
        raise InputError(f"{folder} exists already, and is not a model: choose another folder")
    loaded = load_folder(source)
    config = source.config().without_places()
    with atomic_folder(folder) as draft:
        write_text(draft / CONFIG_FILE, to_json(config.model_dump(mode="json")))
        _copy_files(source, draft, keep_discriminator)
        packaged, in_half, difference = _write_weights(loaded, draft, name, seed)
        samples = None
        if loaded.architecture.takes_latents:
            samples = write_sample_record(packaged, draft, seed)
        else:
            _copy_file(source, draft, PICTURE_FILE)
        rows = [
            row.model_copy(update={"options": strip_folders(row.options)})
            for row in judge(packaged)
        ]
        if rows:
            write_scores(draft, rows)
        card = build_card(
            config,
            rows,
            reference=name,
            license=licence,
            curve=CURVE_FILE if (draft / CURVE_FILE).exists() else None,
            origin=source.imported_from(),
            has_discriminator=keep_discriminator,
            package=package,
            facts=find_training_facts(source),
            samples=samples,
        )
        write_text(draft / CARD_FILE, card)
        write_manifest(draft)
    return PackagedModel(folder, in_half, difference)


def _copy_files(source: ModelFolder, draft: Path, keep_discriminator: bool) -> None:
    """Copy what is shipped as it is, and draw the training curve if the model is of a run."""
    if keep_discriminator:
        _copy_file(source, draft, DISCRIMINATOR_FILE)
    if source.has(ORIGIN_FILE):
        _copy_file(source, draft, ORIGIN_FILE)
    if (curve := draw_curve(source)) is not None:
        with atomic_path(draft / CURVE_FILE) as path:
            path.write_bytes(curve)


def _copy_file(source: ModelFolder, draft: Path, name: str) -> None:
    with atomic_path(draft / name) as path:
        shutil.copyfile(source.own_file(name), path)


def _write_weights(
    model: Model, draft: Path, name: str, seed: int
) -> tuple[Model, bool, float | None]:
    """Write the weights of a model, in half precision if no sample differs by a grey level.

    Returns:
        The model as it is shipped, whether it is in half precision, and the largest difference.
    """
    difference = None
    if model.architecture.takes_latents and model.config.spec.is_image:
        half = {key: _halve(each) for key, each in model.generator.state_dict().items()}
        shipped = _write_and_load(half, draft, name)
        inputs = model.inputs.draw(TRIED, seed)
        before, after = (each.generate(inputs).clamp(-1, 1) for each in (model, shipped))
        difference = float((after - before).abs().max()) / GREY_LEVEL
        if difference < 1:
            return shipped, True, difference
    shipped = _write_and_load(model.generator.state_dict(), draft, name)
    return shipped, False, difference


def _halve(tensor: Tensor) -> Tensor:
    """Return a tensor in half precision, or itself if a number is too large for it."""
    half = tensor.half() if tensor.dtype == torch.float32 else tensor
    return half if torch.equal(half.isfinite(), tensor.isfinite()) else tensor


def _write_and_load(weights: Mapping[str, Tensor], draft: Path, name: str) -> Model:
    save_tensors(draft / GENERATOR_FILE, weights)
    write_manifest(draft)
    return load_folder(ModelFolder(draft, name))
