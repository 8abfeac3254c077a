"""Writes the model folder of a run."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.config import ModelConfig
from ganzoo.runs.file_names import (
    CARD_FILE,
    CONFIG_FILE,
    DISCRIMINATOR_FILE,
    GENERATOR_FILE,
    PICTURE_FILE,
)
from ganzoo.runs.scores import ScoreRow, write_scores
from ganzoo.storage.files import atomic_folder, write_text
from ganzoo.storage.json_files import to_json
from ganzoo.storage.tensors import save_tensors

if TYPE_CHECKING:
    from torch import nn
from ganzoo.models.folder import write_manifest


def write_model(
    folder: Path,
    config: ModelConfig,
    generator: nn.Module,
    discriminator: nn.Module,
    picture: Path,
    scores: Iterable[ScoreRow] = (),
) -> None:
    """Write a model folder, whole or not at all; one that was there is replaced."""
    from ganzoo.cards.card import (
        build_card,
    )  # and not above: it reads YAML, which loading has no use for

    with atomic_folder(folder) as beside:
        save_tensors(beside / GENERATOR_FILE, generator.state_dict())
        save_tensors(beside / DISCRIMINATOR_FILE, discriminator.state_dict())
        write_text(beside / CONFIG_FILE, to_json(config.model_dump(mode="json")))
        rows = list(scores)
        write_text(beside / CARD_FILE, build_card(config, rows))
        shutil.copyfile(picture, beside / PICTURE_FILE)
        if rows:
            write_scores(beside, rows)
        write_manifest(beside)
