"""The card of a model: what people read before they use it, and the metadata that the Hub reads.

All of it follows from the model's configuration and its scores, so that the same model has the
same card. A person may edit it: :func:`merge_card` writes it again around what they changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ganzoo import registry
from ganzoo.cards import front_matter, sections
from ganzoo.cards.markdown import add_links, cell, code, prose, table
from ganzoo.cards.sections import Record, Section
from ganzoo.config import TrainOptions
from ganzoo.errors import GanzooError, InputError, escape_text
from ganzoo.registry import (
    ARCHITECTURE,
    AUGMENTATION,
    DATASET,
    EVALUATOR,
    FEATURE_EXTRACTOR,
    LOSS,
    Kind,
)
from ganzoo.runs.file_names import CONFIG_FILE, DISCRIMINATOR_FILE, GENERATOR_FILE, PICTURE_FILE
from ganzoo.runs.reproduce import format_argument, train_command
from ganzoo.storage.paths import strip_folders

if TYPE_CHECKING:
    from ganzoo.component import Component
    from ganzoo.config import ComponentChoice, ModelConfig
    from ganzoo.protocols.architecture import Architecture
    from ganzoo.runs.scores import ScoreRow

PLACEHOLDER_PATH = "path/to/this/folder"
PACKAGE = "ganzoo"
MAKES_IMAGES = "unconditional-image-generation"
TRANSLATES_IMAGES = "image-to-image"
OTHER_TASK = "other"
"""The Hub's word where none of its tasks fits: it has none for points."""
SHORT_HASH = 12
MAX_CLASS_NAMES = 20
"""Names of classes that are listed."""
COLOURS = {1: "grey", 3: "colour", 4: "colour and transparent"}
_PACKAGE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


def build_card(
    config: ModelConfig,
    rows: Iterable[ScoreRow] = (),
    *,
    reference: str = PLACEHOLDER_PATH,
    license: str | list[str] | None = None,
    curve: str | None = None,
) -> str:
    """Return the card of a model: Markdown with metadata at its head.

    It needs no package that gave a component; what only that knows is left out without it.

    Args:
        config: What the model is.
        rows: Its scores; those of another step, and of reals, are left out.
        reference: What :func:`ganzoo.load` finds it by.
        license: Identifier of its licence, as the Hub knows it; None if nobody gave one.
        curve: Name of the picture of its training, in the same folder.
    """
    subject = _Subject.of(config, rows, reference)
    texts = {
        "about": _about(subject),
        "use": _use(subject),
        "architecture": _describe_component("## Architecture", config.architecture, ARCHITECTURE),
        "loss": _describe_component("## Loss", config.loss, LOSS),
        "data": _data(config),
        "recipe": _recipe(config),
        "curve": _curve(curve),
        "scores": _scores(subject.rows),
        "limits": _limits(subject),
        "licence": _licence(license),
        "citation": _citation(subject),
        "versions": _versions(config),
    }
    written = {name: sections.build_section(name, text) for name, text in texts.items() if text}
    front = _build_metadata(subject, license)
    recorded = {key: value for key, value in front.items() if key != "model-index"}
    record = Record(blocks=tuple(written), front=recorded)
    return _join_card(
        front_matter.to_yaml(front), record, sections.separate_sections(list(written.values()))
    )


def read_licence(text: str | None) -> str | list[str] | None:
    """Return the licence that the metadata of a card name; None if they name none.

    Raises:
        InputError: the metadata cannot be read.
    """
    if text is None:
        return None
    return front_matter.read(front_matter.split(text)[0]).get("license")


def merge_card(new: str, old: str) -> tuple[str, list[str]]:
    """Write a card again and keep what a person changed in the one that is there.

    Text between blocks stays where it is, and a block whose text was changed stays as it is. What
    was taken away stays away. Of the metadata, what ganzoo gives is written again unless a person
    changed it, and all else is kept; a licence gives way only to one that is given now. An old
    card without blocks is a person's own: the blocks come behind it.

    Args:
        new: What :func:`build_card` returned.
        old: What is there now.

    Returns:
        The card, and the names of the blocks that were edited and stay as they are.

    Raises:
        InputError: the metadata of the old card cannot be read.
    """
    old = old.removeprefix("\ufeff").replace("\r\n", "\n")
    (new_yaml, new_body), (old_yaml, old_body) = map(front_matter.split, (new, old))
    (new_record, new_pieces), (old_record, old_pieces) = map(sections.parse, (new_body, old_body))
    now, then = new_record or Record(), old_record or Record()
    fresh = {piece.name: piece for piece in new_pieces if piece.name}
    front = front_matter.merge(front_matter.read(new_yaml), front_matter.read(old_yaml), then.front)
    if "licence" in fresh:  # a person may have given one in the metadata alone
        fresh["licence"] = sections.build_section("licence", _licence(front.get("license")))
    pieces, away = sections.merge(fresh, old_pieces, then.blocks)
    # A person may have copied one, and then there are two.
    names = dict.fromkeys(piece.name for piece in pieces if piece.name)
    edited = dict.fromkeys(piece.name for piece in pieces if piece.name and piece.edited)
    record = Record(blocks=(*names, *away), front=now.front)
    return _join_card(front_matter.update_yaml(old_yaml, front), record, pieces), list(edited)


