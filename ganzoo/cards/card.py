"""Model cards: what people read before they use a model, and the metadata that the Hub reads.

A card follows from the model's configuration and its scores, so that the same model always has the
same card. ``card.md.jinja`` is its text. A person may edit a card: :func:`merge_card` writes it
again around what they changed.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ganzoo import registry
from ganzoo.arguments import require_text
from ganzoo.cards import front_matter
from ganzoo.cards.metadata import build_metadata, merge_metadata
from ganzoo.cards.readme import Readme
from ganzoo.cards.sections import build_section
from ganzoo.cards.template import render_section, render_sections
from ganzoo.config import TrainOptions
from ganzoo.errors import GanzooError, InputError, escape_text
from ganzoo.recipes import find_recipe_name
from ganzoo.registry import (
    ARCHITECTURE,
    AUGMENTATION,
    DATASET,
    EVALUATOR,
    FEATURE_EXTRACTOR,
    LOSS,
    PENALTY,
    Kind,
)
from ganzoo.requirement import PACKAGE, install_command
from ganzoo.runs.file_names import CONFIG_FILE, DISCRIMINATOR_FILE, GENERATOR_FILE, PICTURE_FILE
from ganzoo.runs.reproduce import format_argument, train_command
from ganzoo.runs.training_facts import NO_FACTS, TrainingFacts
from ganzoo.storage.paths import strip_folders

if TYPE_CHECKING:
    from ganzoo.component import Component
    from ganzoo.config import ComponentChoice, ModelConfig, Origin
    from ganzoo.protocols.architecture import Architecture
    from ganzoo.protocols.evaluator import Evaluator
    from ganzoo.runs.scores import ScoreRow

PLACEHOLDER_PATH = "path/to/this/folder"
IMAGE_GENERATION = "unconditional-image-generation"
IMAGE_TRANSLATION = "image-to-image"
FIELDS_PER_METRIC = {"metric", "value", "std", "higher_is_better", "options", "note"}
"""Fields in which scores that were measured together may differ."""
_PACKAGE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


class SamplesOfPicture(Protocol):
    """The samples that the picture of a model shows."""

    @property
    def seed(self) -> int:
        """Their seed."""

    @property
    def count(self) -> int:
        """How many there are."""

    @property
    def sha256(self) -> str:
        """Hash of the samples as they are stored."""


def build_card(
    config: ModelConfig,
    rows: Iterable[ScoreRow] = (),
    *,
    reference: str = PLACEHOLDER_PATH,
    license: str | list[str] | None = None,
    curve: str | None = None,
    origin: Origin | None = None,
    has_discriminator: bool = True,
    facts: TrainingFacts = NO_FACTS,
    thumbnail: str | None = None,
    package: str | None = None,
    samples: SamplesOfPicture | None = None,
) -> str:
    """Build the card of a model: Markdown with metadata at its head.

    The packages of its components need not be installed; a card omits what only they know.

    Args:
        config: What the model is.
        rows: Its scores, and those of real samples in its place; scores of other steps are omitted.
        reference: What :func:`ganzoo.load` finds it by.
        license: Identifier of its licence, as the Hub knows it; None if nobody gave one.
        curve: Name of the picture of its training curve, in the same folder.
        origin: Where its weights come from, if they were imported.
        has_discriminator: Whether the model has the discriminator's weights too.
        facts: What its run says of its training.
        thumbnail: Address of its picture, once it is published.
        package: The distribution that ships the model, if one does.
        samples: The samples of its picture, if they are known to be those of a seed.
    """
    rows = list(rows)
    own_rows = [row for row in rows if row.step == config.step]
    traits, terms = _find_traits(config), _find_terms(config)
    metadata = build_metadata(
        config,
        own_rows,
        task=traits.task if config.spec.is_image else None,
        class_conditional=traits.conditional and not traits.translates,
        license=license,
        origin=origin,
        hub_id=None if origin else terms["hub_id"],
        thumbnail=thumbnail,
    )
    values = {
        **_gather_parts(config, own_rows),
        **_gather_packages(config, package),
        "config": config,
        "title": config.title if origin is None else _name_import(config, origin),
        "imported": origin is not None,
        "origin": origin or (config.init.origin if config.init else None),
        "has_discriminator": has_discriminator,
        "translates": traits.translates,
        "needs_label": traits.needs_label,
        "conditional": traits.conditional,
        "quoted_reference": json.dumps(escape_text(reference), ensure_ascii=False),
        "command": _find_command(config),
        "is_given": _are_given(config),
        "recipe_name": None if origin else find_recipe_name(config),
        "terms": terms,
        "facts": facts,
        "samples": samples,
        "copy_scores": _select_copy_scores(own_rows),
        "bibtex": _cite_package(),
        "install_command": install_command,
        "training_options": list(
            _describe_options(
                config.write_schedules("train", config.train.model_dump(mode="json")),
                TrainOptions.model_fields,
            )
        ),
        "score_groups": _group_scores(own_rows),
        "real_score_groups": _group_scores(_select_scores_of_reals(rows, own_rows)),
        "licences": _list_licences(license),
        "picture_file": PICTURE_FILE,
        "curve_file": curve,
        "generator_file": GENERATOR_FILE,
        "discriminator_file": DISCRIMINATOR_FILE,
        "config_file": CONFIG_FILE,
    }
    recorded = {key: value for key, value in metadata.items() if key != "model-index"}
    return str(Readme.build(metadata, render_sections(values), recorded))


def read_licence(text: str | None) -> str | list[str] | None:
    """Read the licence from the metadata of a card; None if they name none.

    Raises:
        InputError: the metadata cannot be read.
    """
    if text is None:
        return None
    return front_matter.read(front_matter.split(text)[0]).get("license")


def choose_licence(given: str | None, *cards: str | None) -> str | list[str] | None:
    """Return the licence that is given, or else that of the first card that names one.

    Raises:
        InputError: it is empty, or the metadata of a card cannot be read.
    """
    if given is not None:
        return require_text("a licence, such as mit", given)
    return next((found for card in cards if (found := read_licence(card))), None)


def merge_card(new: str, old: str) -> tuple[str, list[str]]:
    """Write a card again and keep what a person changed in the one that is there.

    Text between sections stays where it is. A section that a person edited stays as it is, and one
    that they removed does not come back. Metadata that ganzoo writes are written again unless a
    person changed them, and all others stay; the licence changes only if one is given now. A card
    without sections is a person's own: the sections are appended to it.

    Args:
        new: What :func:`build_card` returned.
        old: The card that is there.

    Returns:
        The card, and the names of the sections that were edited and stay as they are.

    Raises:
        InputError: the metadata of the old card cannot be read.
    """
    ours, theirs = Readme.parse(new), Readme.parse(old)
    metadata = merge_metadata(ours.metadata, theirs.metadata, theirs.record.front)
    sections = ours.sections
    if "licence" in sections:  # a person may have given one in the metadata alone
        licences = _list_licences(metadata.get("license"))
        text = render_section("licence", {"licences": licences})
        sections["licence"] = build_section("licence", text)
    merged = theirs.update(metadata, sections, ours.record.front)
    return str(merged), merged.edited


def foreign_packages(choices: Iterable[ComponentChoice]) -> list[tuple[str, str]]:
    """Return the packages of components with their versions, except ganzoo itself."""
    found = {(choice.package, choice.version) for choice in choices}
    return sorted((name, version) for name, version in found if name.lower() != PACKAGE)


def valid_packages(packages: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the packages whose names are valid: a file may contain an installer's option."""
    return [package for package in packages if _PACKAGE_NAME.fullmatch(package[0])]


