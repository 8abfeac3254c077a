"""Checks of models that a package ships under a name."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import re
import unittest
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ganzoo import registry
from ganzoo.cards.card import foreign_packages, read_licence
from ganzoo.config import ComponentChoice, RunConfig
from ganzoo.errors import InputError, PluginError
from ganzoo.media.images import LAYOUT, PLOT, load_png, split_picture
from ganzoo.models.folder import ModelFolder
from ganzoo.models.model import load_folder
from ganzoo.models.named import NamedFolder
from ganzoo.models.sample_files import render_model_samples
from ganzoo.models.sample_record import SampleRecord, hash_samples, read_sample_record
from ganzoo.registry import EVALUATOR
from ganzoo.runs.file_names import (
    CARD_FILE,
    CONFIG_FILE,
    GENERATOR_FILE,
    MANIFEST_FILE,
    PICTURE_FILE,
    PLACE_FILE,
    SAMPLES_FILE,
    SCORES_FILE,
)
from ganzoo.testing.common import require

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.models.model import Model
    from ganzoo.runs.scores import ScoreRow

NEEDED = (GENERATOR_FILE, CONFIG_FILE, CARD_FILE, PICTURE_FILE)
"""Files that every shipped model has."""
MOVED = 0.01
"""Share of the pixels of a plot that may differ, as a point may fall on the next one."""
DEVIATIONS = 3
"""A score may differ from the stated one by so many of its standard deviations."""


def check_files(folder: ModelFolder) -> None:
    """The manifest lists the files of a model and no others, and each is as it says."""
    for name in NEEDED:
        require(folder.has(name), f"{MANIFEST_FILE} must list {name}: package the model again")
    for name in folder.records:
        folder.file(name)
    found = {path.name for path in folder.path.iterdir()} - {MANIFEST_FILE, PLACE_FILE}
    foreign = sorted(found - folder.records.keys())
    require(
        not foreign, f"{MANIFEST_FILE} does not list {', '.join(foreign)}: drop what is no part"
    )


def check_loads(folder: ModelFolder) -> None:
    """The model loads strictly, with nothing but its package and what this one depends on."""
    model = load_folder(folder)
    config = folder.config()
    require(
        not config.trackers and config.without_places() == config,
        f"{CONFIG_FILE} must name no path, URL or tracker of the machine that trained it",
    )
    needed = {name for name, _ in foreign_packages(_list_parts(config))}
    if isinstance(folder, NamedFolder):
        missing = sorted(needed - _list_dependencies(folder.entry.package))
        require(
            not missing,
            f"{folder.entry.package} must depend on {', '.join(missing)}, which provide components "
            "of the model",
        )
    require(not model.generator.training, "a loaded model is in evaluation mode")


def check_picture(folder: ModelFolder) -> None:
    """The picture is the samples of the seed that samples.json says, within one grey level."""
    model = load_folder(folder)
    if not model.architecture.takes_latents:
        return
    record, picture, layout = _read_picture(folder)
    drawn = render_model_samples(model, record.draw(model), None)
    require(
        drawn.shape == picture.shape,
        f"{PICTURE_FILE} has {_size(picture)} pixels, and {record.count} samples of the seed "
        f"{record.seed} make {_size(drawn)}: package the model again",
    )
    apart = (drawn.int() - picture.int()).abs()
    if layout == PLOT:
        share = float((apart > 1).float().mean())
        require(
            share <= MOVED,
            f"{PICTURE_FILE} must be the plot of the samples of the seed {record.seed}: "
            f"{share:.1%} of its pixels are others",
        )
        return
    require(
        int(apart.max()) <= 1,
        f"{PICTURE_FILE} must be the samples of the seed {record.seed}: a pixel differs by "
        f"{int(apart.max())} grey levels",
    )


def check_hash(folder: ModelFolder) -> None:
    """The hash in samples.json is that of the samples in the picture.

    On the machine that packaged the model, these are to the bit what it draws; elsewhere they are
    within a grey level, as check_picture holds.
    """
    model = load_folder(folder)
    if not model.architecture.takes_latents:
        return
    record, picture, layout = _read_picture(folder)
    if layout == PLOT:  # which does not hold the numbers
        return
    images = split_picture(picture, layout)
    require(images is not None, f"{PICTURE_FILE} does not say the layout of its samples")
    assert images is not None
    factor = images.shape[-1] // model.config.spec.shape[-1]
    stored = images[..., ::factor, ::factor].flatten(0, 1)[: record.count]
    require(
        hash_samples(stored) == record.sha256,
        f"the hash in {SAMPLES_FILE} is not that of the samples in {PICTURE_FILE}: package the "
        "model again",
    )


def check_card(folder: ModelFolder) -> None:
    """The card names a licence, and loads the model by its name."""
    card = folder.file(CARD_FILE).read_text(encoding="utf-8")
    require(
        bool(read_licence(card)),
        f"{CARD_FILE} must name a licence in its metadata, such as license: cc-by-4.0",
    )
    name = folder.short_name
    require(
        re.search(rf"ganzoo\.load\({json.dumps(name)}\)", card) is not None,
        f"{CARD_FILE} must load the model by its name, ganzoo.load({json.dumps(name)})",
    )


def check_scores(folder: ModelFolder) -> None:
    """Scores are those that ``ganzoo eval`` gives again, within the spread that they state.

    Skipped if the data of the model are not on this machine. It takes as long as an evaluation.
    """
    step = folder.config().step
    rows = folder.scores()
    require(bool(rows), f"there must be scores, in {SCORES_FILE}: package the model with its data")
    for row in rows:
        require(
            row.step in (step, None),
            f"{SCORES_FILE} has a score of step {row.step}, and the model is of another one",
        )
    groups: dict[tuple[int, int, int], list[ScoreRow]] = {}
    for row in rows:
        if row.step is not None:
            groups.setdefault((row.fake_samples, row.real_samples, row.seed), []).append(row)
    model = load_folder(folder)
    for counts, group in groups.items():
        _check_again(model, group, counts)


def _check_again(model: Model, rows: list[ScoreRow], counts: tuple[int, int, int]) -> None:
    """Score a model as rows of one protocol say, and compare."""
    from ganzoo.api.evaluation import evaluate

    samples, real_samples, seed = counts
    try:
        found = evaluate(
            model,
            _find_metrics(rows),
            samples=samples,
            real_samples=real_samples,
            seed=seed,
            progress=False,
        )
    except InputError as error:
        if "--data" not in str(error):
            raise
        raise unittest.SkipTest(str(error)) from None
    again = {row.metric: row for row in found}
    for row in rows:
        require(row.metric in again, f"{row.metric} is in {SCORES_FILE}, and no metric gives it")
        _require_alike(row, again[row.metric].value)


model_checks: list[Callable[[ModelFolder], None]] = [
    check_files,
    check_loads,
    check_picture,
    check_hash,
    check_card,
    check_scores,
]
"""Checks of models. They take a ModelFolder."""


def _find_metrics(rows: Iterable[ScoreRow]) -> list[str]:
    """Return the names of the installed metrics that give some scores."""
    families, found = {row.family for row in rows}, []
    for entry in registry.entries(EVALUATOR):
        with contextlib.suppress(PluginError):  # a broken one of another package
            if not families.isdisjoint({entry.name, *entry.load().score_names}):
                found.append(entry.name)
    return found


def _require_alike(row: ScoreRow, value: float) -> None:
    # One sample more or less of a kind moves a share by this much.
    spread = DEVIATIONS * (row.std or 0) + 0.01 * abs(row.value) + 1 / row.fake_samples
    require(
        abs(value - row.value) <= spread,
        f"{row.metric} is {value:.4f} here, and {row.format_value()} is stated: evaluate what is "
        "shipped, with several sets of samples",
    )


def _read_picture(folder: ModelFolder) -> tuple[SampleRecord, Tensor, str]:
    record = read_sample_record(folder)
    require(record is not None, f"there must be a {SAMPLES_FILE}: package the model again")
    assert record is not None
    picture, texts = load_png(folder.file(PICTURE_FILE))
    return record, picture, texts.get(LAYOUT, "")


def _size(picture: Tensor) -> str:
    return f"{picture.shape[1]} x {picture.shape[2]}"


def _list_parts(config: RunConfig) -> list[ComponentChoice]:
    return [config.architecture, config.loss, *config.penalties]


def _list_dependencies(package: str) -> set[str]:
    """Return the distributions that a package needs itself, and its own name."""
    needed = [re.match(r"[\w.-]+", text) for text in importlib.metadata.requires(package) or ()]
    return {package, *(found[0] for found in needed if found)}