def _join_card(front: str, record: Record, pieces: Sequence[Section]) -> str:
    return f"---\n{front}---\n{sections.join_sections(record, pieces)}"


@dataclass(frozen=True)
class _Subject:
    """What a card is about."""

    config: ModelConfig
    rows: tuple[ScoreRow, ...]
    reference: str
    translates: bool
    """Whether it makes images from images."""
    conditional: bool
    """Whether a sample's class can be asked for."""

    @classmethod
    def of(cls, config: ModelConfig, rows: Iterable[ScoreRow], reference: str) -> _Subject:
        own = tuple(row for row in rows if row.step == config.step)
        try:
            architecture: Architecture = config.architecture.build(ARCHITECTURE)
        except InputError:
            return cls(config, own, reference, translates=False, conditional=False)
        labelled = config.spec.classes is not None and architecture.takes_labels(config.spec)
        return cls(config, own, reference, architecture.takes_images, labelled)

    @property
    def task(self) -> str | None:
        """The Hub's word for what it does; None where it has none."""
        if not self.config.spec.is_image:
            return None
        return TRANSLATES_IMAGES if self.translates else MAKES_IMAGES


# Metadata


def _build_metadata(subject: _Subject, license: str | list[str] | None) -> dict[str, Any]:
    config = subject.config
    names, init = (config.architecture.name, config.loss.name), config.init
    tags = [PACKAGE, "gan", *map(escape_text, names)]
    tags += ["class-conditional"] if subject.conditional and not subject.translates else []
    front = {
        "library_name": PACKAGE,
        "pipeline_tag": subject.task,
        "license": license,
        # A model that is on no Hub has no name there.
        "base_model": escape_text(init.name) if init and init.revision else None,
        "tags": list(dict.fromkeys(tags)),
    }
    if subject.rows:
        # Imported where there are scores alone: a training that ends without one need not wait.
        from huggingface_hub import ModelCardData

        results = [_hub_result(row, subject.task or OTHER_TASK) for row in subject.rows]
        front |= ModelCardData(model_name=escape_text(config.title), eval_results=results).to_dict()
    return {key: value for key, value in front.items() if value is not None}


def _hub_result(row: ScoreRow, task: str) -> Any:
    """Return a score as the Hub's metadata hold it, with its whole protocol.

    The client groups results by all but ``dataset_args``, so that the fingerprint is the
    revision too: results on other data of the same name would be read back as of the first.
    """
    from huggingface_hub import EvalResult

    data = {key: escape_text(value) for key, value in row.data.items()}
    better = "higher" if row.higher_is_better else "lower"
    args = row.model_dump(
        mode="json",
        include={"fake_samples", "real_samples", "seed", "repeats", "std", "image_size", "step"},
    )
    args["options"] = strip_folders(row.options)
    if row.features:
        args["features"] = row.features
    return EvalResult(
        task_type=task,
        dataset_type=data["name"],
        dataset_name=data["name"],
        dataset_split=data.get("split"),
        dataset_revision=data.get("fingerprint"),
        dataset_args={"fingerprint": data.get("fingerprint")},
        metric_type=escape_text(row.metric),
        metric_name=f"{escape_text(row.metric)}, {better} is better",
        metric_value=row.value,
        metric_args={**args, "versions": row.versions},
    )


# Sections


def _about(subject: _Subject) -> str:
    config, train = subject.config, subject.config.train
    paragraphs = [
        f"# {prose(config.title)}",
        "![Samples of the averaged generator, with the same latents as during training]"
        f"({PICTURE_FILE})",
        f"A generative adversarial network: {code(config.architecture.name)}, trained with the "
        f"loss {code(config.loss.name)} on {_data_name(config.data)}. "
        f"It {'translates' if subject.translates else 'makes'} {_describe_samples(config)}, and all that it "
        f"makes is synthetic. Trained for {_pluralise(config.step, 'generator update')} with batches "
        f"of {train.batch_size:,} and seed {train.seed}; these are the weights of the generator's "
        "moving average.",
    ]
    if (init := config.init) is not None:
        commit = f" (commit {_hash(init.revision)})" if init.revision else ""
        paragraphs.append(
            f"It was fine-tuned: training began with the weights of {code(init.name)}{commit}, as "
            f"they were after {_pluralise(init.step, 'generator update')}, and not with random ones."
        )
    return "\n\n".join(paragraphs)