# The values of the template


@dataclass(frozen=True)
class _Traits:
    """What only the architecture's class knows of a model."""

    translates: bool = False
    """Whether it makes images from images."""
    needs_label: bool = False
    """Whether it translates to a class that must be given."""
    conditional: bool = False
    """Whether the class of a sample can be chosen."""

    @property
    def task(self) -> str:
        """The Hub's name of what a model of images does."""
        return IMAGE_TRANSLATION if self.translates else IMAGE_GENERATION


def _name_import(config: ModelConfig, origin: Origin) -> str:
    return f"{config.architecture.name} from {origin.title}"


def _find_traits(config: ModelConfig) -> _Traits:
    try:
        architecture: Architecture = config.architecture.build(ARCHITECTURE)
    except InputError:
        return _Traits()
    labelled = config.spec.classes is not None and architecture.takes_labels(config.spec)
    return _Traits(not architecture.takes_latents, bool(architecture.takes_images), labelled)


@dataclass(frozen=True)
class _Part:
    """A component of a model, as a card describes it."""

    kind: str
    name: str
    package: str
    version: str
    options: list[dict[str, str]]
    file_names: list[str]
    """Last names of the paths among its options."""
    summary: str = ""
    paper: str | None = None

    @classmethod
    def of(cls, kind: Kind, choice: ComponentChoice, config: ModelConfig, prefix: str) -> _Part:
        """Describe a component, also where its package is not installed.

        Args:
            kind: Its kind.
            choice: How the model's configuration names it.
            config: That configuration.
            prefix: Prefix of its options' full names.
        """
        found = _find_stored_class(kind, choice)
        options = config.write_schedules(prefix, choice.options)
        return cls(
            kind.word,
            choice.name,
            choice.package,
            choice.version,
            list(_describe_options(options, found.model_fields if found else {})),
            list(_find_file_names(choice.options)),
            found.summary() if found else "",
            found.paper if found else None,
        )


