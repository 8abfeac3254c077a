"""Writing the model folder of a run."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.config import ModelConfig, Origin, RunConfig, read_config
from ganzoo.errors import InputError
from ganzoo.models.folder import write_manifest
from ganzoo.runs.file_names import (
    CARD_FILE,
    CONFIG_FILE,
    DISCRIMINATOR_FILE,
    GENERATOR_FILE,
    ORIGIN_FILE,
    PICTURE_FILE,
)
from ganzoo.runs.scores import ScoreRow, read_scores, write_scores
from ganzoo.storage.files import atomic_folder, atomic_path, flush, regular_size, write_text
from ganzoo.storage.json_files import to_json
from ganzoo.storage.tensors import save_tensors

if TYPE_CHECKING:
    from torch import nn


def write_model(
    folder: Path,
    config: ModelConfig,
    generator: nn.Module,
    discriminator: nn.Module | None,
    picture: Path,
    scores: Iterable[ScoreRow] = (),
    origin: Origin | None = None,
) -> None:
    """Write a model folder atomically, and replace an existing one.

    Args:
        folder: The folder to write.
        config: The model's configuration.
        generator: The averaged generator.
        discriminator: The discriminator; None for an imported model that has none.
        picture: PNG of samples, which is copied.
        scores: The model's scores.
        origin: Where its weights come from, if they were imported.
    """
    from ganzoo.cards.card import build_card  # here, because it imports a YAML parser

    with atomic_folder(folder) as draft:
        save_tensors(draft / GENERATOR_FILE, generator.state_dict())
        if discriminator is not None:
            save_tensors(draft / DISCRIMINATOR_FILE, discriminator.state_dict())
        if origin is not None:
            write_text(draft / ORIGIN_FILE, to_json(origin.model_dump(mode="json")))
        write_text(draft / CONFIG_FILE, to_json(config.model_dump(mode="json")))
        rows = list(scores)
        card = build_card(config, rows, origin=origin, has_discriminator=discriminator is not None)
        write_text(draft / CARD_FILE, card)
        shutil.copyfile(picture, draft / PICTURE_FILE)
        flush(draft / PICTURE_FILE)
        if rows:
            write_scores(draft, rows)
        write_manifest(draft)


def change_schedules(folder: Path, config: RunConfig) -> None:
    """Give a run's model the schedules that the run has now, as if they had been known before.

    Args:
        folder: The model's folder; nothing is done if there is none, or its schedules are the same.
        config: The configuration of the run.
    """
    from ganzoo.cards.card import build_card  # as above

    try:
        before = read_config(folder / CONFIG_FILE, ModelConfig)
    except InputError:  # missing, or damaged, which whoever loads it says
        return
    if before.schedules == config.schedules:
        return
    changed = before.model_copy(update={"schedules": config.schedules})
    with atomic_folder(folder) as draft:
        for file in sorted(folder.iterdir()):
            regular_size(file)
            with atomic_path(draft / file.name) as path:
                shutil.copyfile(file, path)
        write_text(draft / CONFIG_FILE, to_json(changed.model_dump(mode="json")))
        has_discriminator = (folder / DISCRIMINATOR_FILE).exists()
        card = build_card(changed, read_scores(folder), has_discriminator=has_discriminator)
        write_text(draft / CARD_FILE, card)
        write_manifest(draft)