def _describe_samples(config: ModelConfig) -> str:
    spec = config.spec
    if not spec.is_image:
        return f"points of {_pluralise(spec.size, 'number')}"
    return f"{COLOURS[spec.image_channels]} images of {spec.shape[1]} x {spec.shape[2]} pixels"


def _pluralise(count: int, thing: str) -> str:
    return f"{count:,} {thing}" + ("" if count == 1 else "s")


def _use(subject: _Subject) -> str:
    config, spec = subject.config, subject.config.spec
    packages = foreign_packages([config.architecture, config.loss])
    names = [name for name, _ in valid_packages(packages)]
    more = foreign_packages([config.data, *config.augmentations])
    numbers = ", ".join(map(str, spec.shape))
    if subject.translates:
        call = f"translate(photos, label=0)  # floats (N, {numbers}) in [-1, 1], as many as photos"
    else:
        call = f"sample(16, seed=0)  # floats (16, {numbers})"
        call += " in [-1, 1]" if spec.is_image else ""
    paragraphs = [
        "## How to use it",
        f"```console\n{' '.join(['pip install', PACKAGE, *names])}\n```",
        "```python\nimport ganzoo\n\n"
        f"model = ganzoo.load({json.dumps(escape_text(subject.reference), ensure_ascii=False)})\n"
        f"{'images' if spec.is_image else 'points'} = model.{call}\n```",
        "On the command line, `ganzoo sample` draws from it and `ganzoo eval` judges it.",
    ]
    if subject.conditional:
        last = (spec.classes or 1) - 1
        paragraphs.append(f"`label=` chooses the class, 0 to {last}{_class_names(config)}.")
    for choices, purpose in ((packages, "use it"), (set(more) - set(packages), "train it again")):
        paragraphs += [
            f"To {purpose} you need the package {code(name)}, here in version {code(version)}. It "
            "is not part of ganzoo: look at it before you install it, as its code will run on "
            "your machine."
            for name, version in sorted(choices)
        ]
    return "\n\n".join(paragraphs)


def foreign_packages(choices: Iterable[ComponentChoice]) -> list[tuple[str, str]]:
    """Return the packages of components, with their versions, but for ganzoo itself."""
    found = {(choice.package, choice.version) for choice in choices}
    return sorted((name, version) for name, version in found if name.lower() != PACKAGE)