def _gather_parts(config: ModelConfig, rows: Sequence[ScoreRow]) -> dict[str, Any]:
    """Return the components of a model, and the papers of those and of what judged it."""
    architecture = _Part.of(ARCHITECTURE, config.architecture, config, "arch")
    loss = _Part.of(LOSS, config.loss, config, "loss")
    data = _Part.of(DATASET, config.data, config, "data")
    augmentations = [
        _Part.of(AUGMENTATION, each, config, f"augment.{each.name}")
        for each in config.augmentations
    ]
    penalties = [
        _Part.of(PENALTY, each, config, f"penalty.{each.name}") for each in config.penalties
    ]
    used = {(part.kind, part.name): part.paper for part in (architecture, loss, data)}
    used |= {(part.kind, part.name): part.paper for part in (*augmentations, *penalties)}
    for row in rows:
        evaluator = _find_evaluator(row.family)
        used["metric", row.family] = evaluator.paper if evaluator else None
        if row.features:
            name = row.features.get("name", "")
            used[FEATURE_EXTRACTOR.word, name] = _find_extractor_paper(name)
    papers: dict[str, list[tuple[str, str]]] = {}
    for part, paper in used.items():
        if paper:
            papers.setdefault(paper, []).append(part)
    return {
        "architecture": architecture,
        "loss": loss,
        "data": data,
        "augmentations": augmentations,
        "penalties": penalties,
        "papers": papers,
    }


def _find_stored_class(kind: Kind, choice: ComponentChoice) -> type[Component] | None:
    """Return a component's class; None if its package is not installed."""
    try:
        return registry.find_in_package(kind, choice.name, choice.package, choice.version).load()
    except InputError:
        return None


def _find_terms(config: ModelConfig) -> dict[str, str | None]:
    """Return what the training data say of their licence and where they are from."""
    try:
        found = config.data.build(DATASET)
    except GanzooError:  # not installed, or without the path that was dropped
        found = _find_stored_class(DATASET, config.data)
    terms = {name: getattr(found, name, None) for name in ("licence", "homepage", "hub_id")}
    return {name: each if isinstance(each, str) else None for name, each in terms.items()}


def _are_given(config: ModelConfig) -> bool:
    """Tell whether the training data were given by a program."""
    return bool(getattr(_find_stored_class(DATASET, config.data), "is_given", False))