def valid_packages(packages: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return those whose names are names: a file may hold an option of the installer instead."""
    return [each for each in packages if _PACKAGE_NAME.fullmatch(each[0])]


def _class_count(count: int) -> str:
    return f"{count:,} class" + ("" if count == 1 else "es")


def _class_names(config: ModelConfig) -> str:
    names = config.spec.class_names
    if not names:
        return ""
    rest = "" if len(names) <= MAX_CLASS_NAMES else f" and {len(names) - MAX_CLASS_NAMES:,} more"
    return f": {', '.join(map(code, names[:MAX_CLASS_NAMES]))}{rest}"


def _describe_component(title: str, choice: ComponentChoice, kind: Kind) -> str:
    """Describe a component with all its options."""
    found = _find_stored_class(kind, choice)
    said = f"\n\n{cell(found.summary())}" if found and found.summary() else ""
    return (
        f"{title}\n\n{code(choice.name)}, of the package {code(choice.package)} "
        f"{code(choice.version)}.{said}{_options(choice, found)}"
    )


def _options(choice: ComponentChoice, found: type[Component] | None) -> str:
    if not choice.options:
        return ""
    fields = found.model_fields if found else {}
    return "\n\n" + _option_table(choice.options, fields)


def _option_table(options: Mapping[str, Any], fields: Mapping[str, Any]) -> str:
    rows = [
        (
            code(name),
            code(format_argument(value)),
            cell(getattr(fields.get(name), "description", "") or ""),
        )
        for name, value in strip_folders(options).items()
    ]
    return table(("option", "value", "what it is"), rows)


def _file_names(options: Mapping[str, Any]) -> list[str]:
    """Return the last names of the paths among some options."""
    return [
        short
        for value in options.values()
        if isinstance(value, str) and (short := strip_folders(value)) != value
    ]


def _data_name(choice: ComponentChoice) -> str:
    """Name a dataset, with the files that it reads where a person named them."""
    files = _file_names(choice.options)
    return code(choice.name) + (f" ({', '.join(map(code, files))})" if files else "")


def _data(config: ModelConfig) -> str:
    spec = config.spec
    classes = f", of {_class_count(spec.classes)}{_class_names(config)}" if spec.classes else ""
    what = f"Samples are {_describe_samples(config)}{classes}."
    if config.data_fingerprint:
        what += f" The fingerprint of their content is {_hash(config.data_fingerprint)}."
    paragraphs = [_describe_component("## Data", config.data, DATASET), what]
    if names := [code(each.name) for each in config.augmentations]:
        order = ", in this order" if len(names) > 1 else ""
        paragraphs.append(
            "All that the discriminator saw in training, reals and fakes alike, was augmented by "
            f"{', '.join(names)}{order}."
        )
    return "\n\n".join(paragraphs)


def _hash(text: str) -> str:
    return code(text[:SHORT_HASH])


def _recipe(config: ModelConfig) -> str:
    parts = ["## Recipe"]
    if config.step != config.train.steps:
        parts.append(
            f"This is the state after {config.step:,} of {config.train.steps:,} generator updates."
        )
    if command := _command(config):
        parts.append(f"```console\n{command}\n```")
        if _file_names(config.data.options):
            parts.append("Paths are shortened to their last names.")
    parts.append(_option_table(config.train.model_dump(mode="json"), TrainOptions.model_fields))
    for each in config.augmentations:
        parts.append(_describe_component(f"### Augmentation {code(each.name)}", each, AUGMENTATION))
    return "\n\n".join(parts)


def _command(config: ModelConfig) -> str | None:
    """Return what trains it again; None if what differs from the defaults is not known here."""
    try:
        return train_command(config)
    except GanzooError:
        return None


def _curve(curve: str | None) -> str:
    if curve is None:
        return ""
    return f"""## Training curve

![Terms of both networks' losses over the generator updates]({quote(curve)})

What both networks minimised, over the generator updates. The terms of an adversarial loss need \
not fall while samples get better: judge by the scores and the samples."""


def _scores(rows: Sequence[ScoreRow]) -> str:
    if not rows:
        return ""
    groups: dict[str, list[ScoreRow]] = {}
    for row in rows:
        alike = row.model_dump_json(
            exclude={"metric", "value", "std", "higher_is_better"} | _PER_METRIC
        )
        groups.setdefault(alike, []).append(row)
    paragraphs = ["## Scores"]
    for alike in groups.values():
        shown = [
            (
                code(row.metric),
                row.format_value().replace("+-", "±"),
                "higher" if row.higher_is_better else "lower",
                ", ".join(
                    code(f"{name}={format_argument(value)}") for name, value in _options_of(row)
                ),
            )
            for row in alike
        ]
        paragraphs += [table(("metric", "value", "better", "options"), shown), *_protocol(alike)]
    paragraphs.append(
        "A score compares only with one that was found in the same way: by the same metric with "
        "the same options, from as many fakes and as many of the same reals, at the same size and "
        "through the same network with the same weights. A network in brackets is not the one that "
        "the metric is known for: a Fréchet distance (FID) through one network compares with none "
        "through another."
    )
    return "\n\n".join(paragraphs)


def _options_of(row: ScoreRow) -> list[tuple[str, Any]]:
    return list(strip_folders(row.options).items())


_PER_METRIC = {"options", "note"}
"""What scores may have of their own that were found together."""


def _protocol(rows: Sequence[ScoreRow]) -> list[str]:
    """Say how scores were found that were found together, and what is to be known of each."""
    row = rows[0]
    split = f"split {code(row.data['split'])}, " if row.data.get("split") else ""
    said = (
        f"{_pluralise(row.fake_samples, 'fake')}{_seeds(row)} against "
        f"{_pluralise(row.real_samples, 'real')} of {code(row.data.get('name', ''))} "
        f"({split}fingerprint {_hash(row.data.get('fingerprint', ''))})"
    )
    if row.image_size:
        said += f", at {row.image_size[0]} x {row.image_size[1]} pixels"
    if row.features:
        said += (
            f", seen through {code(row.features.get('name', ''))}, whose weights have the SHA-256 "
            f"{_hash(row.features.get('sha256', ''))}"
        )
    versions = ", ".join(f"{prose(name)} {prose(value)}" for name, value in row.versions.items())
    paragraphs = [f"{said}. The model is that of step {row.step:,}. Found with {versions}."]
    if any(each.std is not None for each in rows):
        between = (
            f"the standard deviation between the {row.repeats} sets of fakes"
            if row.repeats > 1
            else "the deviation that the metric itself gives, of one set of fakes"
        )
        paragraphs[0] += f" After ± stands {between}."
    if notes := [f"- {code(each.metric)}: {prose(each.note)}" for each in rows if each.note]:
        paragraphs.append("\n".join(notes))
    return paragraphs


def _seeds(row: ScoreRow) -> str:
    if row.repeats == 1:
        return f" of seed {row.seed}"
    return f" of each of the seeds {row.seed} to {row.seed + row.repeats - 1}"


def _limits(subject: _Subject) -> str:
    config, train = subject.config, subject.config.train
    seen = config.step * train.n_critic * train.batch_size
    measured = (
        "The scores above are all that was measured"
        if subject.rows
        else "No scores of it are given here"
    )
    classes = ""
    if subject.conditional:
        classes = f", of {_class_count(config.spec.classes or 0)} and no other"
    made = "translations" if subject.translates else "samples"
    return "\n".join(
        (
            "## Intended use and limits\n",
            "It is meant for research, teaching and play with generative adversarial networks. "
            f"{measured}; it was not tested for any product, nor for decisions about people.\n",
            f"- All its {made} are synthetic. Say so where you show them, and do not pass them off "
            "as real.",
            f"- It knows what its training data hold, {_data_name(config.data)}, and nothing else. "
            "What is rare or missing there is rare or missing here, and what is one-sided there is "
            "one-sided here.",
            "- It may give back training data, exactly or nearly. Look before you take a sample "
            "for new, or for free of the rights of others.",
            f"- It makes {_describe_samples(config)} and of no other size{classes}.",
            f"- It was trained for {_pluralise(config.step, 'generator update')}, in which the "
            f"discriminator was shown {_pluralise(seen, 'real sample')}, repeats counted.",
        )
    )


def _licence(license: object) -> str:
    if not license:
        said = (
            "The author of this model has not said under which licence it may be used. Nothing may "
            "be assumed from that: ask before you use it or pass it on."
        )
    else:
        names = license if isinstance(license, list) else [license]
        said = f"The author of this model gives it under the licence {', '.join(map(code, names))}."
    return f"## Licence\n\n{said} The data it was trained on have terms of their own."


_KIND_WORDS = {EVALUATOR: "metric"}
"""What a card calls a kind of component, where that is not the kind's own word."""


def _citation(subject: _Subject) -> str:
    """Refer to the papers of what the model was made with and judged by."""
    config = subject.config
    used: dict[tuple[Kind, str], type[Component] | None] = {}
    for kind, choice in (
        (ARCHITECTURE, config.architecture),
        (LOSS, config.loss),
        (DATASET, config.data),
        *((AUGMENTATION, each) for each in config.augmentations),
    ):
        used[kind, choice.name] = _find_stored_class(kind, choice)
    for row in subject.rows:
        used[EVALUATOR, row.family] = _find_class(EVALUATOR, row.family)
        if row.features:
            name = row.features.get("name", "")
            used[FEATURE_EXTRACTOR, name] = _find_class(FEATURE_EXTRACTOR, name)
    papers: dict[str, list[str]] = {}
    for (kind, name), found in used.items():
        if found and found.paper:
            papers.setdefault(found.paper, []).append(
                f"{_KIND_WORDS.get(kind, kind.word)} {code(name)}"
            )
    if not papers:
        return ""
    lines = [f"- {add_links(paper)}: {', '.join(what)}" for paper, what in papers.items()]
    return "\n".join(
        ("## Citation\n", "The papers of what it was made with and judged by:\n", *lines)
    )


def _find_stored_class(kind: Kind, choice: ComponentChoice) -> type[Component] | None:
    """Return a component's class, if its package is installed."""
    try:
        return registry.find_in_package(kind, choice.name, choice.package, choice.version).load()
    except InputError:
        return None


def _find_class(kind: Kind, name: str) -> type[Component] | None:
    try:
        return registry.get(kind, name)
    except InputError:
        return None


def _versions(config: ModelConfig) -> str:
    parts = [config.architecture, config.loss, config.data, *config.augmentations]
    packages = {(part.package, part.version) for part in parts}
    rows = sorted({*packages, *config.versions.items()})
    return f"""## Files and versions

- `{GENERATOR_FILE}`: the moving average of the generator
- `{DISCRIMINATOR_FILE}`: the discriminator that it was trained against
- `{CONFIG_FILE}`: every option, as names and values, and no code

It was made with:

{table(("package", "version"), [(code(name), code(version)) for name, version in rows])}"""