def _find_evaluator(family: str) -> type[Evaluator] | None:
    """Return the class of the evaluator that a score is of; None if it is not installed.

    Args:
        family: The score's name, without a feature extractor.
    """
    named = registry.find_all(EVALUATOR, family)
    for entry in named or registry.entries(EVALUATOR):
        try:
            found: type[Evaluator] = entry.load()
        except InputError:
            continue
        if named or family in found.score_names:
            return found
    return None


def _find_extractor_paper(name: str) -> str | None:
    try:
        found: type[Component] = registry.get(FEATURE_EXTRACTOR, name)
    except InputError:
        return None
    return found.paper


def _select_copy_scores(rows: Iterable[ScoreRow]) -> dict[str, list[ScoreRow]]:
    """Return the scores of evaluators that look for copies of the reals, by what these compare."""
    found: dict[str, list[ScoreRow]] = {}
    for row in rows:
        evaluator = _find_evaluator(row.family)
        if evaluator is not None and not evaluator.copies_score_best:
            found.setdefault(evaluator.summary(), []).append(row)
    return found


def _cite_package() -> dict[str, str]:
    """Return the fields of ganzoo's own citation, from its metadata."""
    about = importlib.metadata.metadata(PACKAGE)
    return {
        "author": f"{{{about['Author']}}}",
        "title": f"{PACKAGE}: {about['Summary'].rstrip('.')}",
        "version": about["Version"],
        "license": about["License-Expression"],
    }


def _describe_options(
    options: Mapping[str, Any], fields: Mapping[str, Any]
) -> Iterator[dict[str, str]]:
    """Yield options with the last names of paths alone, and with what their fields say of them."""
    for name, value in strip_folders(dict(options)).items():
        description = getattr(fields.get(name), "description", "") or ""
        yield {"name": name, "value": format_argument(value), "description": description}


def _find_file_names(options: Mapping[str, Any]) -> Iterator[str]:
    for value in options.values():
        if isinstance(value, str) and (name := strip_folders(value)) != value:
            yield name


def _gather_packages(config: ModelConfig, shipped_by: str | None) -> dict[str, list[Any]]:
    """Return the packages that a model needs, and the versions that it was made with."""
    # The discriminator is built as the loss and the penalties need it.
    to_load = foreign_packages([config.architecture, config.loss, *config.penalties])
    to_train = foreign_packages([config.data, *config.augmentations])
    parts = [config.architecture, config.loss, config.data]
    parts += [*config.penalties, *config.augmentations]
    packages = {(part.package, part.version) for part in parts}
    to_install = {name for name, _ in valid_packages(to_load)}
    if shipped_by is not None and shipped_by != PACKAGE:
        to_install.add(shipped_by)
    return {
        "packages_to_install": sorted(to_install),
        "packages_to_load": to_load,
        "packages_to_train": [package for package in to_train if package not in to_load],
        "versions": sorted({*packages, *config.versions.items()}),
    }


def _find_command(config: ModelConfig) -> str | None:
    """Return what trains it again; None if the defaults of a part are not known here.

    Nor is there a command if only a program can give the data.
    """
    if _are_given(config):
        return None
    try:
        return train_command(config)
    except GanzooError:
        return None


def _group_scores(rows: Iterable[ScoreRow]) -> list[list[ScoreRow]]:
    """Return scores in groups of those that were measured together."""
    groups: dict[str, list[ScoreRow]] = {}
    for row in rows:
        groups.setdefault(row.model_dump_json(exclude=FIELDS_PER_METRIC), []).append(row)
    return list(groups.values())


def _select_scores_of_reals(rows: Iterable[ScoreRow], own: Iterable[ScoreRow]) -> list[ScoreRow]:
    """Return the scores of real samples by the metrics, and on the data, of a model's own."""
    own = list(own)
    return [
        row
        for row in rows
        if row.step is None
        and any((row.metric, row.data) == (each.metric, each.data) for each in own)
    ]


def _list_licences(license: Any) -> list[Any]:
    if not license:
        return []
    return license if isinstance(license, list) else [license]
